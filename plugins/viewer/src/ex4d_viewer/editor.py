"""A path made by hand: keyframes that people drag, and the file that `--cam` takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import viser

from ex4d_core.camera_files import save_keyframes
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.paths import frame_shares
from ex4d_core.types import CameraPath, Scene
from ex4d_viewer.poses import Placed, path_through, placed

FEWEST = 2


class Editor:
    """Keyframes on the page."""

    def __init__(
        self, server: viser.ViserServer, scene: Scene, *, size: float, changed: Callable[[CameraPath], None]
    ) -> None:
        """Begin without keyframes.

        Args:
            server: the page.
            scene: the clip and its depth.
            size: of the handles in units of the scene.
            changed: is told of the path through the keyframes whenever it is another.
        """
        self._server, self._scene, self._size, self._changed = server, scene, size, changed
        self._handles: list[viser.TransformControlsHandle] = []
        self._num_frames = scene.video.num_frames

    @property
    def keyframes(self) -> list[Placed]:
        """Where the keyframes are."""
        return [Placed(handle.wxyz, handle.position) for handle in self._handles]

    def path(self) -> CameraPath | None:
        """Return the path through the keyframes, or None where there are too few."""
        if len(self._handles) < FEWEST:
            return None
        return path_through(self.keyframes, self._num_frames, self._scene)

    def begin(self, path: CameraPath, count: int) -> None:
        """Put keyframes along a path, evenly in time."""
        self._num_frames = path.num_frames
        picks = [round(share * (path.num_frames - 1)) for share in frame_shares(count)]
        self._place([placed(path.world_to_camera[pick]) for pick in picks])

    def add(self, camera: Placed) -> None:
        """Put one more keyframe at the end."""
        self._place([*self.keyframes, camera])

    def drop(self) -> None:
        """Take the last keyframe away."""
        self._place(self.keyframes[:-1])

    def set_visible(self, wanted: bool) -> None:
        """Show or hide the keyframes."""
        for handle in self._handles:
            handle.visible = wanted

    def save(self, folder: Path, name: str) -> Path:
        """Write the keyframes as a file that `--cam` takes, and return it.

        Raises:
            InvalidInput: there are too few keyframes, or the name is none for a file.
            OutputFailed: the file cannot be written.
        """
        if len(self._handles) < FEWEST:
            raise InvalidInput("there is no path yet; begin with keyframes along one, or add your own view twice")
        if not re.fullmatch(r"[\w-][\w.-]*", name):
            raise InvalidInput(f"{name!r} is no name for a file; use letters, digits, - and _")
        file = folder / f"{name.removesuffix('.json')}.json"
        shares = tuple(frame_shares(len(self._handles)))
        save_keyframes(path_through(self.keyframes, len(shares), self._scene), file, shares=shares)
        return file

    def _place(self, cameras: list[Placed]) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = [self._handle(index, camera) for index, camera in enumerate(cameras)]
        self._tell()

    def _handle(self, index: int, camera: Placed) -> viser.TransformControlsHandle:
        name = f"/keyframes/{index}"
        handle = self._server.scene.add_transform_controls(
            name, scale=self._size, wxyz=camera.wxyz, position=camera.position, depth_test=False
        )
        self._server.scene.add_label(f"{name}/name", f"keyframe {index + 1}")
        handle.on_update(lambda _: self._tell())
        return handle

    def _tell(self) -> None:
        path = self.path()
        if path is not None:
            self._changed(path)
