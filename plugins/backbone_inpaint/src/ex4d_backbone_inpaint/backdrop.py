"""A model of the scene behind everything that moves, made once for a clip.

Two kinds of holes are two problems: what a foreground hid, where the background continues, and what lies outside of the
picture, where the scene continues beyond its edge. Both get an answer in the source camera, once for the clip, and not
in each target view: colors that last, and geometry that moves as the scene does. The model has two sheets:

1. The background that the frames show, over time: at each pixel the far surface, wherever something moved away from it.
   Beyond the picture, a thin plate continues it, but not beneath the ground, and its colors approach those that are
   usual at their elevation and depth, or on the ground. Things in front of the background end at the edge of the
   picture, and are seen from their front only.
2. What the foreground of sheet 1 hides: background depth and color, continued smoothly from its far side. It is closed:
   faces across depth edges have the color of the far side, or that of the ground behind its rim.
"""

from __future__ import annotations

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from ex4d_backbone_inpaint.edges import bridge_colors, split_at_edges
from ex4d_backbone_inpaint.filters import fading, smoothed
from ex4d_backbone_inpaint.push_pull import Picture, push_pull
from ex4d_backbone_inpaint.samples import Floats, Floats64, Samples, drawn, grid_faces, grid_points, unbroken
from ex4d_backbone_inpaint.sheets import Background, Sheets
from ex4d_backbone_inpaint.surroundings import BINS, colors_of_directions
from ex4d_core.types import Intrinsics

SMOOTHING = 3.0
"""Standard deviation, in pixels, of the smoothing of the inverse depth from which normals of things are computed."""

FADE = 0.1
"""Distance, in longer sides of a view, in which the colors beside an uncovered area fade to those of its direction."""


@attrs.frozen(eq=False, kw_only=True)
class Backdrop:
    """A colored mesh of the static scene, and colors for directions that it does not cover."""

    points: Floats64
    """float64 [V, 3], in the frame of its camera."""
    faces: NDArray[np.int32]
    fronts: NDArray[np.int32]
    """int32 [F, 3], faces of things in front of the background, which are seen from their front only."""
    normals: Floats64
    """float64 [F, 3], of the fronts, towards the camera of the points; not of unit length."""
    colors: Floats
    """float32 [V, 5]: color, 0..255; 1 for the background or 0 for things in front of it; certainty of the color."""
    world_to_camera: Floats64
    """float64 [4, 4]."""
    surroundings: Floats
    """float32 [BINS, 3]: color by the sine of the elevation, from straight up (-1) to straight down (1)."""

    @classmethod
    def of(cls, samples: Samples, tolerance: float, *, foreground: bool = True) -> Backdrop:
        """Return the model of a clip.

        Args:
            samples: frames of the clip.
            tolerance: relative difference of inverse depth up to which two points are the same.
            foreground: whether things in front of the background are part of it.
        """
        sheets = Sheets.of(Background.of(samples, tolerance), samples.intrinsics)
        faces = grid_faces(*sheets.shape)
        points = [grid_points(depth, sheets.columns, sheets.rows, samples.intrinsics) for depth in sheets.inverse]
        colors = np.concatenate([sheets.color, sheets.background, sheets.certainty], axis=-1).reshape(2, -1, 5)
        # The hidden sheet is closed, so that rays between two parts of the first find something: the farther of both.
        # Beyond the picture, it is smooth, but its grid is coarse.
        outer = (sheets.outside > 0).ravel()[faces].any(axis=1)
        intact, bridges = split_at_edges(sheets.inverse[1], faces[~outer])
        ends, end_colors = bridge_colors(sheets.inverse[1], sheets.color[1], bridges, sheets.ground)
        # All else in the first sheet is in the second one, too.
        is_front = (sheets.background[0].ravel()[faces] == 0).any(axis=1) & foreground
        fronts = unbroken(sheets.inverse[0], faces[is_front])
        smooth = smoothed(sheets.inverse[0], sheets.background[0, ..., 0] == 0, sigma=SMOOTHING)
        smooth_points = grid_points(smooth, sheets.columns, sheets.rows, samples.intrinsics)
        return cls(
            points=np.concatenate([*points, points[1][bridges.ravel()]]),
            faces=np.concatenate(
                [
                    np.concatenate([intact, faces[outer]]) + len(points[0]),
                    np.arange(bridges.size, dtype=np.int32).reshape(-1, 3) + 2 * len(points[0]),
                ]
            ),
            fronts=fronts,
            normals=_normals(smooth_points, fronts),
            colors=np.concatenate([*colors, np.hstack([end_colors, colors[1][ends][:, 3:]])]),
            world_to_camera=samples.world_to_camera,
            surroundings=colors_of_directions(points[1], sheets.color[1].reshape(-1, 3), samples.world_to_camera),
        )

    def render(self, world_to_camera: Floats64, intrinsics: Intrinsics) -> tuple[Picture, Floats64]:
        """Return the view of a camera, float32 [H, W, 3], 0..255, and its depth [H, W], inf where nothing is."""
        pose = world_to_camera @ np.linalg.inv(self.world_to_camera)
        eye = np.linalg.inv(pose)[:3, 3]
        facing = np.einsum("fi,fi->f", self.normals, eye - self.points[self.fronts[:, 0]]) > 0
        drawing = drawn(self.points, np.concatenate([self.faces, self.fronts[facing]]), pose, intrinsics)
        values, covered = drawing.interpolate(self.colors), drawing.face_index >= 0
        far = self._far_colors(world_to_camera, intrinsics)
        known, background, certainty = np.split(values, [3, 4], axis=-1)
        view = far + certainty * (known - far)
        if covered.all():
            return view, drawing.depth
        # Things in front of the background do not continue beside it.
        beside = push_pull(view - far, np.where(covered, background[..., 0], 0).astype(np.float32))
        fade = fading(covered, FADE * max(covered.shape))[~covered][:, None]
        view[~covered] = far[~covered] + fade * beside[~covered]
        return view, drawing.depth

    def _far_colors(self, world_to_camera: Floats64, intrinsics: Intrinsics) -> Picture:
        """Return the color of the surroundings in the direction of each pixel, float32 [H, W, 3]."""
        x = ((np.arange(intrinsics.width) + 0.5 - intrinsics.cx) / intrinsics.fx).astype(np.float32)
        y = ((np.arange(intrinsics.height) + 0.5 - intrinsics.cy) / intrinsics.fy).astype(np.float32)[:, None]
        down = world_to_camera[:3, 1].astype(np.float32)
        sine = (down[0] * x + down[1] * y + down[2]) / np.sqrt(x * x + y * y + 1)
        position = (sine + 1) / 2 * BINS - 0.5
        table = self.surroundings[None]
        return np.asarray(
            cv2.remap(table, position, np.zeros_like(position), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )


def _normals(points: Floats64, faces: NDArray[np.int32]) -> Floats64:
    """Return the normals of faces, float64 [F, 3], on the side of the origin."""
    corner, second, third = np.moveaxis(points[faces], 1, 0)
    normal = np.cross(second - corner, third - corner)
    return np.asarray(-np.sign(np.einsum("fi,fi->f", normal, corner))[:, None] * normal)
