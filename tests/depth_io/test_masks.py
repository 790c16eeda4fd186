"""Masks, transparency and other files beside depth: used, or named as ignored."""

import numpy as np
import pytest

from tests.depth_io import scene
from tests.depth_io.reader import F32, SKY, images, npz, opened

DEPTH = scene.filled(80).astype(F32)


@pytest.mark.parametrize("name", ["valid", "valid_mask", "mask"])
def test_a_mask_of_valid_depth_is_used(tmp_path, name):
    depth, _ = opened(npz(depth=DEPTH, **{name: ~SKY})(tmp_path))
    assert np.array_equal(depth.valid.numpy(), ~SKY)


@pytest.mark.parametrize("name", ["mask", "sky_mask", "conf", "uncertainty"])
def test_other_maps_are_said_to_be_ignored(tmp_path, name):
    other = np.zeros(SKY.shape, F32)
    other[:, 20:] = 1
    depth, said = opened(npz(depth=DEPTH, **{name: other})(tmp_path))
    assert depth.valid.all()
    assert f"ignores {name}" in said


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparent_pixels_are_unknown(tmp_path, dtype):
    maps = (DEPTH * (3 if dtype == np.uint8 else 500)).astype(dtype)
    full = np.iinfo(dtype).max
    pixels = [np.dstack([one, one, one, np.where(hidden, 0, full)]) for one, hidden in zip(maps, SKY, strict=True)]
    path = images("{}.png", [scene.png(one.astype(dtype)) for one in pixels])(tmp_path)
    depth, said = opened(path, kind="metric", scale=1 / 500)
    assert np.array_equal(depth.valid.numpy(), ~SKY)
    assert "unknown: " in said


@pytest.mark.parametrize("part", ["", "depth.exr"])
def test_a_picture_of_moge_has_its_lens(tmp_path, part):
    (tmp_path / "depth.exr").write_bytes(scene.exr({"Y": scene.depth()[0].astype(F32)}))
    angles = [2 * np.degrees(np.arctan(side / 2 / 60)) for side in (scene.WIDTH, scene.HEIGHT)]
    (tmp_path / "fov.json").write_text(f'{{"fov_x": {angles[0]:.2f}, "fov_y": {angles[1]:.2f}}}')
    depth, said = opened(tmp_path / part, count=1)
    assert np.allclose(depth.intrinsics[0].matrix(), scene.LENS, atol=0.05)
    assert "MoGe" in said
