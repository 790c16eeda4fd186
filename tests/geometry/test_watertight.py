"""The depth watertight mesh: closed, oriented, and honest about what nobody saw."""

from collections import Counter

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.watertight import build_watertight, grid_faces
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.types import Intrinsics

SIZES = [(2, 2), (2, 3), (3, 2), (3, 5), (4, 4), (7, 12), (17, 10)]
CPU = torch.device("cpu")


def random_depth(height, width):
    return 1 + 9 * torch.rand(height, width, generator=torch.Generator().manual_seed(height * width))


def slope(height, width):
    return (1 + 0.02 * torch.arange(width)).repeat(height, 1)


def step(height, width):
    return torch.where(torch.arange(width) < width // 2, 1.0, 5.0).repeat(height, 1)


def holes(height, width):
    depth = random_depth(height, width)
    for count, bad in enumerate((torch.nan, 0.0, -1.0, torch.inf, -torch.inf, 1e30)):
        depth.view(-1)[count::11] = bad
    return depth


def nothing(height, width):
    return torch.full((height, width), torch.nan)


SHAPES = [random_depth, slope, step, holes, nothing]


def build(depth, *, valid=None, frame=None, fov=54.2, **options):
    height, width = depth.shape
    if frame is None:
        frame = torch.arange(height * width * 3).reshape(height, width, 3).to(torch.uint8)
    camera = Intrinsics.from_fov(fov, width=width, height=height)
    return build_watertight(frame, depth, camera, WatertightOptions(**options), valid=valid)


def directed_edges(faces):
    a, b, c = faces.T.tolist()
    return Counter(zip(a + b + c, b + c + a, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_each_edge_has_one_face_on_either_side_and_both_turn_the_same_way(size, shape):
    edges = directed_edges(build(shape(*size)).faces)
    assert set(edges.values()) == {1}
    assert all((b, a) in edges for a, b in edges)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_mesh_is_one_sphere_that_uses_every_vertex(size):
    mesh = build(random_depth(*size))
    vertices, edges, faces = len(mesh.vertices), len(directed_edges(mesh.faces)) // 2, len(mesh.faces)
    assert vertices == size[0] * size[1] + 1 == len(mesh.faces.unique())
    assert vertices - edges + faces == 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(3, 5), (8, 7), (17, 10)], ids=str)
def test_open3d_calls_it_watertight(size, shape):
    open3d = pytest.importorskip("open3d", exc_type=(ImportError, OSError))
    mesh = build(shape(*size))
    theirs = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(mesh.vertices.double().numpy()), open3d.utility.Vector3iVector(mesh.faces.numpy())
    )
    assert theirs.is_edge_manifold(allow_boundary_edges=False)
    assert theirs.is_orientable()
    assert theirs.is_watertight()


def test_a_face_seen_from_the_source_turns_its_front_to_it():
    mesh = build(torch.full((4, 4), 2.0))
    a, b, c = mesh.vertices[mesh.faces[:9].long()].unbind(1)
    assert (torch.linalg.cross(b - a, c - a)[:, 2] < 0).sum() == 0


def pixels_of(mesh, height, width, *, seen):
    faces = mesh.faces[~mesh.face_occluded if seen else mesh.face_occluded].long()
    touched = torch.zeros(len(mesh.vertices), dtype=torch.bool)
    touched[faces.flatten()] = True
    return touched[: height * width].view(height, width)


