"""The mask opens continuously from the source camera, and has no specks."""

from fractions import Fraction

import pytest
import torch

from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_shading import without_patches
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.pipeline.stages import render_guidance
from ex4d_core.types import CameraPath, DepthVideo, Intrinsics, Scene, Video
from tests.helpers.render_scenes import FRONT, orbit, painted, stepped_depth
from tests.helpers.renderers import CPU, in_torch, raycast, zbuffer

CAMERA = Intrinsics.from_fov(80, width=96, height=64)


def guidance(poses, renderer, **options):
    """Return the guidance of a still clip of a room along poses."""
    count = len(poses)
    depth = DepthVideo(depth=stepped_depth(CAMERA).expand(count, -1, -1), kind="metric", intrinsics=CAMERA)
    scene = Scene(video=Video(frames=painted(64, 96).expand(count, -1, -1, -1), fps=Fraction(30)), depth=depth)
    path = CameraPath(world_to_camera=torch.stack(poses), intrinsics=CAMERA)
    return render_guidance(scene, path, WatertightMesh(WatertightOptions(**options), device=CPU), renderer)


@pytest.mark.parametrize("make", [zbuffer, raycast, in_torch])
def test_the_source_camera_sees_the_source_frame_at_any_time(make):
    view = guidance([FRONT, orbit(20), FRONT], make())
    error = (view.color[[0, 2]].float() - painted(64, 96).float()).square().mean()
    assert view.mask[[0, 2]].all()
    assert error < 255**2 / 10**4.5
    assert not view.mask[1].all()


def test_holes_open_continuously_from_the_source_camera():
    yaws = [0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 4.0]
    known = guidance([orbit(yaw) for yaw in yaws], zbuffer()).mask.float().mean(dim=(1, 2))
    assert known[0] == 1
    assert (known.diff() <= 0.005).all()
    assert (-known.diff() < 0.08).all()
    assert known[1] > 0.95  # the outermost pixels, of which a small picture has many, are at the border depth
    assert known[-1] < 0.9


def test_holes_and_visible_patches_up_to_a_size_are_removed():
    mask = torch.zeros(20, 40, dtype=torch.bool)
    mask[:, :20] = True
    cleaned = mask.clone()
    for row, side in ((3, 1), (8, 3)):
        mask[row : row + side, 5 : 5 + side] = False
        mask[row : row + side, 30 : 30 + side] = True
    for patch in (mask, cleaned):
        patch[14:18, 5:9] = False  # too large
        patch[14:18, 30:34] = True
        patch[5, 0] = False  # at the border
    assert torch.equal(without_patches(mask, 3), cleaned)
    assert torch.equal(without_patches(mask, 1)[:8], cleaned[:8])
    assert torch.equal(without_patches(mask, 2), without_patches(mask, 1))
