"""Camera paths on the page: the line of the camera, frusta along it, and the current one with its picture."""

from __future__ import annotations

import numpy as np
import viser

from ex4d_core.types import CameraPath
from ex4d_viewer.poses import Placed, placed, vertical_fov

VIEWS = 7
"""Frusta along a path, spread evenly."""

PATH_COLOR = (230, 110, 20)
SOURCE_COLOR = (30, 30, 30)


class PathView:
    """One path on the page, and the source camera."""

    def __init__(self, server: viser.ViserServer, *, size: float) -> None:
        """Start empty; `size` is the depth of a frustum in units of the scene."""
        self._server, self._size = server, size
        self._nodes: list[viser.SceneNodeHandle] = []
        self._now: viser.CameraFrustumHandle | None = None
        self._source: viser.CameraFrustumHandle | None = None
        self._source_line: viser.LineSegmentsHandle | None = None
        self.visible = True

    def draw(self, path: CameraPath) -> None:
        """Replace the path."""
        for node in (*self._nodes, *([self._now] if self._now else ())):
            node.remove()
        cameras = [placed(pose) for pose in path.world_to_camera]
        self._nodes = []
        if len(cameras) > 1:
            self._nodes.append(self._line("/path/line", cameras, PATH_COLOR, visible=self.visible))
        for index in np.unique(np.linspace(0, len(cameras) - 1, VIEWS).round().astype(int)).tolist():
            self._nodes.append(
                self._frustum(f"/path/view {index}", cameras[index], path, index, 0.45 * self._size, PATH_COLOR)
            )
        self._now = self._frustum("/path/now", cameras[0], path, 0, self._size, PATH_COLOR)

    def show(self, path: CameraPath, frame: int, picture: np.ndarray | None) -> None:
        """Move the camera of the current frame, and show its guidance if it is available."""
        if self._now is not None:
            camera = placed(path.world_to_camera[frame])
            self._now.wxyz, self._now.position = camera.wxyz, camera.position
            self._now.fov = vertical_fov(path.intrinsics_at(frame))
            if picture is not None:
                self.show_picture(picture)

    def show_picture(self, picture: np.ndarray) -> None:
        """Show the guidance in the camera of the current frame."""
        if self._now is not None:
            self._now.image = picture

    def draw_source(self, path: CameraPath) -> None:
        """Draw the path of a source camera that moves."""
        cameras = [placed(pose) for pose in path.world_to_camera]
        if len(cameras) > 1:
            self._source_line = self._line("/source path", cameras, SOURCE_COLOR, visible=True)

    def show_source(self, camera: Placed, fov: float, picture: np.ndarray, *, picture_shown: bool = True) -> None:
        """Move the source camera, and show its frame, or only its outline."""
        if self._source is None:
            self._source = self._server.scene.add_camera_frustum(
                "/source", fov, picture.shape[1] / picture.shape[0], scale=self._size, color=SOURCE_COLOR,
                thickness=0.04 * self._size, wxyz=camera.wxyz, position=camera.position,
                cast_shadow=False, receive_shadow=False,
            )  # fmt: skip
            self._server.scene.add_label("/source/name", "source camera", position=(0, -0.4 * self._size, 0))
        self._source.wxyz, self._source.position = camera.wxyz, camera.position
        self._source.image = picture if picture_shown else None

    def set_visible(self, *, path: bool, source: bool) -> None:
        """Show or hide the path and the source camera."""
        self.visible = path
        for node in (*self._nodes, *([self._now] if self._now else ())):
            node.visible = path
        for mark in (self._source, self._source_line):
            if mark is not None:
                mark.visible = source

    def _line(
        self, name: str, cameras: list[Placed], color: tuple[int, int, int], *, visible: bool
    ) -> viser.LineSegmentsHandle:
        eyes = np.stack([camera.position for camera in cameras])
        segments = np.stack([eyes[:-1], eyes[1:]], axis=1)
        return self._server.scene.add_line_segments(name, segments, color, thickness=0.03 * self._size, visible=visible)

    def _frustum(
        self, name: str, camera: Placed, path: CameraPath, frame: int, size: float, color: tuple[int, int, int]
    ) -> viser.CameraFrustumHandle:
        lens = path.intrinsics_at(frame)
        return self._server.scene.add_camera_frustum(
            name, vertical_fov(lens), lens.width / lens.height, scale=size, color=color,
            thickness=0.04 * size, wxyz=camera.wxyz, position=camera.position, visible=self.visible,
            cast_shadow=False, receive_shadow=False,
        )  # fmt: skip
