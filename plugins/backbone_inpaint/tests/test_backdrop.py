"""The static scene beyond the picture and behind things, seen from cameras that leave the source camera far."""

import numpy as np
import pytest

from ex4d_backbone_inpaint.backdrop import Backdrop
from ex4d_backbone_inpaint.edges import bridge_colors
from ex4d_backbone_inpaint.samples import Samples
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.types import Intrinsics

LENS = Intrinsics.from_fov(width=64, height=48)
GRAY, GREEN, RED = (90, 90, 90), (0, 200, 0), (200, 0, 0)


def street():
    """Return color [H, W, 3] and depth [H, W] of a gray floor, 1.5 below the camera, before a green wall at 40."""
    floor = (LENS.fy * 1.5 / (np.arange(48) - 23.5).clip(0.5)).clip(max=40)
    depth = np.repeat(floor[:, None], 64, axis=1).astype(np.float32)
    color = np.where((depth < 40)[..., None], np.float32(GRAY), np.float32(GREEN)).astype(np.float32)
    return color, depth


def seen(color, depth, eye, center):
    """Return the view [H, W, 3] of a camera, and its depth [H, W]."""
    sample = Samples(
        color=color[None],
        inverse=1 / depth[None],
        seen=np.ones((1, 48, 64), bool),
        intrinsics=LENS,
        world_to_camera=np.eye(4),
    )
    pose = path_of_eyes([eye], center=center, intrinsics=LENS).world_to_camera[0].double().numpy()
    return Backdrop.of(sample, 0.05).render(pose, LENS)


def on_floor(eye, center):
    """Return the depth [H, W] of the floor in the view of a camera at `eye`; negative above the horizon."""
    pose = path_of_eyes([eye], center=center, intrinsics=LENS).world_to_camera[0].double().numpy()
    x, y = (np.arange(64) + 0.5 - LENS.cx) / LENS.fx, (np.arange(48) + 0.5 - LENS.cy) / LENS.fy
    rays = np.stack([*np.meshgrid(x, y), np.ones((48, 64))], axis=-1)
    return (1.5 - eye[1]) / (rays @ pose[:3, :3])[..., 1]


def test_the_floor_continues_beyond_the_picture_beside_things_that_its_corner_shows():
    """Boxes in both lower corners: a smooth surface would fall away behind them."""
    color, depth = street()
    for place in (np.s_[26:, :14], np.s_[26:, 50:]):
        color[place], depth[place] = RED, np.minimum(depth[place], 2.2)
    eye, center = (4.0, -1.0, 1.0), (4.0, 1.5, 6.0)
    view, distance = seen(color, depth, eye, center)
    floor = on_floor(eye, center)
    near = (floor > 0) & (floor < 8)
    assert near.sum() > 800
    np.testing.assert_allclose(np.median(distance[near] / floor[near]), 1, atol=0.02)
    assert np.abs(view[near] - GRAY).mean() < 1


@pytest.mark.parametrize("side", [-1, 1])
def test_a_thing_that_the_edge_cuts_is_not_seen_from_beyond_the_edge(side):
    """A red house at the edge; the camera is beside it, outside of the picture, and looks into the street."""
    color, depth = street()
    place = np.s_[14:36, 48:] if side > 0 else np.s_[14:36, :16]
    color[place], depth[place] = RED, 5.0
    view, _ = seen(color, depth, (side * 7.0, 0.0, 5.0), (0, 0, 6.0))
    red = view[..., 0] - view[..., 1].clip(max=90)
    assert (red > 60).mean() < 0.02
    facing, _ = seen(color, depth, (0.0, 0.0, 0.0), (0, 0, 5.0))
    assert (facing[..., 0] > 150).sum() > 200


@pytest.mark.parametrize("ground", [False, True])
def test_faces_across_a_depth_edge_have_the_color_of_the_far_side_unless_the_near_one_is_ground(ground):
    inverse, color = np.full((12, 12), 0.1, np.float32), np.full((12, 12, 3), 200, np.float32)
    inverse[6:], color[6:] = 0.5, 50
    bridges = np.array([[5 * 12 + 4, 6 * 12 + 4, 6 * 12 + 5], [5 * 12 + 4, 5 * 12 + 5, 6 * 12 + 5]], np.int32)
    vertices, colors = bridge_colors(inverse, color, bridges, (inverse > 0.3) & ground)
    np.testing.assert_allclose(colors, 50 if ground else 200, rtol=1e-6)
    assert ((vertices >= 72) == ground).all()


def test_beyond_the_picture_colors_change_smoothly():
    """Seen from the side, the grid lines there are far apart, and between floor and wall each of them is far behind."""
    view, _ = seen(*street(), (12.0, -1.0, 6.0), (6, 0, 12))
    assert np.abs(np.diff(view, axis=1)).max() < 30
