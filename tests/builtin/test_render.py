"""What the renderers draw, and that the fast one and its slow twin draw the same."""

import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numba
import numpy as np
import pytest
import torch

from ex4d_core.builtin import _rasterize
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_raycast import RaycastRenderer
from ex4d_core.builtin.render_zbuffer import rasterize
from ex4d_core.config.presets import preset_options
from ex4d_core.errors import InvalidInput, PluginFailed
from ex4d_core.geometry.watertight import build_watertight
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.plugins.registry import Registry
from ex4d_core.types import Intrinsics
from tests.helpers.render_scenes import FRONT, facing_quad, joined, mesh_of, orbit, quad, stepped_mesh
from tests.helpers.renderers import CPU, ON_GPU, assert_same, in_torch, nvdiffrast, raycast, zbuffer

pytestmark = pytest.mark.slow

SMALL = Intrinsics.from_focal(100, width=64, height=48)
EX4D = WatertightOptions(**preset_options("ex4d", Registry().find("mesh", "watertight").spec))
RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture(params=[zbuffer, raycast, in_torch, *ON_GPU])
def make(request):
    return request.param


@pytest.fixture
def renderer(make):
    return make()


def rays(intrinsics):
    """Return x / z and y / z through the middles of the pixels, [W] and [H, 1]."""
    x = (np.arange(intrinsics.width) + 0.5 - intrinsics.cx) / intrinsics.fx
    return x, ((np.arange(intrinsics.height) + 0.5 - intrinsics.cy) / intrinsics.fy)[:, None]


def is_empty(view):
    return not view.mask.any() and not view.color.any() and bool(torch.isinf(view.depth).all())


def test_a_quad_covers_the_pixels_whose_middles_it_covers(renderer):
    view = renderer.render(facing_quad(2.0, half_width=0.2, half_height=0.1, color=GREEN), FRONT, SMALL)
    inside = torch.zeros(48, 64, dtype=torch.bool)
    inside[24 - 5 : 24 + 5, 32 - 10 : 32 + 10] = True
    assert torch.equal(view.mask, inside)
    assert (view.color[inside] == torch.tensor(GREEN, dtype=torch.uint8)).all()
    assert not view.color[~inside].any()
    torch.testing.assert_close(view.depth[inside], torch.full((200,), 2.0))
    assert torch.isinf(view.depth[~inside]).all()


def test_the_source_camera_sees_known_pixels_beside_unknown_ones(make):
    """Their centers are on the edge of what is seen, where rounding would decide."""
    generator = torch.manual_seed(0)
    coarse = torch.rand(8, 12, generator=generator) > 0.3
    known = coarse.repeat_interleave(6, 0).repeat_interleave(6, 1)[:, :64]
    depth = torch.rand(48, 64, generator=generator) + 3
    frame = torch.full((48, 64, 3), 200, dtype=torch.uint8)
    mesh = build_watertight(frame, depth, SMALL, valid=known)
    mask = make(RasterOptions(min_patch=0)).render(mesh, FRONT, SMALL).mask
    assert mask[known].float().mean() > 0.995
    assert not mask[~known].any()


def test_the_source_camera_sees_the_frame_itself(renderer):
    camera = Intrinsics.from_fov(100, width=96, height=64)
    mesh = stepped_mesh(camera, WatertightOptions(pixel_center=0.5))
    view = renderer.render(mesh, FRONT, camera)
    inside = mesh.vertex_alpha()[: 64 * 96].reshape(64, 96)
    inside[:2], inside[-2:], inside[:, :2], inside[:, -2:] = False, False, False, False
    assert inside.float().mean() > 0.7
    assert view.mask[inside].all()
    assert torch.equal(view.color[inside], mesh.vertex_colors[: 64 * 96].reshape(64, 96, 3)[inside])


