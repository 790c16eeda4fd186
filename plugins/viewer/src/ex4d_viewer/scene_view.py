"""The scene on the page: a mesh per frame, one of them visible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import viser

from ex4d_core.geometry.projective import unproject_depth
from ex4d_core.pictures.depth_video import color_depth, depth_range
from ex4d_core.pipeline import stages
from ex4d_core.preview.sampling import sampled_scene
from ex4d_core.roles import MeshBuilder
from ex4d_core.types import DepthVideo, Scene
from ex4d_viewer.meshes import PageMesh, page_mesh, textured_glb

Colors = Literal["picture", "depth", "shape"]
COLORS: tuple[Colors, ...] = get_args(Colors)

_HIDDEN = (215, 60, 130)


class SceneView:
    """Meshes of a scene; `fill` creates them."""

    def __init__(
        self, server: viser.ViserServer, scene: Scene, builder: MeshBuilder, *, detail: int, most_frames: int
    ) -> None:
        """Choose frames and resolution.

        Args:
            server: the server of the page.
            scene: the clip and its depth.
            builder: mesh builder of the run.
            detail: points along the longer side.
            most_frames: largest number of meshes.
        """
        total = scene.video.num_frames
        step = -(-total // most_frames)
        self.frames: Sequence[int] = range(0, total, step)
        """The frames of the clip that have a mesh."""
        self._server, self._scene, self._builder = server, scene, builder
        self._small = sampled_scene(scene, self.frames, side=detail)
        depth = self._small.depth
        self._range = depth_range(depth)
        self._deepest = max(float(depth.depth[frame][depth.valid_at(frame)].amax()) for frame in self._known())
        self._meshes: dict[int, PageMesh] = {}
        self._nodes: dict[int, tuple[viser.SceneNodeHandle, viser.SceneNodeHandle]] = {}
        self._shown = 0
        self.colors: Colors = "picture"
        self.occluded_shown = False

    def fill(self) -> Iterator[int]:
        """Put the meshes on the page in the selected colors, one at a time; yield their number."""
        for index in range(len(self.frames)):
            if index not in self._meshes:
                self._meshes[index] = self._mesh(index)
            self._nodes[index] = self._seen(index), self._hidden(index)
            yield index + 1

    def show(self, frame: int) -> None:
        """Show the mesh of a frame of the clip, or of the last frame before it that has one."""
        index = min(frame // (self.frames[1] if len(self.frames) > 1 else 1), len(self.frames) - 1)
        before, self._shown = self._shown, index
        self._set_visible(index)
        if before != index:
            self._set_visible(before)

    def show_occluded(self, wanted: bool) -> None:
        """Show or hide the occluded faces."""
        self.occluded_shown = wanted
        self._set_visible(self._shown)

    def facts(self) -> str:
        """Describe the resolution of the scene compared with that of the run."""
        video, small = self._scene.video, self._small.video
        faces = [2 * (video.width - 1) * (video.height - 1) for video in (small, video)]
        frames = f"{len(self.frames)} of {video.num_frames} frames, " if len(self.frames) < video.num_frames else ""
        return (
            f"Drawn: {frames}{small.width}x{small.height} of {video.width}x{video.height} points, "
            f"{faces[0]:,} of {faces[1]:,} faces per frame"
        )

    def _known(self) -> list[int]:
        return [frame for frame in range(len(self.frames)) if bool(self._small.depth.valid_at(frame).any())]

    def _mesh(self, index: int) -> PageMesh:
        depth = self._small.depth
        mesh = stages.build_mesh(self._small, index, self._builder)
        to_world = depth.source_to_world(index)
        return page_mesh(mesh, to_world, depth.intrinsics_at(index), deepest=self._deepest)

    def _seen(self, index: int) -> viser.SceneNodeHandle:
        part, name = self._meshes[index].seen, f"/scene/{index:05d}/seen"
        visible = index == self._shown
        if not len(part.faces):
            return self._server.scene.add_frame(name, show_axes=False, visible=visible)
        return self._server.scene.add_glb(
            name, textured_glb(part, self._picture(index)), cast_shadow=False, receive_shadow=False, visible=visible
        )

    def _hidden(self, index: int) -> viser.SceneNodeHandle:
        part, name = self._meshes[index].hidden, f"/scene/{index:05d}/hidden"
        visible = index == self._shown and self.occluded_shown
        if not len(part.faces):
            return self._server.scene.add_frame(name, show_axes=False, visible=visible)
        return self._server.scene.add_mesh_simple(
            name, part.vertices, part.faces, color=_HIDDEN, opacity=0.35, side="double", visible=visible
        )

    def _picture(self, index: int) -> np.ndarray:
        if self.colors == "depth":
            return color_depth(self._small.depth, index, *self._range)
        if self.colors == "shape":
            return shaded(self._small.depth, index)
        picture: np.ndarray = self._scene.video.frames[self.frames[index]].numpy()
        return picture

    def _set_visible(self, index: int) -> None:
        if nodes := self._nodes.get(index):
            seen, hidden = nodes
            seen.visible = index == self._shown
            hidden.visible = index == self._shown and self.occluded_shown


def shaded(depth: DepthVideo, frame: int) -> np.ndarray:
    """Return a frame without colors, lit from above the camera, uint8 [H, W, 3]."""
    points = unproject_depth(depth.depth[frame], depth.intrinsics_at(frame)).double().numpy()
    normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
    light = np.array([0.3, -0.5, -0.8]) / np.linalg.norm([0.3, -0.5, -0.8])
    shade = 60 + 180 * np.nan_to_num(np.abs(normals @ light))
    return np.repeat(shade[..., None], 3, axis=-1).clip(0, 255).astype(np.uint8)
