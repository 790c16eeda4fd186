"""Depth files and meshes of any content: a value, or one sentence that names the file."""

import io
import json
import os
import struct
import zipfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ex4d_core.builtin.depth_file import DepthFile
from ex4d_core.builtin.depth_file_options import DepthFileOptions
from ex4d_core.depth_io.read import open_depth
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.mesh_io import read_mesh, write_mesh
from ex4d_core.progress import silent
from ex4d_core.types import Mesh, Video
from ex4d_core.video_io import write_mask
from tests.helpers.hostile_bytes import mutated, refused

few = settings(
    derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

DEPTH = np.linspace(1, 2, 2 * 16 * 24, dtype=np.float32).reshape(2, 16, 24)


def everything(path):
    frames = open_depth(path)
    return frames.count, [maps.shape for maps in frames.read(range(frames.count))]


def estimated(path, **options):
    video = Video(frames=torch.zeros((2, 16, 24, 3), dtype=torch.uint8), fps=Fraction(12))
    return DepthFile(DepthFileOptions(path=str(path), **options), device=torch.device("cpu")).estimate(
        video, progress=silent
    )


def npz(**arrays):
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def npy(array):
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def exr(depth):
    data = io.BytesIO()
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, {"Z": depth}).write(data)
    return data.getvalue()


EXR = exr(DEPTH[0])

FILES = {
    "d.npz": npz(depth=DEPTH, K=np.array([[30.0, 0, 12], [0, 30, 8], [0, 0, 1]]), valid=np.ones(DEPTH.shape, bool)),
    "d.npy": npy(DEPTH),
    "d.exr": EXR,
    "d.png": cv2.imencode(".png", (DEPTH[0] * 1000).astype(np.uint16))[1].tobytes(),
    "d.tiff": cv2.imencode(".tiff", DEPTH[0])[1].tobytes(),
}


@few
@pytest.mark.parametrize("name", FILES)
@given(st.data())
def test_any_depth_is_read_or_named(tmp_path, name, data):
    (tmp_path / name).write_bytes(data.draw(mutated(FILES[name])))
    refused(everything, tmp_path / name)


@pytest.fixture(scope="module")
def gray_video(tmp_path_factory):
    path = tmp_path_factory.mktemp("gray") / "d.mkv"
    write_mask(torch.from_numpy(DEPTH > 1.5), path, fps=Fraction(12))
    return path.read_bytes()


@few
@given(st.data())
def test_any_depth_video_is_read_or_named(tmp_path, gray_video, data):
    (tmp_path / "d.mkv").write_bytes(data.draw(mutated(gray_video)))
    refused(everything, tmp_path / "d.mkv")


@few
@given(
    st.dictionaries(
        st.sampled_from(["kind", "scale", "intrinsics", "K", "world_to_camera", "valid"]),
        st.recursive(st.none() | st.floats() | st.text(max_size=5) | st.integers(), lambda x: st.lists(x, max_size=4)),
    )
)
def test_any_description_of_depth_maps_is_read_or_named(tmp_path, facts):
    refused(everything, described(tmp_path, json.dumps(facts)))


def described(tmp_path, text):
    """A folder of one depth map with a description."""
    folder = tmp_path / "maps"
    folder.mkdir(exist_ok=True)
    (folder / "0.png").write_bytes(FILES["d.png"])
    (folder / "depth.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"scale": "0.001"}', "the scale must be a number"),
        ('{"scale": null}', "the scale must be a number"),
        ('{"scale": 1e999}', "is too large"),
        (f'{{"scale": 1{"0" * 400}}}', "is not a readable description of depth maps"),
        ('{"K": [["a"]]}', r"intrinsics are \[1, 1\]"),
        (
            '{"K": [["30", "0", "12"], ["0", "30", "8"], ["0", "0", "1"]]}',
            "intrinsics contains .* they must be numbers",
        ),
        ("[" * 5000 + "]" * 5000, "deep"),
    ],
)
def test_a_description_of_other_types_is_named(tmp_path, text, message):
    with pytest.raises(InvalidInput, match=rf"depth\.json.*{message}"):
        open_depth(described(tmp_path, text))


LENS = np.array([[30.0, 0, 12], [0, 30, 8], [0, 0, 1]])
LEAST = np.where(LENS == 12, np.iinfo(np.int64).min, LENS.astype(np.int64))


@pytest.mark.parametrize(
    "arrays",
    [
        {"K": np.array([["a"] * 3] * 3)},
        {"K": np.full((3, 3), np.inf)},
        {"K": LENS * 1e30},
        {"K": LENS + 1j},
        {"K": LEAST},
        {"world_to_camera": np.full((2, 4, 4), 1e300)},
        {"world_to_camera": np.zeros((2, 4, 4))},
        {"valid": np.full(DEPTH.shape, "yes")},
    ],
    ids=["text", "infinite", "huge", "complex", "the least int64", "far", "no rotation", "valid of texts"],
)
def test_numbers_beside_depth_are_finite_and_in_range(tmp_path, arrays):
    np.savez(tmp_path / "d.npz", depth=DEPTH, **arrays)
    with pytest.raises(InvalidInput, match=r"d\.npz"):
        open_depth(tmp_path / "d.npz")


