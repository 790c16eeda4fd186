"""Editor of camera paths: keyframes on the page, saved as a file for `--cam`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import viser

from ex4d_core.cameras.files import write_keyframes
from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.files import temporary_folder
from ex4d_core.geometry.paths import normalized_times
from ex4d_core.types import CameraPath, Scene
from ex4d_viewer.poses import Placed, path_through, placed

FEWEST, MOST = 2, 50

MOST_LETTERS = 60
"""Limit of characters in the name of a file."""

Handler = Callable[[Any], None]
"""Callback for a keyframe that was moved."""


class Editor:
    """Keyframes on the page."""

    def __init__(
        self,
        server: viser.ViserServer,
        scene: Scene,
        *,
        size: float,
        changed: Callable[[CameraPath], None],
        guarded: Callable[[Handler], Handler] = lambda work: work,
    ) -> None:
        """Start without keyframes.

        Args:
            server: the server of the page.
            scene: the clip and its depth.
            size: size of the handles in units of the scene.
            changed: receives the path through the keyframes after each change.
            guarded: wraps each callback.
        """
        self._guarded = guarded
        self._server, self._scene, self._size, self._changed = server, scene, size, changed
        self._handles: list[viser.TransformControlsHandle] = []
        self._num_frames = scene.video.num_frames

    @property
    def keyframes(self) -> list[Placed]:
        """The cameras of the keyframes."""
        return [Placed(handle.wxyz, handle.position) for handle in self._handles]

    def path(self) -> CameraPath | None:
        """Return the path through the keyframes, or None if there are too few."""
        if len(self._handles) < FEWEST:
            return None
        return path_through(self.keyframes, self._num_frames, self._scene)

    def begin(self, path: CameraPath, count: int) -> None:
        """Replace the keyframes by some along a path, evenly spaced in time."""
        assert FEWEST <= count <= MOST
        self._num_frames = path.num_frames
        picks = [round(t * (path.num_frames - 1)) for t in normalized_times(count)]
        self._place([placed(path.world_to_camera[pick]) for pick in picks])

    def add(self, camera: Placed) -> None:
        """Append a keyframe.

        Raises:
            InvalidInput: the limit is reached.
        """
        if len(self._handles) >= MOST:
            raise InvalidInput(f"a path has at most {MOST} keyframes; remove one first")
        self._place([*self.keyframes, camera])

    def drop(self) -> None:
        """Remove the last keyframe."""
        self._place(self.keyframes[:-1])

    def set_visible(self, wanted: bool) -> None:
        """Show or hide the keyframes."""
        for handle in self._handles:
            handle.visible = wanted

    def save(self, folder: Path, name: str, *, replace: bool = False) -> Path:
        """Write the keyframes to a file for `--cam`, and return it.

        Args:
            folder: folder of the file.
            name: name of the file, with or without `.json`.
            replace: whether to replace an existing file; one with the same keyframes is kept in any case.

        Raises:
            InvalidInput: there are too few keyframes, the name is not valid, or the file exists with other content.
            OutputFailed: the file cannot be written.
        """
        if len(self._handles) < FEWEST:
            raise InvalidInput("there is no path yet; begin with the keyframes of another path, or add two views")
        if not re.fullmatch(r"[\w-][\w.-]*", name) or len(name) > MOST_LETTERS:
            raise InvalidInput(
                f"{name!r} is not a file name; use letters, digits, - and _, at most {MOST_LETTERS} of them"
            )
        file = folder / f"{name.removesuffix('.json')}.json"
        times = tuple(normalized_times(len(self._handles)))
        path = path_through(self.keyframes, len(times), self._scene)
        try:
            with temporary_folder(folder) as staging:
                write_keyframes(path, staging / file.name, times=times)
                is_saved = _publish(staging / file.name, file, replace=replace) or _has_content_of(
                    staging / file.name, file
                )
        except OSError as error:
            # The writer has wrapped the error already, with the temporary name of the file.
            reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise OutputFailed(f"{file} cannot be written: {reason.strerror or reason}") from error
        if not is_saved:
            raise InvalidInput(f"{file} already exists; choose another name, or allow it to be replaced")
        return file

    def _place(self, cameras: list[Placed]) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = [self._handle(index, camera) for index, camera in enumerate(cameras)]
        self._notify()

    def _handle(self, index: int, camera: Placed) -> viser.TransformControlsHandle:
        name = f"/keyframes/{index}"
        handle = self._server.scene.add_transform_controls(
            name, scale=self._size, wxyz=camera.wxyz, position=camera.position, depth_test=False
        )
        self._server.scene.add_label(f"{name}/name", f"keyframe {index + 1}")
        handle.on_update(self._guarded(lambda _: self._notify()))
        return handle

    def _notify(self) -> None:
        path = self.path()
        if path is not None:
            self._changed(path)


def _publish(new: Path, file: Path, *, replace: bool) -> bool:
    """Move a file to its final name and return True, or False if the name is in use and `replace` is off."""
    if replace:
        os.replace(new, file)
        return True
    try:
        os.link(new, file)  # it fails if the name is in use; a check before a rename would be a race
    except FileExistsError:
        return False
    except OSError:  # the file system does not support links
        if os.path.lexists(file):
            return False
        os.rename(new, file)
    return True


def _has_content_of(new: Path, file: Path) -> bool:
    """Return whether a file exists with the content of a new one."""
    return file.is_file() and file.stat().st_size == new.stat().st_size and file.read_bytes() == new.read_bytes()