def test_colors_are_interpolated_in_space_not_in_the_image(renderer):
    # A wall that recedes from z = 1 at the left to z = 9 at the right; red grows with x in space.
    wall = quad([[-1, -1, 1], [3, -1, 9], [3, 1, 9], [-1, 1, 1]], [[0, 0, 0], [255, 0, 0], [255, 0, 0], [0, 0, 0]])
    camera = Intrinsics(fx=30, fy=30, cx=32, cy=4, width=64, height=9)
    view = renderer.render(wall, FRONT, camera)
    x, _ = rays(camera)
    z = 3 / (1 - 2 * x)  # z = 2 x_space + 3 and x_space = x z
    expected = 255 * (x * z + 1) / 4
    on_wall = (z > 1.1) & (z < 8.5)
    assert on_wall.sum() > 25
    assert np.abs(view.color[4, :, 0].numpy() - expected)[on_wall].max() <= 1
    np.testing.assert_allclose(view.depth[4].numpy()[on_wall], z[on_wall], rtol=1e-5)
    # What interpolation in the image would give is far off, so this test can tell the two apart.
    edges = (-1, 1 / 3)
    assert np.abs(255 * (x - edges[0]) / (edges[1] - edges[0]) - expected)[on_wall].max() > 50


def test_a_floor_that_passes_under_the_camera_is_cut_at_the_near_plane(make):
    # Green grows from 0 at z = -20, behind the camera, to 255 at z = 20.
    floor = quad([[-30, 1, -20], [30, 1, -20], [30, 1, 20], [-30, 1, 20]], [[0, 0, 0]] * 2 + [GREEN] * 2)
    camera = Intrinsics.from_focal(20, width=64, height=81)
    _, y = rays(camera)
    z = np.divide(1, y[:, 0], out=np.full(81, np.inf), where=y[:, 0] > 0)
    seen = z < 19
    for near, nearest in ((1e-3, 0.0), (0.75, 0.75)):
        view = make(RasterOptions(near=near)).render(floor, FRONT, camera)
        drawn = seen & (z > nearest)
        assert drawn.sum() > 20
        assert torch.equal(view.mask[:, 32][torch.from_numpy(z < 20)], torch.from_numpy((z > nearest)[z < 20]))
        np.testing.assert_allclose(view.depth[:, 32].numpy()[drawn], z[drawn], rtol=1e-4)
        assert np.abs(view.color[:, 32, 1].numpy() - 255 * (z + 20) / 40)[drawn].max() <= 1


def test_surfaces_beyond_the_far_plane_are_cut_away(make):
    assert is_empty(make(RasterOptions(far=1.5)).render(facing_quad(2.0), FRONT, SMALL))


def test_a_mesh_behind_the_camera_is_not_seen(renderer):
    assert is_empty(renderer.render(facing_quad(-2.0), FRONT, SMALL))


def test_a_mesh_without_faces_is_not_seen(renderer):
    assert is_empty(renderer.render(mesh_of([], []), FRONT, SMALL))
    assert is_empty(renderer.render(mesh_of([[0, 0, 1]], []), FRONT, SMALL))


def test_faces_without_area_are_not_seen(renderer):
    point = mesh_of([[0, 0, 1], [0, 0, 1], [0, 0, 1]], [[0, 1, 2], [0, 0, 0]])
    line = mesh_of([[-1, -0.3, 2], [0, 0.1, 2], [1, 0.5, 2]], [[0, 1, 2], [0, 0, 2]])
    assert is_empty(renderer.render(joined(point, line), FRONT, SMALL))


@pytest.mark.parametrize("make_any", [zbuffer, in_torch, *ON_GPU])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_faces_at_a_vertex_that_is_no_number_are_not_seen_and_the_others_are(make_any, bad):
    broken = mesh_of([[-1, -1, 1], [1, -1, 1], [0, bad, 1], [0, 1, bad]], [[0, 1, 2], [0, 1, 3]])
    alone = facing_quad(2.0, color=RED)
    for pose in (FRONT, orbit(20)):
        assert_same(make_any().render(joined(broken, alone), pose, SMALL), make_any().render(alone, pose, SMALL))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 5), (33, 17), (5, 64)])
def test_any_size_is_rendered(renderer, width, height):
    camera = Intrinsics.from_focal(10, width=width, height=height)
    view = renderer.render(facing_quad(1.0, half_width=50, half_height=50, color=RED), FRONT, camera)
    assert view.color.shape == (height, width, 3)
    assert view.mask.all()


