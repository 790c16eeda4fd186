"""Files of other tools as a path of a clip: sizes, missing frames, key numbers and what their artifacts depend on."""

import json

import attrs
import numpy as np
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.builtin.path_file import PathFile
from ex4d_core.builtin.path_file_options import PathFileOptions
from ex4d_core.errors import InvalidInput
from tests.helpers import foreign_archives
from tests.helpers.foreign_cameras import CX, CY, FX, FY, HEIGHT, WIDTH

SAMPLES = foreign_archives.SAMPLES
CPU = torch.device("cpu")


@pytest.fixture
def scene(small_clip):
    """A scene of 64x36 pixels: a tenth of the size that the samples are for."""
    settings = {"depth": {"name": "file", "path": str(small_clip.depth)}}
    scene = ex4d.Session(**settings).open_clip(small_clip.video).scene
    lens = ex4d.Intrinsics.from_focal(50, width=64, height=36)
    frames = torch.zeros(6, 36, 64, 3, dtype=torch.uint8)
    depth = ex4d.DepthVideo(depth=torch.full((6, 36, 64), 3.0), intrinsics=lens, kind="metric")
    return attrs.evolve(scene, video=attrs.evolve(scene.video, frames=frames, origin=None), depth=depth)


def path_of(scene, path, frames=6, **options):
    return PathFile(PathFileOptions(path=str(path), **options), device=CPU).path(frames, scene)


def sample(name, folder):
    return folder / SAMPLES[name].write(folder)


@pytest.mark.parametrize("name", ["realestate10k", "colmap_project", "da3", "gen3c"])
def test_intrinsics_are_for_the_clip(name, scene, tmp_path):
    path = sample(name, tmp_path)
    if name == "gen3c":  # the size is not in the file, and the principal point is that of the size of the clip
        with np.load(path) as arrays:
            np.savez(path, w2c=arrays["w2c"], intrinsics=arrays["intrinsics"] / np.array([[10.0], [10.0], [1.0]]))
    lens = path_of(scene, path).intrinsics[0]
    assert (lens.fx, lens.fy, lens.cx, lens.cy) == pytest.approx((FX / 10, FY / 10, CX / 10, CY / 10))


def test_intrinsics_that_fit_no_size_are_refused(scene, tmp_path):
    with pytest.raises(InvalidInput, match="principal point, 311, 187, is not in the middle of the clip"):
        path_of(scene, sample("gen3c", tmp_path))
    assert path_of(scene, tmp_path / "camera.npz", lens="clip").intrinsics == (scene.depth.intrinsics_at(0),)


@pytest.mark.parametrize(("name", "focal"), [("chan", FX / 10), ("comfyui", FX / 10), ("blender_animation", 55.4256)])
def test_a_field_of_view_is_along_its_own_side(name, focal, scene, tmp_path):
    assert path_of(scene, sample(name, tmp_path)).intrinsics[0].fx == pytest.approx(focal, rel=1e-4)
    assert (WIDTH, HEIGHT) == (640, 360)


def test_missing_frames_are_named_and_filled_on_request(scene, tmp_path):
    path = sample("tum", tmp_path)
    with pytest.raises(InvalidInput, match="has no pose of frames 2 and 4, counted from 0; add :fill=interpolate"):
        path_of(scene, path)
    filled = path_of(scene, path, fill="interpolate")
    np.testing.assert_allclose(filled.world_to_camera[[0, 1, 3, 5]], SAMPLES["tum"].world, atol=1e-5)
    generator = PathFile(PathFileOptions(path=str(path), fill="interpolate"), device=CPU)
    assert "has no pose of frames 2 and 4, counted from 0; they are interpolated" in generator.warnings(scene)[0]
    assert path_of(scene, path, 4, fill="none").num_frames == 4
    resampled = path_of(scene, path, 11, resample=True)
    np.testing.assert_allclose(resampled.world_to_camera[::2], filled.world_to_camera, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 6, 49, 60])
def test_key_numbers_fit_any_number_of_frames(frames, scene, tmp_path):
    (tmp_path / "traj.txt").write_text("0\n0 5 20 10 0\n0 0.1\n")
    path = path_of(scene, tmp_path / "traj.txt", frames, look_at="2")
    assert path.num_frames == frames
    torch.testing.assert_close(path.world_to_camera[0], torch.eye(4))
    twice = path_of(scene, tmp_path / "traj.txt", frames, look_at="2", scale=2.0)
    torch.testing.assert_close(twice.world_to_camera[:, :3, 3], 2 * path.world_to_camera[:, :3, 3])


@pytest.mark.parametrize(
    ("name", "beside"),
    [("monst3r", "pred_intrinsics.txt"), ("vipe", "intrinsics/clip.npz"), ("colmap_project", "p/sparse/0/images.bin")],
)
def test_what_a_file_is_read_with_decides_its_artifacts(name, beside, tmp_path):
    options = PathFileOptions(path=str(sample(name, tmp_path)))
    before = options.fingerprint()
    assert options.fingerprint() == before
    data = (tmp_path / beside).read_bytes()
    if beside.endswith(".npz"):
        with np.load(tmp_path / beside) as arrays:
            np.savez(tmp_path / beside, data=arrays["data"] * 2, inds=arrays["inds"])
    elif beside.endswith(".txt"):
        (tmp_path / beside).write_bytes(data.replace(b"500", b"400"))
    else:
        (tmp_path / beside).write_bytes(data.replace(b"frame_00001", b"frame_00009"))
    assert options.fingerprint() != before


def test_json_with_the_names_of_an_archive_is_the_same_path(tmp_path, scene):
    json_path = sample("da3_json", tmp_path)
    tree = json.loads(json_path.read_text())
    np.savez(tmp_path / "a.npz", **{key: np.array(value) for key, value in tree.items()})
    first, second = (path_of(scene, path, lens="clip") for path in (json_path, tmp_path / "a.npz"))
    torch.testing.assert_close(first.world_to_camera, second.world_to_camera)