@pytest.mark.parametrize("name", ["d.npy", "d.npz", "maps"])
@pytest.mark.parametrize("values", [DEPTH + 1j, np.full(DEPTH.shape, "far")], ids=["complex", "text"])
def test_depth_is_numbers(tmp_path, name, values):
    if name == "d.npz":
        np.savez(tmp_path / name, depth=values)
    elif name == "d.npy":
        np.save(tmp_path / name, values)
    else:
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0.npy", values[0])
    with pytest.raises(InvalidInput, match=r"(d|0)\.np[yz] contains .* values"):
        open_depth(tmp_path / name)


@pytest.mark.parametrize("shape", [(0, 24), (16, 0), (24,), ()])
def test_maps_without_pixels_are_refused(tmp_path, shape):
    np.save(tmp_path / "0.npy", np.ones(shape))
    with pytest.raises(InvalidInput, match=r"0\.npy is an array of shape .*, not a depth map"):
        open_depth(tmp_path)


def test_depth_that_is_all_zero_is_said_to_be_zero(tmp_path):
    np.save(tmp_path / "d.npy", DEPTH * 0)
    with pytest.raises(InvalidInput, match=r"d\.npy .*all values are 0"):
        estimated(tmp_path / "d.npy")


def test_numbers_beyond_float32_are_as_good_as_infinite(tmp_path):
    values = DEPTH.astype(np.float64)
    values[0, 0, 0] = 1e300
    np.save(tmp_path / "d.npy", values)
    depth = estimated(tmp_path / "d.npy")
    assert depth.depth[0, 0, 0] == depth.depth.max() == 1e8
    assert depth.valid.all()
    inverse = estimated(tmp_path / "d.npy", kind="inverse")
    values[0, 0, 0] = np.nan
    np.save(tmp_path / "n.npy", values)
    assert torch.equal(inverse.depth, estimated(tmp_path / "n.npy", kind="inverse").depth)