@settings(deadline=None, max_examples=40)
@given(
    data=st.data(), size=st.tuples(st.integers(2, 9), st.integers(2, 9)), cap=st.sampled_from(["stitched", "corners"])
)
def test_no_face_at_an_unknown_pixel_is_seen(data, size, cap):
    values = st.sampled_from([1.0, 1.01, 3.0, 0.0, -2.0, float("nan"), float("inf")])
    count = size[0] * size[1]
    depth = torch.tensor(data.draw(st.lists(values, min_size=count, max_size=count))).view(size)
    valid = torch.tensor(data.draw(st.lists(st.booleans(), min_size=count, max_size=count))).view(size)
    rule = data.draw(st.sampled_from(["angle", "boundary"]))
    mesh = build(depth, valid=valid, cap=cap, occlusion=rule)
    unknown = ~(valid & (depth > 0) & torch.isfinite(depth))
    grid = attrs.evolve(
        mesh,
        faces=mesh.faces[: 2 * (size[0] - 1) * (size[1] - 1)],
        face_occluded=mesh.face_occluded[: 2 * (size[0] - 1) * (size[1] - 1)],
    )
    assert not (pixels_of(grid, *size, seen=True) & unknown).any()
    assert torch.isfinite(mesh.vertices).all()
    farthest = torch.where(unknown, 0.125, depth).max()
    assert (mesh.vertices[:count, 2].view(size)[unknown] >= 8 * farthest).all()


def test_a_flat_wall_is_seen_but_for_its_ring_and_cap():
    mesh = build(torch.full((6, 8), 2.0))
    inner = torch.zeros(6, 8, dtype=torch.bool)
    inner[1:-1, 1:-1] = True
    assert torch.equal(pixels_of(mesh, 6, 8, seen=True), inner)


def test_without_any_depth_the_mesh_is_closed_and_wholly_occluded():
    mesh = build(nothing(5, 6))
    assert mesh.face_occluded.all()
    assert torch.equal(mesh.vertices[:, 2], torch.tensor([1.0] * 30 + [1.1]))


@pytest.mark.parametrize("size", [(2, 2), (2, 9), (9, 2)], ids=str)
def test_a_frame_that_is_all_ring_is_wholly_occluded(size):
    assert build(slope(*size)).face_occluded.all()


def test_a_jump_in_depth_is_occluded_under_both_rules_and_a_slope_is_seen():
    for rule in ("angle", "boundary"):
        jump = build(step(6, 30), occlusion=rule)
        ramp = build(slope(6, 30), occlusion=rule)
        alpha = jump.vertex_alpha()[:180].view(6, 30)
        assert not alpha[2:-2, 14:16].any()
        assert alpha[2:-2, 2:13].all()
        assert alpha[2:-2, 17:-2].all()
        assert ramp.vertex_alpha()[:180].view(6, 30)[2:-2, 2:-2].all()


def slow_smallest_angle(mesh):
    a, b, c = mesh.vertices.double()[mesh.faces.long()].unbind(1)
    corners = [(b - a, c - a), (c - b, a - b), (a - c, b - c)]
    cosines = torch.stack([torch.cosine_similarity(u, v, dim=-1) for u, v in corners])
    return torch.rad2deg(torch.acos(cosines.clamp(-1, 1))).amin(0)


@pytest.mark.parametrize("min_angle", [0.5, 2.5, 20.0])
def test_the_angle_rule_is_the_smallest_angle_by_acos(min_angle):
    mesh = build(random_depth(31, 40) * 0.3, cap="corners", min_angle=min_angle)
    angle = slow_smallest_angle(mesh)
    clear = (angle - min_angle).abs() > 1e-3
    assert torch.equal(mesh.face_occluded[clear], angle[clear] < min_angle)
    assert mesh.face_occluded.any()
    assert not mesh.face_occluded.all()


@pytest.mark.parametrize("max_slope", [0.5, 2.0, 30.0])
def test_the_boundary_rule_is_the_extent_in_depth_over_the_extent_across(max_slope):
    mesh = build(random_depth(31, 40), cap="corners", occlusion="boundary", max_slope=max_slope)
    corners = mesh.vertices[mesh.faces.long()]
    x, y, z = (corners.amax(1) - corners.amin(1)).unbind(1)
    assert torch.equal(mesh.face_occluded, z > max_slope * torch.maximum(x, y))
    assert mesh.face_occluded.any()
    assert not mesh.face_occluded.all()


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_rules_do_not_depend_on_the_unit_of_depth(scale):
    depth = random_depth(20, 30)
    for rule in ("angle", "boundary"):
        one = build(depth, occlusion=rule, border_depth=50.0)
        other = build(depth * scale, occlusion=rule, border_depth=50.0 * scale)
        assert (one.face_occluded != other.face_occluded).sum() <= 1


