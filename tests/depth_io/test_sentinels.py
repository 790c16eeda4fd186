"""Sky and unknown values, and the direction of depth."""

import cv2
import numpy as np
import pytest

from ex4d_core.depth_io.meaning import direction
from ex4d_core.depth_io.sentinels import separate
from tests.depth_io import scene

SKY = np.isinf(scene.depth())
INSIDE = np.ones(SKY.shape, bool)
FARTHEST = scene.depth()[~SKY].max()


def separated(sky, unit="float", *, scale=1.0, is_inverse=False):
    values = np.where(SKY, sky, scene.depth() * scale).astype(np.float32)
    return separate(values, INSIDE, unit, is_inverse=is_inverse)


@pytest.mark.parametrize("sky", [np.inf, 1e10, 1e30, 65504])
def test_far_values_are_sky(sky):
    found = separated(sky)
    assert (found.sky == SKY).all()
    assert (found.known == ~SKY).all()
    assert found.notes[0].startswith("sky: ")


@pytest.mark.parametrize(
    ("sky", "unit", "scale"),
    [(np.nan, "float", 1), (0, "float", 1), (-1, "float", 1), (-np.inf, "float", 1), (65535, "integer", 1000)],
)
def test_markers_are_unknown(sky, unit, scale):
    found = separated(sky, unit, scale=scale)
    assert not found.sky.any()
    assert (found.known == ~SKY).all()
    assert found.notes[0].startswith("unknown: ")


@pytest.mark.parametrize(
    ("sky", "unit", "scale"),
    [(60000, "float", 1), (100, "float", 1), (1e4, "float", 1), (65535, "integer", 65530 / FARTHEST)],
)
def test_other_far_values_stay_distances(sky, unit, scale):
    found = separated(sky, unit, scale=scale)
    assert found.known.all()
    assert not found.notes


def test_the_far_end_of_disparity_is_known_and_infinite_disparity_is_not():
    assert separated(0, is_inverse=True).known.all()
    assert (separated(np.inf, is_inverse=True).known == ~SKY).all()
    assert separated(-1, is_inverse=True).lone == -1


@pytest.mark.parametrize("marker", [np.inf, -np.inf, np.nan, 1e10, 1e30, 65504, 1e6, 65535, -1])
def test_markers_in_disparity_are_unknown(marker):
    values = np.where(SKY, marker, 90 / scene.depth()).astype(np.float32)
    found = separate(values, INSIDE, "float", is_inverse=True)
    assert (found.known == ~SKY).all()
    assert not found.sky.any()
    assert found.notes[0].startswith("unknown: ")
    assert "," not in found.notes[0]


def test_the_largest_integer_is_a_marker_in_disparity_only_if_it_has_an_area():
    values = np.where(SKY, 65535, 3000 / scene.depth()).astype(np.uint16).astype(np.float32)
    assert (separate(values, INSIDE, "integer", is_inverse=True).known == ~SKY).all()
    values[SKY] = 0
    values[0, -1, -1] = 65535
    assert separate(values, INSIDE, "integer", is_inverse=True).known.all()


def test_negative_values_that_differ_are_left_to_the_reader():
    values = np.linspace(-3, 5, SKY.size).reshape(SKY.shape).astype(np.float32)
    assert separate(values, INSIDE, "float", is_inverse=True).known.all()


@pytest.mark.parametrize("scale", [0.01, 1, 1000])
def test_planes_show_the_direction_at_any_scale(scale):
    z = scene.depth()
    assert direction(z * scale, ~SKY) == "depth"
    assert direction(scale / z, ~SKY) == "inverse"
    assert direction(scale * (1 / z + 0.1), ~SKY) == "inverse"


@pytest.mark.parametrize("noise", ["random", "standard_exponential", "standard_normal"])
def test_noise_and_flat_maps_show_no_direction(noise):
    assert direction(getattr(np.random.default_rng(0), noise)(SKY.shape) + 5, INSIDE) == ""
    assert direction(np.ones(SKY.shape), INSIDE) == ""


def curves(seed):
    """Smooth surfaces without planes."""
    numbers = np.random.default_rng(seed).normal(size=(2, *SKY.shape[1:])).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), 3) for one in numbers])
    return 2 + 8 * ((smooth - smooth.min()) / np.ptp(smooth)) ** 2


@pytest.mark.parametrize("seed", range(6))
def test_curved_surfaces_show_no_direction(seed):
    inside = np.ones((2, *SKY.shape[1:]), bool)
    assert direction(curves(seed), inside) == ""
    assert direction(1 / curves(seed), inside) == ""


@pytest.mark.parametrize("size", [(70, 126), (84, 140), (50, 90), (30, 60)])
@pytest.mark.parametrize("shown", [(36, 64), (180, 320)])
def test_resampled_planes_show_no_wrong_direction(size, shown):
    values = np.where(SKY, np.nan, scene.depth())
    for height, width in (size, shown):
        rows, columns = np.arange(height) * values.shape[1] // height, np.arange(width) * values.shape[2] // width
        values = values[:, rows[:, None], columns[None]]
    assert direction(values, ~np.isnan(values)) != "inverse"
    assert direction(1 / values, ~np.isnan(values)) != "depth"