def test_the_nearest_surface_wins_whatever_the_order(renderer):
    near, far = facing_quad(2.0, color=RED), facing_quad(3.0, half_width=1, half_height=1, color=GREEN)
    for mesh in (joined(near, far), joined(far, near)):
        view = renderer.render(mesh, FRONT, SMALL)
        assert view.color[24, 32].tolist() == list(RED)
        assert view.color[10, 10].tolist() == list(GREEN)


@pytest.mark.parametrize("make_any", [zbuffer, in_torch, *ON_GPU[:2]])
def test_the_first_of_two_surfaces_in_one_place_wins(make_any):
    red, green = facing_quad(2.0, color=RED), facing_quad(2.0, color=GREEN)
    assert make_any().render(joined(red, green), FRONT, SMALL).color[24, 32].tolist() == list(RED)
    assert make_any().render(joined(green, red), FRONT, SMALL).color[24, 32].tolist() == list(GREEN)


def test_both_sides_of_a_face_are_seen(renderer):
    front = facing_quad(2.0)
    back = mesh_of(front.vertices, front.faces.flip(1))
    one, other = renderer.render(front, FRONT, SMALL), renderer.render(back, FRONT, SMALL)
    assert torch.equal(one.mask, other.mask)
    assert torch.equal(one.color, other.color)
    torch.testing.assert_close(one.depth, other.depth, rtol=1e-6, atol=0)


def test_occluded_faces_hide_what_is_behind_them(renderer):
    wall, screen = facing_quad(4.0, half_width=2, half_height=2, color=GREEN), facing_quad(2.0)
    unseen = mesh_of(screen.vertices, screen.faces, occluded=[True, True])
    view = renderer.render(joined(wall, unseen), FRONT, SMALL)
    assert not view.mask[20:28, 23:41].any()
    assert not view.color[20:28, 23:41].any()
    assert (view.depth[20:28, 23:41] - 2).abs().max() < 1e-5
    assert view.mask[:18].all()


def test_a_pixel_is_seen_where_the_alpha_between_the_vertices_is_above_125_of_255(renderer):
    # The right corners belong to an occluded sliver, so alpha falls from 1 at the left to 0 at the right.
    ramp = mesh_of(
        [[-0.5, -0.1, 1], [0.5, -0.1, 1], [0.5, 0.1, 1], [-0.5, 0.1, 1], [0.5, 0, 1.1]],
        [[0, 1, 2], [0, 2, 3], [1, 2, 4]],
        occluded=[False, False, True],
    )
    alpha = 1 - (np.arange(255) + 0.5) / 255
    view = renderer.render(ramp, FRONT, Intrinsics.from_focal(255, width=255, height=9))
    assert view.mask[4].numpy().tolist() == (alpha * 255 > 125).tolist()


def test_a_grid_has_no_cracks(renderer):
    camera = Intrinsics.from_fov(width=96, height=64)
    mesh = stepped_mesh(Intrinsics.from_fov(width=48, height=48), WatertightOptions(cap="stitched"))
    inside = mesh.vertices.mean(dim=0, keepdim=True)
    for yaw in (0, 37, 90, 145, 180, 200, 270):
        pose = orbit(yaw)
        pose[:3, 3] = -(pose[:3, :3] @ inside[0])  # from inside a closed mesh every ray ends on it
        assert torch.isfinite(renderer.render(mesh, pose, camera).depth).all()


def test_rendering_changes_none_of_its_arguments(renderer):
    mesh, pose = stepped_mesh(SMALL), orbit(30)
    before = [tensor.clone() for tensor in (mesh.vertices, mesh.faces, mesh.vertex_colors, mesh.face_occluded, pose)]
    renderer.render(mesh, pose, SMALL)
    after = (mesh.vertices, mesh.faces, mesh.vertex_colors, mesh.face_occluded, pose)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("yaw", [0, 30, 90])
def test_the_picture_does_not_depend_on_the_number_of_threads(yaw):
    mesh = stepped_mesh(SMALL)
    one = zbuffer(RasterOptions(threads=1)).render(mesh, orbit(yaw), SMALL)
    for threads in (2, 5, 100):
        assert_same(one, zbuffer(RasterOptions(threads=threads)).render(mesh, orbit(yaw), SMALL))