def test_the_ring_is_behind_the_scene_unless_it_is_told_where_to_be():
    depth = random_depth(5, 5)
    for scale in (1e-4, 1, 1e4):
        assert build(depth * scale).vertices[0, 2] == 8 * (depth * scale).max()
    assert build(torch.full((5, 5), torch.nan)).vertices[0, 2] == 1
    deep = build(torch.full((5, 5), 300.0))
    assert deep.vertices[0, 2] == 2400
    assert deep.vertices[25, 2] > 2400
    assert build(torch.full((5, 5), 300.0), border_depth=7).vertices[0, 2] == 7


def test_the_last_vertex_is_behind_the_middle_of_the_ring():
    mesh = build(random_depth(4, 6), border_depth=10)
    middle = mesh.vertices[[0, 5, 18, 23]].mean(0)
    torch.testing.assert_close(mesh.vertices[24], torch.tensor([middle[0], middle[1], 11.0]))


def test_vertices_project_to_the_centers_of_their_pixels_and_the_ring_extends_the_image_a_little():
    camera = Intrinsics.from_fov(60, width=6, height=4)
    x, y, z = build(random_depth(4, 6), fov=60).vertices[:24].T
    rows, columns = np.mgrid[0:4, 0:6] + 0.5
    rows[0], rows[-1], columns[:, 0], columns[:, -1] = 0.5 - 1 / 16, 3.5 + 1 / 16, 0.5 - 1 / 16, 5.5 + 1 / 16
    torch.testing.assert_close(camera.fx * x / z + camera.cx, torch.from_numpy(columns.ravel()).float())
    torch.testing.assert_close(camera.fy * y / z + camera.cy, torch.from_numpy(rows.ravel()).float())


def test_faces_at_unknown_depth_and_of_the_cap_are_always_hidden_and_the_others_beyond_a_stretch():
    depth = step(6, 30)
    depth[3, 5] = torch.nan
    mesh = build(depth, max_stretch=1.75)
    at_unknown = (mesh.faces == 3 * 30 + 5).any(dim=1)
    assert set(mesh.max_stretch.unique().tolist()) == {0, 1.75}
    assert torch.equal(mesh.max_stretch == 0, at_unknown | (torch.arange(len(mesh.faces)) >= 2 * 5 * 29))
    assert build(depth, max_stretch=0).max_stretch is None


def test_colors_are_kept_beside_occluded_faces_unless_they_are_to_be_black():
    frame = torch.full((6, 30, 3), 200, dtype=torch.uint8)
    kept = build(step(6, 30), frame=frame)
    black = build(step(6, 30), frame=frame, hidden_colors="black")
    assert (kept.vertex_colors[:180] == 200).all()
    assert torch.equal(black.vertex_colors[:180, 0] == 0, ~black.vertex_alpha()[:180])


def test_nobody_changes_the_arguments():
    depth, valid = holes(6, 7), torch.rand(6, 7) > 0.2
    frame = torch.randint(0, 255, (6, 7, 3), dtype=torch.uint8)
    copies = depth.clone(), valid.clone(), frame.clone()
    first = build(depth, valid=valid, frame=frame, hidden_colors="black")
    second = build(depth, valid=valid, frame=frame, hidden_colors="black")
    assert torch.equal(depth.nan_to_num(), copies[0].nan_to_num())
    assert torch.equal(valid, copies[1])
    assert torch.equal(frame, copies[2])
    assert torch.equal(first.vertices, second.vertices)


