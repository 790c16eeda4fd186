"""Thin things hide only what is right behind them."""

import math

import pytest
import torch

from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions, TorchOptions
from ex4d_core.builtin.render_torch import TorchRenderer
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.geometry import thin_things
from ex4d_core.geometry.paths import orbit_eye
from ex4d_core.geometry.watertight import build_watertight
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.types import Intrinsics

CPU = torch.device("cpu")
HEIGHT, WIDTH = 96, 160
LENS = Intrinsics.from_fov(width=WIDTH, height=HEIGHT)
NEAR, FAR = 2.0, 8.0
MIDDLE = 78


def before_a_wall(width, *, near=NEAR, far=FAR, rows=slice(None)):
    """Return the depth of a thing in the middle of the picture."""
    depth = torch.full((HEIGHT, WIDTH), far)
    depth[rows, MIDDLE - width // 2 : MIDDLE - width // 2 + width] = near
    return depth


def frame():
    """Return a frame in which each column has another color."""
    ramp = torch.linspace(0, 255, WIDTH).to(torch.uint8)
    return torch.stack([ramp, ramp.flip(0), torch.full_like(ramp, 128)], dim=-1).repeat(HEIGHT, 1, 1)


def build(depth, **options):
    return build_watertight(frame(), depth, LENS, WatertightOptions(**options))


def view(mesh, yaw, renderer=None):
    pose = path_of_eyes([orbit_eye(yaw, 0.0, NEAR)], center=(0.0, 0.0, NEAR), intrinsics=LENS).world_to_camera[0]
    return (renderer or ZBufferRenderer(RasterOptions(), device=CPU)).render(mesh, pose, LENS)


def hidden_share(depth, yaw, **options):
    return float((~view(build(depth, **options), yaw).mask).float().mean())


def bare_wall(yaw):
    return hidden_share(torch.full((HEIGHT, WIDTH), FAR), yaw)


@pytest.mark.parametrize("yaw", [10, 20, -20])
def test_the_wall_beside_a_post_is_visible(yaw):
    post = before_a_wall(3)
    before = hidden_share(post, yaw, thin_width=0) - bare_wall(yaw)
    after = hidden_share(post, yaw) - bare_wall(yaw)
    assert 0 < after < 7 / WIDTH
    parallax = abs(math.sin(math.radians(yaw))) * LENS.fx / WIDTH * (1 - NEAR / FAR)
    assert before > 0.6 * parallax > 2 * after


def test_the_wall_has_its_colors_and_depth_there():
    post, wall = view(build(before_a_wall(3)), 20), view(build(torch.full((HEIGHT, WIDTH), FAR)), 20)
    at_wall = post.mask & wall.mask & (post.depth > 1.5 * NEAR)
    assert at_wall.sum() > 0.9 * wall.mask.sum()
    assert (post.color.int() - wall.color.int()).abs()[at_wall].max() <= 1
    torch.testing.assert_close(post.depth[at_wall], wall.depth[at_wall])


def test_the_post_is_visible_too():
    seen = view(build(before_a_wall(3)), 20)
    rows = ((seen.depth < 1.5 * NEAR) & seen.mask).sum(dim=1)
    assert (rows[5:-5] >= 2).all()


@pytest.mark.parametrize("thing", [before_a_wall(24), torch.full((HEIGHT, WIDTH), NEAR) * 4 / before_a_wall(3)])
def test_a_wide_thing_and_a_narrow_gap_hide_as_before(thing):
    assert len(build(thing).vertices) == HEIGHT * WIDTH + 1
    assert torch.equal(build(thing).vertices, build(thing, thin_width=0).vertices)


@pytest.mark.parametrize("size", [(97, 161), (96, 161), (97, 160)], ids=str)
def test_pictures_of_odd_sizes_have_thin_things_too(size):
    depth = torch.full(size, FAR)
    depth[:, size[1] // 2] = NEAR
    thin = thin_things.find(depth, torch.ones(size, dtype=torch.bool), radius=1)
    inner = torch.zeros(size, dtype=torch.bool)
    inner[1:-1, 1:-1] = True
    assert torch.equal(thin.pixels, inner & (depth == NEAR))
    assert torch.equal(thin.clear, thin.pixels)


def test_unknown_depth_makes_nothing_thin():
    depth = torch.full((HEIGHT, WIDTH), NEAR)
    depth[:, 40:50] = depth[:, 53:63] = torch.nan
    assert len(build(depth).vertices) == HEIGHT * WIDTH + 1


@pytest.mark.parametrize(
    "depth",
    [
        before_a_wall(1),
        before_a_wall(3, rows=slice(30, None)),
        before_a_wall(2, rows=slice(50, 52)),
        torch.minimum(before_a_wall(3), before_a_wall(60, near=2.2, rows=slice(60, None))),
    ],
    ids=["wire", "post", "speck", "post on a box"],
)
def test_the_source_camera_sees_the_frame(depth):
    seen = view(build(depth), 0)
    assert seen.mask.all()
    assert (seen.color.int() - frame().int()).abs().max() <= 2


def test_noise_is_visible_from_the_source_camera():
    depth = 1 + 8 * torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    assert view(build(depth), 0).mask.all()


def test_holes_open_as_slowly_as_without_pieces():
    for yaw in (0, 0.2, 0.4, 0.8, 1.6):
        assert hidden_share(before_a_wall(3), yaw) <= hidden_share(before_a_wall(3), yaw, thin_width=0)


def test_the_surface_stays_closed_and_each_piece_is_closed():
    depth = before_a_wall(3)
    mesh, surface = build(depth), build(depth, thin_width=0)
    pieces = mesh.faces[len(surface.faces) :]
    thin = torch.zeros_like(depth, dtype=torch.bool)
    thin[1:-1, 1:-1] = depth[1:-1, 1:-1] == NEAR
    assert torch.equal(mesh.faces[: len(surface.faces)], surface.faces)
    assert len(pieces) == 4 * thin_things.faces_of(thin).sum()
    edges = torch.cat([pieces[:, [0, 1]], pieces[:, [1, 2]], pieces[:, [2, 0]]])
    there, back = ({tuple(edge) for edge in each.tolist()} for each in (edges, edges.flip(1)))
    assert there == back
    assert len(there) == len(edges)


def test_mixtures_at_an_edge_are_neither_thin_nor_a_stain_on_the_wall():
    depth, colors = before_a_wall(3), torch.full((HEIGHT, WIDTH, 3), 200, dtype=torch.uint8)
    colors[:, MIDDLE - 1 : MIDDLE + 2] = 10
    depth[:, MIDDLE + 2], colors[:, MIDDLE + 2] = 4.0, 60
    mesh = build_watertight(colors, depth, LENS)
    assert view(mesh, 0).color[50, MIDDLE + 2, 0] == pytest.approx(60, abs=1)
    aside = view(mesh, 20)
    wall = aside.mask & (aside.depth > 3)
    assert (aside.color[wall] == 200).all()


def test_more_thin_things_than_pieces_stay_in_the_surface_of_the_lower_rows():
    depth = torch.full((HEIGHT, WIDTH), FAR)
    depth[:, 8::8] = NEAR
    mesh = build(depth)
    pieces = (len(mesh.vertices) - HEIGHT * WIDTH - 1) // 4
    assert 0.9 * thin_things.count(HEIGHT, WIDTH) < pieces <= thin_things.count(HEIGHT, WIDTH)
    assert (mesh.vertices[: HEIGHT * WIDTH, 2].view(HEIGHT, WIDTH)[1:3, 16] == FAR).all()
    assert (mesh.vertices[: HEIGHT * WIDTH, 2].view(HEIGHT, WIDTH)[-3:-1, 16] == NEAR).all()
    assert view(mesh, 0).mask.all()


def test_without_max_stretch_there_are_no_pieces():
    assert len(build(before_a_wall(3), max_stretch=0).vertices) == HEIGHT * WIDTH + 1


@pytest.mark.parametrize("yaw", [0, 20])
def test_renderers_agree(yaw):
    mesh = build(before_a_wall(3, rows=slice(30, None)))
    ours, theirs = view(mesh, yaw), view(mesh, yaw, TorchRenderer(TorchOptions(), device=CPU))
    assert torch.equal(ours.mask, theirs.mask)
    assert (ours.color.int() - theirs.color.int()).abs().max() <= 1


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_a_gpu_makes_the_same_mesh_with_unused_pieces_and_does_not_wait():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    depth, colors = before_a_wall(3).cuda(), frame().cuda()
    builder = WatertightMesh(WatertightOptions(), device=torch.device("cuda"))
    first = builder.build(colors, depth, LENS)
    torch.cuda.set_sync_debug_mode("error")
    try:
        theirs = builder.build(colors, depth, LENS)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert theirs.faces is first.faces
    ours = build(before_a_wall(3))
    torch.testing.assert_close(theirs.vertices.cpu()[: len(ours.vertices)], ours.vertices)
    assert torch.equal(theirs.face_occluded.cpu()[: len(ours.faces)], ours.face_occluded)
    assert len(theirs.vertices) == HEIGHT * WIDTH + 1 + 4 * thin_things.count(HEIGHT, WIDTH)
    there, here = view(theirs.to("cpu"), 20), view(ours, 20)
    assert torch.equal(there.mask, here.mask)