@pytest.mark.parametrize("make_any", [zbuffer, in_torch, *ON_GPU])
def test_one_renderer_serves_several_threads_at_once(make_any):
    mesh, poses, renderer = stepped_mesh(SMALL), [orbit(yaw) for yaw in range(0, 90, 10)], make_any()
    alone = [renderer.render(mesh, pose, SMALL) for pose in poses]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pose: renderer.render(mesh, pose, SMALL), poses))
    for a, b in zip(alone, together, strict=True):
        assert_same(a, b)


def test_a_camera_that_moves_is_a_mesh_that_moves_the_other_way(renderer):
    mesh, pose = stepped_mesh(SMALL, WatertightOptions(max_stretch=0)), orbit(25)
    moved = mesh_of(mesh.vertices @ pose[:3, :3].T + pose[:3, 3], mesh.faces, mesh.vertex_colors, mesh.face_occluded)
    a, b = renderer.render(mesh, pose, SMALL), renderer.render(moved, FRONT, SMALL)
    assert (a.mask != b.mask).float().mean() < 0.002
    assert ((a.color.int() - b.color.int()).abs().amax(-1) > 2).float().mean() < 0.002


def near_an_edge(view, *, pixels=2, step=0.15):
    """Return where the mask or the depth of a view jumps within so many pixels, bool [H, W]."""
    ring = np.ones((3, 3), np.uint8)
    depth = np.minimum(view.depth.numpy(), 1e4)
    mask = view.mask.numpy().astype(np.uint8)
    jumps = (cv2.dilate(depth, ring) > (1 + step) * cv2.erode(depth, ring)) | (
        cv2.dilate(mask, ring) != cv2.erode(mask, ring)
    )
    return torch.from_numpy(cv2.dilate(jumps.astype(np.uint8), np.ones((2 * pixels - 1,) * 2, np.uint8)) > 0)


@pytest.mark.parametrize("options", [WatertightOptions(), EX4D], ids=["ours", "ex4d"])
@pytest.mark.parametrize("yaw", [0, 30, -90, 90])
@pytest.mark.parametrize("make_fast", [zbuffer, in_torch, *ON_GPU])
def test_a_fast_renderer_draws_what_the_slow_twin_draws(make_fast, yaw, options, record_property):
    camera = Intrinsics.from_fov(100, width=256, height=192)
    mesh = stepped_mesh(camera, options)
    slow = raycast().render(mesh, orbit(yaw), camera)
    fast = make_fast().render(mesh, orbit(yaw), camera)
    edge = near_an_edge(slow)
    differs = (fast.mask != slow.mask) | ((fast.color.int() - slow.color.int()).abs().amax(-1) > 1)
    record_property("share that differs near edges", differs[edge].float().mean().item())
    assert slow.mask.float().mean() > 0.2
    assert not differs[~edge].any()
    assert differs[edge].float().mean() < 0.005


@pytest.mark.parametrize("make_other", [in_torch, *ON_GPU])
@pytest.mark.parametrize(("width", "height"), [(512, 288), (333, 201)])
@pytest.mark.parametrize("yaw", [0, 45, -80])
def test_renderers_draw_the_same_picture(make_other, width, height, yaw, record_property):
    camera = Intrinsics.from_fov(80, width=width, height=height)
    mesh = stepped_mesh(camera)
    one, other = zbuffer().render(mesh, orbit(yaw), camera), make_other().render(mesh, orbit(yaw), camera)
    edge = near_an_edge(one)
    far_off = (one.color.int() - other.color.int()).abs().amax(-1) > 1
    near_edges = ((one.mask != other.mask) | far_off)[edge].float().mean().item()
    record_property("share that differs near edges", near_edges)
    inside = ~edge & torch.isfinite(one.depth)
    depth_off = ~torch.isclose(other.depth, one.depth, rtol=1e-4, atol=1e-5)[inside]
    assert torch.equal(one.mask[~edge], other.mask[~edge])
    if make_other is nvdiffrast:  # moves corners to a grid of 1/16 pixel, which shows where surfaces are steep
        assert far_off[~edge].float().mean() < 0.005
        assert depth_off.float().mean() < 0.02
        assert near_edges < 0.05
    else:
        assert not far_off[~edge].any()
        assert not depth_off.any()
        assert near_edges < 0.005