def test_the_face_list_of_a_size_is_built_once():
    assert build(slope(9, 11)).faces is build(step(9, 11)).faces


@pytest.mark.parametrize("size", [(2, 2), (3, 5)])
def test_the_cap_between_the_corners_adds_two_faces_and_no_vertex(size):
    height, width = size
    faces = grid_faces(height, width, "corners", CPU)
    last = height * width - 1
    assert faces[-2:].tolist() == [[width - 1, 0, last], [last, 0, last - width + 1]]
    assert len(faces) == 2 * (height - 1) * (width - 1) + 2
    assert faces.max() == last


def test_the_component_builds_the_same_mesh():
    depth, options = random_depth(5, 6), WatertightOptions(min_angle=5.0)
    frame = torch.zeros(5, 6, 3, dtype=torch.uint8)
    camera = Intrinsics.from_fov(width=6, height=5)
    made = WatertightMesh(options, device=CPU).build(frame, depth, camera)
    expected = build_watertight(frame, depth, camera, options)
    assert torch.equal(made.vertices, expected.vertices)
    assert torch.equal(made.face_occluded, expected.face_occluded)


@pytest.mark.parametrize("size", [(1, 5), (5, 1), (1, 1), (0, 3)], ids=str)
def test_a_frame_below_two_pixels_is_refused(size):
    with pytest.raises(InvalidInput, match=r"needs a depth map \[H, W\] of at least 2x2 pixels, not .*; use a larger"):
        build_watertight(
            torch.zeros(*size, 3, dtype=torch.uint8), torch.ones(size), Intrinsics.from_fov(width=2, height=2)
        )


FRAME, DEPTH, CAMERA = torch.zeros(3, 4, 3, dtype=torch.uint8), torch.ones(3, 4), Intrinsics.from_fov(width=4, height=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frame": FRAME[:2]}, r"must be uint8 \[3, 4, 3\] as its depth is 4x3, not uint8\[2, 4, 3\]; resize"),
        ({"frame": FRAME.float()}, r"not float32\[3, 4, 3\]"),
        ({"intrinsics": Intrinsics.from_fov(width=3, height=4)}, "intrinsics are for 3x4 but the depth is 4x3; scale"),
        ({"valid": torch.ones(3, 3, dtype=torch.bool)}, r"mask of valid depth must be bool \[3, 4\], not bool\[3, 3\]"),
        ({"valid": torch.ones(3, 4)}, r"mask of valid depth must be bool \[3, 4\], not float32\[3, 4\]"),
    ],
)
def test_what_does_not_fit_the_depth_is_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        build_watertight(**{"frame": FRAME, "depth": DEPTH, "intrinsics": CAMERA, **arguments})


@pytest.mark.parametrize(
    "options",
    [
        {"occlusion": "other"},
        {"cap": "none"},
        {"hidden_colors": "red"},
        {"max_stretch": 0.5},
        {"border_depth": 0.0},
        {"min_angle": 61.0},
        {"max_slope": 0.0},
        {"pixel_center": 2.0},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        WatertightOptions(**options)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_the_mesh_of_a_gpu_is_the_mesh_of_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    camera, frame = Intrinsics.from_fov(width=12, height=7), torch.zeros(7, 12, 3, dtype=torch.uint8)
    ours = build_watertight(frame, holes(7, 12), camera)
    build = WatertightMesh(WatertightOptions(), device=torch.device("cuda")).build
    depth, frame = holes(7, 12).cuda(), frame.cuda()
    theirs = build(frame, depth, camera)
    torch.testing.assert_close(theirs.vertices.cpu(), ours.vertices)
    assert torch.equal(theirs.face_occluded.cpu(), ours.face_occluded)
    assert torch.equal(theirs.faces.cpu(), ours.faces)
    torch.cuda.set_sync_debug_mode("error")  # the second mesh of a size must not wait for the GPU
    try:
        again = build(frame, depth, camera)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(again.vertices, theirs.vertices)
