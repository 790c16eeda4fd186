"""The continuation of inverse depth beyond the picture."""

import numpy as np

from ex4d_backbone_inpaint.thin_plate import margin_axis, thin_plate


def test_the_floor_continues_below_the_picture_as_a_plane():
    """Inverse depth of a floor is affine in the row; a chair on it does not bend its continuation."""
    rows, columns = margin_axis(48, 12, 1.0), margin_axis(64, 12, 1.0)
    floor = 0.01 * (np.arange(48) + 0.5)[:, None] + np.zeros((48, 64))
    floor[20:40, 10:20] += 0.4
    found = thin_plate(floor.astype(np.float32), floor > 0, columns, rows)
    np.testing.assert_allclose(found, np.broadcast_to(0.01 * rows[:, None], found.shape), atol=0.03)


def test_the_unit_of_depth_does_not_matter_to_the_thin_plate():
    rows, columns = margin_axis(48, 12, 1.0), margin_axis(64, 12, 1.0)
    inverse = np.random.default_rng(0).random((48, 64), np.float32) * 1e-3 + np.float32(0.2)
    inverse[10:40, 10:30] += 0.3
    one = thin_plate(inverse, inverse > 0, columns, rows)
    far = thin_plate(inverse * np.float32(1e-8), inverse > 0, columns, rows)
    np.testing.assert_allclose(far * 1e8, one, rtol=1e-3, atol=1e-3)


def test_the_margin_reaches_as_far_as_it_should_at_growing_steps():
    axis = margin_axis(40, 8, 1.5)
    steps = np.diff(axis)
    assert len(axis) == 56
    np.testing.assert_allclose(axis[8:-8], np.arange(40) + 0.5)
    np.testing.assert_allclose([-axis[0], axis[-1] - 40], 60, atol=1)
    assert (np.diff(steps[-8:]) > 0).all()
