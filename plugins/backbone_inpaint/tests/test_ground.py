"""The plane on which things stand."""

import numpy as np
import pytest

from ex4d_backbone_inpaint.ground import Ground, likeness
from ex4d_core.types import Intrinsics

LENS = Intrinsics.from_fov(width=64, height=48)
COLUMNS, ROWS = np.arange(-64, 128) + 0.5, np.arange(-48, 96) + 0.5


def street(horizon=20.0, slope=0.02, tilt=0.001):
    """Return the inverse depth [H, W] of a tilted plane before a far wall."""
    rows, columns = np.mgrid[:48, :64] + 0.5
    return np.maximum(slope * (rows - horizon) + tilt * (columns - 32), 0.02).astype(np.float32)


def test_the_ground_is_the_plane_of_the_lower_rows_whatever_stands_on_it():
    inverse = street()
    inverse[10:40, :20] = 0.5  # houses
    inverse[25:48, 50:60] = 0.9  # a post that the lower edge cuts
    ground = Ground.of(inverse, inverse > 0, LENS).at(COLUMNS, ROWS)
    expected = 0.02 * (ROWS[:, None] - 20) + 0.001 * (COLUMNS - 32)
    np.testing.assert_allclose(ground, expected, atol=0.01)


@pytest.mark.parametrize("scene", ["a wall", "a ceiling", "unknown", "unknown below"])
def test_without_ground_in_the_last_rows_it_is_nowhere(scene):
    inverse = {
        "a wall": np.full((48, 64), 0.1, np.float32),
        "a ceiling": street()[::-1].copy(),
        "unknown": np.zeros((48, 64), np.float32),
        "unknown below": street() * (np.arange(48) < 36)[:, None],
    }[scene]
    ground = Ground.of(inverse, inverse > 0, LENS).at(COLUMNS, ROWS)
    assert (ground <= 0).all()
    assert (likeness(np.full_like(ground, 0.3), ground) == 0).all()


def test_a_plane_below_zero_at_most_pixels_is_not_the_ground():
    """Far pixels on the left, few nearer ones on the right: the line through them is negative on the left."""
    inverse, known = np.full((48, 64), 0.01, np.float32), np.zeros((48, 64), bool)
    known[:, :8] = known[:, 32] = known[::3, 63] = True
    inverse[:, 63] = 100
    ground = Ground.of(inverse, known, LENS).at(COLUMNS, ROWS)
    assert (ground <= 0).all()


def test_a_surface_is_like_the_ground_where_it_is_as_far():
    ground = np.array([[0.2, 0.2, 0.2, 0.2, -0.1]], np.float32)
    alike = likeness(np.array([[0.2, 0.22, 0.4, 0.1, 0.2]], np.float32), ground)
    assert alike[0, 0] == 1
    assert alike[0, 1] > 0.7
    assert (alike[0, 2:] < 0.02).all()
