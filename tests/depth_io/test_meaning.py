"""The meaning of values that a file does not state: asked for, or read with a warning."""

import numpy as np
import pytest

from ex4d_core.errors import InvalidInput
from ex4d_core.types import DepthKind
from tests.depth_io import scene
from tests.depth_io.reader import F32, SKY, images, npy, npz, opened

ROWS, COLUMNS = np.mgrid[0 : scene.HEIGHT, 0 : scene.WIDTH] / 9
HILLS = np.stack([2 + np.sin(COLUMNS + index) * np.cos(ROWS) for index in range(scene.COUNT)])
"""A surface without planes, on which values decide nothing."""

HILLS[1] += 0.2
NORMALIZED = (HILLS - HILLS.min()) / (HILLS.max() - HILLS.min())
"""Of which no frame has both 0 and 1."""

ASKED = {
    "16 bits": images("{}.png", [scene.png((one * 65535).astype(np.uint16)) for one in NORMALIZED]),
    "8 bits": images("{}.png", [scene.png((one * 255).astype(np.uint8)) for one in NORMALIZED]),
    "integers": npy((NORMALIZED * 255).astype(np.int32)),
    "1": npy(NORMALIZED.astype(F32)),
    "255": npy((NORMALIZED * 255).astype(F32)),
    "65535": npy((NORMALIZED * 65535).astype(F32)),
    "depths beside another array": npz(depths=(NORMALIZED * 8).astype(F32), fps=24),
    "depths beside a lens": npz(depths=(NORMALIZED * 8).astype(F32), intrinsic=scene.LENS),
}


@pytest.mark.parametrize("name", ASKED)
def test_normalized_depth_is_asked_about(tmp_path, name):
    path = ASKED[name](tmp_path)
    with pytest.raises(InvalidInput, match="--depth-kind"):
        opened(path)
    assert opened(path, kind="inverse")[0].kind is DepthKind.AFFINE_INVERSE


def test_millimeters_and_a_stated_scale_are_not_asked_about(tmp_path):
    maps = (HILLS * 1000).astype(np.uint16)
    maps[:, 0] = 0
    assert opened(npy(maps)(tmp_path))[0].kind is DepthKind.METRIC
    scaled, _ = opened(npy((NORMALIZED * 255).astype(F32))(tmp_path), scale=0.1)
    assert scaled.depth.max() == pytest.approx(25.5)


def test_large_numbers_are_read_as_meters_with_a_warning(tmp_path):
    depth, said = opened(npy((HILLS * 1000).astype(F32))(tmp_path))
    assert depth.depth.max() > 1000
    assert "with a median of" in said
    assert "--set depth.scale=0.001" in said
    assert "median" not in opened(npy((HILLS * 100).astype(F32))(tmp_path))[1]
    assert "median" not in opened(npy(scene.filled(1e4).astype(F32))(tmp_path))[1]


def test_affine_depth_is_placed_between_near_and_far(tmp_path):
    path = npy(np.where(SKY, np.inf, NORMALIZED).astype(F32))(tmp_path)
    depth, said = opened(path, kind="affine", near=2, far=6)
    assert depth.kind is DepthKind.RELATIVE
    assert depth.valid.all()
    values = NORMALIZED[~SKY]
    wanted = 2 + 4 * (values - values.min()) / (values.max() - values.min())
    assert np.allclose(depth.depth.numpy()[~SKY], wanted, atol=1e-5)
    assert "depth up to scale and shift, placed between 2 and 6" in said


def test_affine_depth_may_be_negative_and_has_zero(tmp_path):
    depth, _ = opened(npy((NORMALIZED * 2 - 1).astype(F32))(tmp_path), kind="affine", near=1, far=3)
    assert np.allclose(depth.depth, 1 + 2 * NORMALIZED, atol=1e-5)
