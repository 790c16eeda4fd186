"""Disparity in files: its markers, and names that say disparity."""

import numpy as np
import pytest

from ex4d_core.depth_io.meaning import says_inverse
from ex4d_core.errors import InvalidInput
from ex4d_core.types import DepthKind
from tests.depth_io import scene
from tests.depth_io.reader import SKY, images, npz, opened

NEAR = 10000 / 3900


@pytest.mark.parametrize(
    ("marker", "dtype"), [(65504, np.float16), (1e10, np.float32), (65535, np.uint16), (np.inf, np.float32)]
)
def test_a_marker_in_disparity_is_not_its_nearest_value(tmp_path, marker, dtype):
    values = np.where(SKY, marker, 1000 / scene.depth()).astype(dtype)
    depth, said = opened(npz(disparity=values)(tmp_path))
    assert depth.kind is DepthKind.AFFINE_INVERSE
    assert np.array_equal(depth.valid.numpy(), ~SKY)
    assert depth.depth.numpy()[~SKY].min() == pytest.approx(NEAR)
    assert np.median(depth.depth.numpy()[~SKY]) < 20
    assert "unknown: " in said


# A surface without planes, on which values decide nothing.
_ROWS, _COLUMNS = np.mgrid[0 : scene.HEIGHT, 0 : scene.WIDTH] / 9
HILLS = np.stack([4 + 3 * np.sin(_COLUMNS + index) * np.cos(_ROWS) for index in range(scene.COUNT)]).astype(np.float32)

NAMED = {
    **{
        name: npz(**{name: HILLS})
        for name in (
            *("Disparity", "disparity_map", "pred_disp", "invdepth"),
            *("depth_inverse", "disps_up", "inverse_depth", "relative_disparity"),
        )
    },
    "file": lambda folder: np.save(folder / "clip_disparity.npy", HILLS) or folder / "clip_disparity.npy",
    "archive": lambda folder: np.savez(folder / "clip_disparity.npz", HILLS) or folder / "clip_disparity.npz",
    "folder": lambda folder: scene.write_files(folder / "disparity", "{}.exr", [scene.exr({"Y": z}) for z in HILLS]),
    "frames": images("disp_{}.png", [scene.png((z * 2000).astype(np.uint16)) for z in HILLS]),
    "layer": images("{}.exr", [scene.exr({"disparity.Y": z, "R": z * 2}) for z in HILLS]),
    "zip": lambda folder: scene.write_zip(
        folder / "d.zip", {f"disparity/{index}.exr": scene.exr({"Y": z}) for index, z in enumerate(HILLS)}
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_names_that_say_disparity_are_honored(tmp_path, name):
    depth, said = opened(NAMED[name](tmp_path))
    assert depth.kind is DepthKind.AFFINE_INVERSE
    assert "disparity" in said
    assert np.corrcoef(depth.depth.numpy().ravel(), 1 / (HILLS + 0.1).ravel())[0, 1] > 0.8


def test_a_name_that_the_values_contradict_is_asked_about(tmp_path):
    path = npz(disparity=scene.filled(80))(tmp_path)
    with pytest.raises(InvalidInput, match=r"says disparity, but its values look like depth; .*--depth-kind"):
        opened(path)
    assert opened(path, kind="metric")[0].kind is DepthKind.METRIC


@pytest.mark.parametrize("name", ["display", "invalid_depth", "dispersion", "depth", "raw_depth_meter", "mini_z"])
def test_other_names_do_not_say_disparity(name):
    assert not says_inverse(name)


def test_the_layout_of_a_tool_outweighs_the_name_of_a_folder(tmp_path):
    folder = scene.write_files(tmp_path / "disparity", "depth.exr", [scene.exr({"Y": HILLS[0]})])
    (folder / "fov.json").write_text('{"fov_x": 56.0, "fov_y": 33.0}')
    depth, _ = opened(folder, count=1)
    assert depth.kind is DepthKind.METRIC
    assert np.allclose(depth.depth, HILLS[0])
