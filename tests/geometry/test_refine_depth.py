"""Depth edges move to color edges, and what is not at an edge keeps its depth."""

from fractions import Fraction

import pytest
import torch
from torch.nn import functional

from ex4d_core.geometry.refine_depth import refine_depth
from ex4d_core.geometry.refine_options import RefineOptions
from ex4d_core.pipeline.stages import refine_scene
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics, Scene, Video

NEAR, FAR = 2.0, 8.0


def pictured(near):
    """Return a frame [1, H, W, 3] in which what is near is red and what is far blue, with noise."""
    noise = torch.randint(-6, 7, (*near.shape, 3), generator=torch.Generator().manual_seed(0))
    colors = torch.where(near[..., None], torch.tensor([190, 60, 50]), torch.tensor([60, 80, 170]))
    return (colors + noise).to(torch.uint8)[None]


def blurred(depth, *, by=5, shift=0):
    """Return depth [1, H, W] as estimators see it: smooth across edges and beside the picture."""
    disparity = functional.pad((1 / depth)[None, None], (by // 2,) * 4, mode="replicate")
    return 1 / functional.avg_pool2d(disparity, by, stride=1)[0].roll(shift, dims=2)


def square():
    near = torch.zeros(40, 48, dtype=torch.bool)
    near[12:30, 14:34] = True
    return near, torch.where(near, NEAR, FAR)


def wavering_post(*, size=128):
    """Return a frame with a post of 3 pixels that leans a little, and depth that changes along it by a tenth."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    near = (columns - 60 - rows // 12).abs() < 2
    wave = 1 + 0.05 * torch.sin(rows / 5)
    return pictured(near), torch.where(near, NEAR * wave, FAR)[None]


def refine(frames, depth, valid=None, kind=DepthKind.METRIC, **options):
    return refine_depth(frames, depth, valid, RefineOptions(**options), kind=kind)


@pytest.mark.parametrize("shift", [0, 1, -1])
def test_a_blurred_edge_beside_a_color_edge_moves_to_it(shift):
    near, depth = square()
    estimated = blurred(depth, shift=shift)
    refined, filled = refine(pictured(near), estimated)
    wrong = ((refined[0] / depth - 1).abs() > 0.1).float().mean()
    assert wrong < 0.01 < ((estimated[0] / depth - 1).abs() > 0.1).float().mean() / 5
    assert not filled.any()


def test_exact_depth_and_planes_keep_their_values():
    near, depth = square()
    refined, _ = refine(pictured(near), depth[None])
    torch.testing.assert_close(refined[0], depth)
    floor = 1 / torch.linspace(0.05, 1, 40)[:, None].expand(40, 48)
    torch.testing.assert_close(refine(pictured(near), floor[None])[0][0], floor)


def test_a_road_beside_an_edge_is_neither_near_nor_far():
    rows = torch.arange(48.0)[:, None].expand(48, 64)
    road = rows >= 20
    disparity = torch.where(road, 0.24 + 0.0125 * (rows - 20), 0.13)
    disparity = functional.avg_pool2d(functional.pad(disparity[None], (0, 0, 2, 2), mode="replicate"), (5, 1), 1)
    lights = torch.randint(0, 2, (48, 64), generator=torch.Generator().manual_seed(0), dtype=torch.bool)
    refined, _ = refine(pictured(torch.where(road, lights, False)), 1 / disparity)
    torch.testing.assert_close(refined[0, 23:], 1 / disparity[0, 23:])
    assert (refined[0, :23] * disparity[0, :23] - 1).abs().max() > 0.1


def test_estimated_outlines_do_not_recede_and_exact_ones_stay():
    near, depth = square()
    teeth = near & ~near.roll(-1, 1) & (torch.arange(40) % 2 == 0)[:, None]
    estimated = torch.where(teeth, depth * 1.04, depth)[None]
    straight, _ = refine(pictured(near), estimated, kind=DepthKind.AFFINE_INVERSE)
    torch.testing.assert_close(straight[0], depth)
    assert torch.equal(refine(pictured(near), estimated)[0], estimated)


def test_a_pole_of_one_pixel_is_kept_and_a_speck_is_not():
    near = torch.zeros(30, 30, dtype=torch.bool)
    near[:, 15] = True
    depth = torch.where(near, NEAR, FAR)
    refined, _ = refine(pictured(near), depth[None])
    assert (refined[0][:, 15] == NEAR).all()
    depth[10, 6] = NEAR
    refined, _ = refine(pictured(near), depth[None])
    assert refined[0, 10, 6] == FAR


def test_a_post_stands_upright_where_only_the_order_of_depth_is_known():
    frames, estimated = wavering_post()
    near = estimated < 1.5 * NEAR
    even, _ = refine(frames, estimated, kind=DepthKind.AFFINE_INVERSE)
    assert estimated[near].max() / estimated[near].min() > 1.09
    assert even[near].max() / even[near].min() < 1.04
    assert torch.equal(even[~near], estimated[~near])
    for exact in (
        refine(frames, estimated, kind=DepthKind.RELATIVE)[0],
        refine(frames, estimated, kind=DepthKind.AFFINE_INVERSE, even_thin=False)[0],
    ):
        assert (exact[near] / even[near] - 1).abs().max() > 0.04


def test_a_rail_stays_sloped_and_a_thing_that_passes_it_keeps_its_depth():
    size = 256
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    rail, post = (rows - 100).abs() < 2, (columns - 120).abs() < 2
    depth = torch.where(rail, 1 / (0.5 - 0.001 * columns), 20.0)
    depth[post] = 1 / 0.6
    frames = torch.where(post[..., None], torch.tensor([30, 160, 40]), pictured(rail)[0]).to(torch.uint8)[None]
    refined, _ = refine(frames, depth[None], kind=DepthKind.AFFINE_INVERSE)
    assert (refined[0] * (1 / depth) - 1).abs().max() < 0.03


def test_unknown_depth_is_filled_from_pixels_of_its_color_and_marked():
    near, depth = square()
    valid = torch.ones(1, 40, 48, dtype=torch.bool)
    valid[0, 8:34, 20:28] = False  # across the square
    refined, filled = refine(pictured(near), depth[None], valid)
    assert torch.equal(filled, ~valid)
    assert ((refined[0] / depth - 1).abs() < 0.1)[~valid[0]].float().mean() > 0.97
    hidden, filled = refine(pictured(near), depth[None], valid, fill=False)
    assert torch.equal(hidden.isnan(), ~valid)
    assert not filled.any()


def test_black_bars_without_depth_stay_unknown():
    near, depth = square()
    frames, depths = pictured(near), depth[None].clone()
    frames[:, :4], depths[:, :4], depths[:, -4:] = 0, torch.nan, torch.nan
    refined, filled = refine(frames, depths)
    assert refined[:, :4].isnan().all()
    assert filled[:, -4:].all()
    assert not filled[:, :-4].any()


@pytest.mark.parametrize("unknown", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_frame_without_depth_stays_unknown_and_others_do_not(unknown):
    near, depth = square()
    frames = pictured(near).repeat(2, 1, 1, 1)
    refined, filled = refine(frames, torch.stack([torch.full_like(depth, unknown), depth]))
    assert refined[0].isnan().all()
    torch.testing.assert_close(refined[1], depth)
    assert not filled.any()


@pytest.mark.parametrize("kind", [DepthKind.METRIC, DepthKind.AFFINE_INVERSE], ids=str)
@pytest.mark.parametrize("size", [(2, 2), (1, 9), (7, 3)], ids=str)
def test_any_size_is_refined(size, kind):
    frames = torch.full((1, *size, 3), 9, dtype=torch.uint8)
    depth = torch.ones(1, *size)
    depth[0, 0, 0] = torch.nan
    refined, filled = refine(frames, depth, kind=kind, radius=5)
    assert (refined == 1).all()
    assert filled.sum() == 1


def test_frames_are_refined_one_by_one_and_arguments_stay_as_they_are():
    near, depth = square()
    frames = torch.cat([pictured(near), pictured(near.flip(1))])
    depths = torch.cat([blurred(depth), blurred(depth.flip(1))])
    copies = frames.clone(), depths.clone()
    together, _ = refine(frames, depths)
    for frame in range(2):
        alone, _ = refine(frames[frame : frame + 1], depths[frame : frame + 1])
        torch.testing.assert_close(alone[0], together[frame], rtol=1e-6, atol=0)
    assert torch.equal(frames, copies[0])
    assert torch.equal(depths, copies[1])


def test_a_scene_is_refined_unless_that_is_turned_off():
    near, depth = square()
    scene = Scene(
        video=Video(frames=pictured(near), fps=Fraction(24)),
        depth=DepthVideo(depth=blurred(depth), kind="metric", intrinsics=Intrinsics.from_fov(width=48, height=40)),
    )
    told = []
    refined = refine_scene(scene, RefineOptions(), progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 1), (1, 1)]
    assert not torch.equal(refined.depth.depth, scene.depth.depth)
    assert refined.depth.filled is not None
    assert refine_scene(scene, RefineOptions(enabled=False)) is scene


@pytest.mark.gpu
def test_a_gpu_refines_as_the_cpu_does():
    near, depth = square()
    frames, depths = pictured(near), blurred(depth)
    depths[0, 5:9, 3:9] = torch.nan
    here, _ = refine(frames, depths)
    there, _ = refine(frames.cuda(), depths.cuda())
    torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=0)
    post, estimated = wavering_post()
    here, _ = refine(post, estimated, kind=DepthKind.AFFINE_INVERSE)
    there, _ = refine(post.cuda(), estimated.cuda(), kind=DepthKind.AFFINE_INVERSE)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=0)
