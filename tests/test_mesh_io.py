"""Meshes survive their files, and other programs can open them."""

import json
import struct

import attrs
import numpy as np
import pytest
import torch
import trimesh

from ex4d_core.errors import InputNotFound, InvalidInput, OutputFailed
from ex4d_core.geometry.watertight import build_watertight
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.mesh_io import read_mesh, write_mesh
from ex4d_core.types import Intrinsics

FIELDS = ("vertices", "faces", "vertex_colors", "face_occluded", "max_stretch")


@pytest.fixture
def mesh():
    depth = torch.where(torch.arange(9) < 4, 1.0, 4.0).repeat(7, 1)
    frame = torch.randint(0, 256, (7, 9, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return build_watertight(frame, depth, Intrinsics.from_fov(width=9, height=7))


@pytest.mark.parametrize("name", ["mesh.ply", "MESH.PLY"])
def test_a_ply_keeps_everything(mesh, tmp_path, name):
    write_mesh(mesh, tmp_path / name)
    back = read_mesh(tmp_path / name)
    for field in FIELDS:
        wanted = mesh.faces.flip(1) if field == "faces" else getattr(mesh, field)  # outwards
        assert torch.equal(getattr(back, field), wanted), field


@pytest.mark.parametrize("cap", ["stitched", "corners"])
@pytest.mark.parametrize("suffix", ["ply", "glb"])
def test_faces_turn_outwards_and_have_the_colors_of_the_frame(tmp_path, cap, suffix):
    depth = torch.where(torch.arange(9) < 4, 1.0, 4.0).repeat(7, 1)
    frame = torch.arange(7 * 9 * 3).remainder(256).view(7, 9, 3).to(torch.uint8)
    options = WatertightOptions(cap=cap)
    mesh = build_watertight(frame, depth, Intrinsics.from_fov(width=9, height=7), options)
    write_mesh(mesh, tmp_path / f"mesh.{suffix}")
    (loaded,) = trimesh.load_scene(tmp_path / f"mesh.{suffix}", process=False).geometry.values()
    assert loaded.volume > 0
    toward_camera = (loaded.face_normals * -loaded.triangles_center).sum(axis=1) > 0
    blocks = 2 * 6 * 8  # the cap comes after them
    assert toward_camera[:blocks][~mesh.face_occluded[:blocks].numpy()].all()
    if suffix == "ply":
        assert np.array_equal(loaded.visual.vertex_colors[:63, :3], frame.view(-1, 3))
    else:
        linear = loaded.visual.vertex_attributes["color"][:63, :3]
        assert np.array_equal(np.argsort(linear, axis=None), np.argsort(frame.view(-1, 3).numpy(), axis=None))


def test_open_meshes_and_meshes_that_face_outwards_keep_the_order_of_vertices(tmp_path, mesh):
    write_mesh(mesh, tmp_path / "closed.ply")
    outwards = read_mesh(tmp_path / "closed.ply")
    visible = mesh.faces[~mesh.face_occluded]
    sheet = attrs.evolve(
        mesh, faces=visible, face_occluded=torch.zeros(len(visible), dtype=torch.bool), max_stretch=None
    )
    for name, kept in (("outwards.ply", outwards), ("sheet.ply", sheet)):
        write_mesh(kept, tmp_path / name)
        assert torch.equal(read_mesh(tmp_path / name).faces, kept.faces)


def test_a_ply_says_in_its_header_what_it_holds(mesh, tmp_path):
    write_mesh(mesh, tmp_path / "mesh.ply")
    header = (tmp_path / "mesh.ply").read_bytes().split(b"end_header")[0].decode().splitlines()
    assert header[1] == "format binary_little_endian 1.0"
    properties = [line.removeprefix("property ") for line in header if line.startswith("property")]
    colors = [f"uchar {name}" for name in ("red", "green", "blue", "alpha")]
    of_faces = ["list uchar int vertex_indices", "uchar occluded", "float max_stretch"]
    assert properties == ["float x", "float y", "float z", *colors, *of_faces]


def test_alpha_is_zero_where_an_occluded_face_is(mesh, tmp_path):
    write_mesh(mesh, tmp_path / "mesh.ply")
    alpha = trimesh.load_mesh(tmp_path / "mesh.ply", process=False).visual.vertex_colors[:, 3]
    assert np.array_equal(alpha, np.where(mesh.vertex_alpha(), 255, 0))
    assert 0 < (alpha > 0).mean() < 1


def test_a_glb_is_upright_and_shows_what_was_seen(mesh, tmp_path):
    write_mesh(mesh, tmp_path / "mesh.glb")
    data = (tmp_path / "mesh.glb").read_bytes()
    tree = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
    (material,) = tree["materials"]
    (primitive,) = tree["meshes"][0]["primitives"]
    assert (material["alphaMode"], material["doubleSided"], primitive["material"]) == ("MASK", True, 0)
    assert set(primitive["attributes"]) == {"POSITION", "COLOR_0"}
    (loaded,) = trimesh.load(tmp_path / "mesh.glb", process=False).geometry.values()
    assert np.array_equal(loaded.vertices, mesh.vertices * torch.tensor([1, -1, -1]))
    assert np.array_equal(loaded.faces, mesh.faces.flip(1))


def test_colors_of_a_glb_are_linear_as_gltf_requires(mesh, tmp_path):
    gray = attrs.evolve(mesh, vertex_colors=torch.full_like(mesh.vertex_colors, 128))
    write_mesh(gray, tmp_path / "mesh.glb")
    (loaded,) = trimesh.load(tmp_path / "mesh.glb", process=False).geometry.values()
    colors = loaded.visual.vertex_attributes["color"]
    assert colors.dtype == np.uint16
    assert np.allclose(colors[:, :3] / 65535, 0.2159, atol=1e-4)  # 128 / 255 by the sRGB curve


def test_a_ply_of_another_program_is_white_and_all_of_it_was_seen(tmp_path):
    trimesh.creation.box().export(tmp_path / "box.ply")
    box = read_mesh(tmp_path / "box.ply")
    assert box.faces.shape == (12, 3)
    assert (box.vertex_colors == 255).all()
    assert not box.face_occluded.any()


def test_nothing_but_the_file_is_left_in_the_folder(mesh, tmp_path):
    write_mesh(mesh, tmp_path / "new" / "mesh.ply")
    write_mesh(mesh, str(tmp_path / "new" / "mesh.ply"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mesh.ply"]


@pytest.mark.parametrize("name", ["mesh.obj", "mesh"])
def test_other_endings_are_refused(mesh, tmp_path, name):
    with pytest.raises(InvalidInput, match=r"has no suffix of a mesh file; use \.ply or \.glb"):
        write_mesh(mesh, tmp_path / name)


def test_a_folder_that_cannot_be_made_is_named(mesh, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match=r"mesh\.ply cannot be written"):
        write_mesh(mesh, tmp_path / "file" / "mesh.ply")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputNotFound, match=r"the mesh file .*none\.ply does not exist"):
        read_mesh(tmp_path / "none.ply")


@pytest.mark.parametrize("content", [b"", b"ply\nnonsense", b"solid"])
def test_a_file_that_is_no_ply_is_refused(tmp_path, content):
    (tmp_path / "bad.ply").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"bad\.ply is not a readable PLY mesh"):
        read_mesh(tmp_path / "bad.ply")


def test_a_file_cut_short_is_refused(mesh, tmp_path):
    write_mesh(mesh, tmp_path / "mesh.ply")
    (tmp_path / "cut.ply").write_bytes((tmp_path / "mesh.ply").read_bytes()[:-50])
    with pytest.raises(InvalidInput, match=r"cut\.ply is not a readable PLY mesh"):
        read_mesh(tmp_path / "cut.ply")


def test_points_without_triangles_are_refused(tmp_path):
    trimesh.PointCloud(np.eye(3)).export(tmp_path / "points.ply")
    with pytest.raises(InvalidInput, match="holds no triangles; give a PLY with vertices and faces"):
        read_mesh(tmp_path / "points.ply")
