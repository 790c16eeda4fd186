"""Colors that are continued: those that are usual at a place, and known ones by push-pull."""

import numpy as np

from ex4d_backbone_inpaint.push_pull import push_pull
from ex4d_backbone_inpaint.surroundings import UsualColors


def test_usual_colors_distinguish_depths_in_a_row():
    color = np.zeros((32, 40, 3), np.float32)
    color[:, :20], color[:, 20:] = 50, 150
    inverse = np.full((32, 40), 1.0, np.float32)
    inverse[:, 20:] = 0.2
    usual = UsualColors.of(color, inverse, np.ones((32, 40), bool))
    at = usual.at(np.array([-20.0, 16.0, 60.0]), np.array([[1.0, 0.2]] * 3, np.float32))
    np.testing.assert_allclose(at[..., 0], [[50, 150]] * 3, atol=1)


def test_usual_colors_of_nothing_are_zero():
    usual = UsualColors.of(np.ones((8, 8, 3), np.float32), np.ones((8, 8), np.float32), np.zeros((8, 8), bool))
    assert not usual.at(np.arange(8.0), np.ones((8, 8), np.float32)).any()


def test_push_pull_keeps_known_pixels_and_continues_them():
    values = np.zeros((32, 40, 2), np.float32)
    values[:, :20] = (10, 200)
    weight = np.zeros((32, 40), np.float32)
    weight[:, :20] = 1
    filled = push_pull(values, weight)
    np.testing.assert_array_equal(filled[:, :20], values[:, :20])
    np.testing.assert_allclose(filled[:, 20:], np.broadcast_to((10, 200), (32, 20, 2)), atol=0.01)
    assert not push_pull(values, np.zeros_like(weight)).any()