@pytest.mark.parametrize("shape", [(3, 16, 24), (2, 16, 17)], ids=["other count", "other shape"])
def test_an_archive_that_does_not_fit_the_video_is_not_decoded(tmp_path, monkeypatch, shape):
    np.savez(tmp_path / "d.npz", depth=np.ones(shape), valid=np.ones(shape))
    monkeypatch.setattr("ex4d_core.arrays.Arrays._decode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(InvalidInput, match=r"d\.npz (has 3 depth maps|is 17x16)"):
        estimated(tmp_path / "d.npz")


@pytest.mark.parametrize("name", ["K", "kind", "world_to_camera"])
def test_facts_of_gigabytes_are_not_decoded(tmp_path, monkeypatch, name):
    monkeypatch.setattr("ex4d_core.depth_io.containers.arrays.MAX_FACT_BYTES", 256)
    np.savez(tmp_path / "d.npz", depth=DEPTH, **{name: np.ones((2, 4, 5))})
    with pytest.raises(InvalidInput, match=rf"d\.npz: {name} has the shape \[2, 4, 5\], which is too large"):
        open_depth(tmp_path / "d.npz")


def test_poses_that_cannot_be_cameras_name_the_file(tmp_path):
    poses = np.stack([np.eye(4)] * 2)
    poses[1, 3, 0] = 7
    np.savez(tmp_path / "d.npz", depth=DEPTH, world_to_camera=poses)
    with pytest.raises(InvalidInput, match=r"d\.npz"):
        estimated(tmp_path / "d.npz")


def test_an_archive_that_is_encrypted_or_of_another_method_is_named(tmp_path):
    whole = npz(depth=DEPTH)
    for flag, method in ((1, 0), (0, 99)):
        changed = bytearray(whole)
        for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = changed.find(signature) + offset
            changed[at : at + 4] = struct.pack("<HH", flag, method)
        (tmp_path / "d.npz").write_bytes(changed)
        with pytest.raises(InvalidInput, match=r"d\.npz is not a readable depth file"):
            open_depth(tmp_path / "d.npz")


def test_an_archive_that_is_cut_off_or_has_no_arrays_is_refused(tmp_path):
    whole = npz(depth=DEPTH)
    (tmp_path / "d.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match="is not a readable depth file: it is cut off; copy it again"):
        open_depth(tmp_path / "d.npz")
    (tmp_path / "d.npz").write_bytes(npz())
    with pytest.raises(InvalidInput, match="has no arrays; save depth"):
        open_depth(tmp_path / "d.npz")


def test_a_file_that_is_no_archive_is_not_said_to_be_a_pickle(tmp_path):
    (tmp_path / "d.npz").write_text("depth")
    with pytest.raises(InvalidInput, match=r"d\.npz is not a readable depth file") as caught:
        open_depth(tmp_path / "d.npz")
    assert "pickle" not in str(caught.value)


# EXR


def exr_window(width, height, before=b""):
    """An EXR image that announces another size, maybe after another attribute."""
    at = EXR.index(b"dataWindow\0")
    value = at + len(b"dataWindow\0box2i\0") + 4
    return EXR[:at] + before + EXR[at:value] + struct.pack("<4i", 0, 0, width - 1, height - 1) + EXR[value + 16 :]


def test_the_size_of_an_exr_image_is_compared_before_it_is_decoded(tmp_path):
    text = b"dataWindow\0box2i\0\x10\0\0\0" + struct.pack("<4i", 0, 0, 23, 15)
    hidden = b"comments\0string\0" + struct.pack("<i", len(text)) + text
    for data in (exr_window(2**20, 2**20), exr_window(2**20, 2**20, hidden)):
        (tmp_path / "d.exr").write_bytes(data)
        with pytest.raises(InvalidInput, match=r"d\.exr has 1048576x1048576 pixels; at most"):
            open_depth(tmp_path / "d.exr")


@pytest.mark.parametrize("size", [4, 8, 60, len(EXR) // 4])
def test_an_exr_image_that_is_cut_off_is_named(tmp_path, size):
    (tmp_path / "d.exr").write_bytes(EXR[:size])
    with pytest.raises(InvalidInput, match=r"d\.exr is not an EXR image that can be read"):
        open_depth(tmp_path / "d.exr")


# Files that are none, or change


@pytest.mark.parametrize("name", ["d.npz", "d.npy", "d.exr", "d.png", "d.mkv"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InvalidInput, match="is a named pipe, not a regular file"):
        open_depth(tmp_path / name)
    with pytest.raises(InvalidInput, match="is a named pipe, not a regular file"):
        DepthFileOptions(path=str(tmp_path / name)).fingerprint()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(path):
    with pytest.raises(InvalidInput, match="is a device, not a regular file"):
        open_depth(Path(path))
    with pytest.raises(InvalidInput, match="is a device, not a regular file"):
        DepthFileOptions(path=path).fingerprint()


@pytest.mark.parametrize("after", [None, b"", b"other"])
def test_a_file_that_changes_meanwhile_is_named(tmp_path, after):
    for index in range(2):
        (tmp_path / f"{index}.png").write_bytes(FILES["d.png"])
    frames = open_depth(tmp_path)
    (tmp_path / "1.png").unlink()
    if after is not None:
        (tmp_path / "1.png").write_bytes(after)
    with pytest.raises((InputNotFound, InvalidInput), match=r"1\.png"):
        list(frames.read(range(2)))


def test_an_archive_that_names_many_arrays_is_bounded(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        for index in range(1000):
            archive.writestr(f"array-{index}.npy", b"")
    with pytest.raises(InvalidInput) as caught:
        open_depth(tmp_path / "d.npz")
    assert len(str(caught.value)) < 500


# Meshes


def triangle(tmp_path):
    mesh = Mesh(
        vertices=torch.eye(3),
        faces=torch.tensor([[0, 1, 2]], dtype=torch.int32),
        vertex_colors=torch.zeros((3, 3), dtype=torch.uint8),
        face_occluded=torch.zeros(1, dtype=torch.bool),
    )
    write_mesh(mesh, tmp_path / "m.ply")
    return (tmp_path / "m.ply").read_bytes()


@few
@given(st.data())
def test_any_mesh_is_read_or_named(tmp_path, data):
    (tmp_path / "m.ply").write_bytes(data.draw(mutated(triangle(tmp_path))))
    refused(read_mesh, tmp_path / "m.ply")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.replace(np.float32(1).tobytes(), np.float32(np.nan).tobytes()), "vertex that is not finite"),
        (lambda data: data.replace(np.int32([0, 1, 2]).tobytes(), np.int32([0, 1, -1]).tobytes()), "do not exist"),
        (lambda data: data.replace(b"vertex 3", b"vertex 999999999999"), "is not a readable PLY mesh"),
    ],
    ids=["NaN", "no such vertex", "more vertices than bytes"],
)
def test_a_mesh_whose_numbers_have_no_meaning_is_refused(tmp_path, change, message):
    (tmp_path / "m.ply").write_bytes(change(triangle(tmp_path)))
    with pytest.raises(InvalidInput, match=rf"m\.ply .*{message}"):
        read_mesh(tmp_path / "m.ply")


def test_a_mesh_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.ply")
    with pytest.raises(InvalidInput, match="is a named pipe"):
        read_mesh(tmp_path / "m.ply")