@pytest.mark.parametrize("make_any", [zbuffer, in_torch, *ON_GPU])
def test_a_large_view_of_a_small_mesh(make_any):
    camera = Intrinsics.from_fov(80, width=2048, height=2048)
    view = make_any().render(facing_quad(2.0, half_width=1, half_height=1, color=GREEN), FRONT, camera)
    side = round(2 * camera.fx / 2)
    assert view.mask.sum().item() == pytest.approx(side**2, rel=0.003)
    assert (view.color[view.mask] == torch.tensor(GREEN, dtype=torch.uint8)).all()


@pytest.mark.parametrize("make_any", [zbuffer, in_torch, *ON_GPU])
def test_meshes_of_other_sizes_take_turns(make_any):
    """What a renderer keeps of one mesh must not leak into the picture of the next."""
    cameras = [SMALL, Intrinsics.from_focal(60, width=40, height=40)]
    meshes = [stepped_mesh(camera) for camera in cameras]
    renderer = make_any()
    for _ in range(2):
        for mesh, camera in zip(meshes, cameras, strict=True):
            assert_same(renderer.render(mesh, orbit(20), camera), make_any().render(mesh, orbit(20), camera))


def test_any_number_of_channels_is_interpolated_and_the_places_of_vertices_give_the_points_seen():
    mesh = stepped_mesh(SMALL)
    vertices = mesh.vertices.numpy()
    attributes = np.concatenate([vertices, vertices[:, ::-1], np.ones((len(vertices), 1), np.float32)], axis=1)
    values, depth, face_index = rasterize(vertices, mesh.faces.numpy(), attributes, SMALL)
    x, y = rays(SMALL)
    hit = face_index >= 0
    z = np.where(hit, depth, 0)
    points = np.stack([x * z, y * z, z], axis=-1)
    expected = np.concatenate([points, points[..., ::-1], hit[..., None]], axis=-1)
    assert hit.mean() > 0.9
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)
    assert np.isinf(depth[~hit]).all()


def test_a_face_that_names_a_missing_vertex_is_an_error(renderer):
    broken = mesh_of([[0, 0, 1]] * 3, [[0, 1, 7]])
    with pytest.raises(InvalidInput, match=r"3 vertices.* 0 to 7"):
        renderer.render(broken, FRONT, SMALL)
    with pytest.raises(InvalidInput, match="-1 to 1"):
        renderer.render(mesh_of([[0, 0, 1]] * 3, [[0, 1, -1]]), FRONT, SMALL)


def test_more_than_one_pose_is_an_error(renderer):
    with pytest.raises(InvalidInput, match=r"must be \[4, 4\], the pose of one frame, not \[2, 4, 4\]"):
        renderer.render(facing_quad(2.0), FRONT.repeat(2, 1, 1), SMALL)


def test_a_far_plane_before_the_near_plane_is_an_error():
    with pytest.raises(ValueError, match=r"far must be greater than near"):
        RasterOptions(near=2.0, far=1.0)


def test_without_open3d_the_ray_caster_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(PluginFailed, match=r"pip install open3d-cpu.*libusb-1\.0-0"):
        RaycastRenderer(RasterOptions(), device=CPU)


def test_the_loops_compile_where_nothing_can_be_kept_on_disk(monkeypatch):
    njit = numba.njit

    def without_cache(*, cache=False, **settings):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**settings)

    monkeypatch.setattr(numba, "njit", without_cache)
    assert _rasterize._compiled(lambda x: x + 1)(1) == 2


def test_a_very_distant_sky_hides_nothing_from_the_ray_caster():
    """It computes in float32, and lost faces between near and far."""
    depth = torch.full((32, 32), 2.0)
    depth[:12] = 1e8
    frame = torch.arange(32 * 32 * 3).remainder(251).to(torch.uint8).view(32, 32, 3)
    lens = Intrinsics.from_fov(width=32, height=32)
    mesh = build_watertight(frame, depth, lens)
    view = raycast().render(mesh, torch.eye(4), lens)
    assert view.mask.float().mean() > 0.99
    assert ((view.depth - depth).abs() < 0.01 * depth)[1:-1, 1:-1].float().mean() > 0.9
