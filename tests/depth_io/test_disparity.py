"""Disparity in files: its markers, and names that say disparity."""

import numpy as np
import pytest

from ex4d_core.types import DepthKind
from tests.depth_io import scene
from tests.depth_io.reader import SKY, npz, opened

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
