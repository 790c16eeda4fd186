"""PSNR and SSIM: known answers, and slow twins."""

import math

import numpy as np
import pytest

from ex4d_core.errors import InvalidInput
from ex4d_evaluation.metrics.consistency import consistency
from ex4d_evaluation.metrics.flicker import flicker
from ex4d_evaluation.metrics.pixels import C1, C2, psnr, ssim, ssim_map


@pytest.fixture
def pictures():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (2, 14, 17, 3)).astype(np.uint8)
    made = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
    return made, truth, rng.random(truth.shape[:3]) < 0.4


def slow_ssim(made, truth, region):
    """SSIM with masked windows, one window at a time: rows of the window first, then their column."""
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights /= weights.sum()

    def mean(values, inside):
        """The two partial convolutions of one window of 11 x 11."""
        rows = [
            (weights * row * use).sum() * 11 / use.sum() if use.any() else 0.0
            for row, use in zip(values, inside, strict=True)
        ]
        used = inside.any(axis=1)
        return (weights * rows * used).sum() * 11 / used.sum() if used.any() else 0.0

    height, width = region.shape
    found = np.empty((height - 10, width - 10, 3))
    counts = np.empty((height - 10, width - 10), bool)
    for i, j, c in np.ndindex(found.shape):
        a, b = (each[i : i + 11, j : j + 11, c] / 255 for each in (made, truth))
        inside = region[i : i + 11, j : j + 11]
        mean_a, mean_b = mean(a, inside), mean(b, inside)
        var_a, var_b = max(0, mean(a * a, inside) - mean_a**2), max(0, mean(b * b, inside) - mean_b**2)
        both = mean(a * b, inside) - mean_a * mean_b
        both = math.copysign(min(abs(both), math.sqrt(var_a * var_b)), both)
        found[i, j, c] = ((2 * mean_a * mean_b + C1) * (2 * both + C2)) / (
            (mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2)
        )
        counts[i, j] = inside.any()
    return found, counts


@pytest.mark.parametrize("kind", ["all", "random", "corner", "none"])
def test_ssim_is_that_of_the_slow_twin(pictures, kind):
    made, truth, random = (each[0] for each in pictures)
    corner = np.zeros_like(random)
    corner[:2, :3] = True
    region = {"all": ~corner | corner, "random": random, "corner": corner, "none": ~corner & corner}[kind]
    values, counts = ssim_map(made, truth, region)
    expected, inside = slow_ssim(made, truth, region)
    np.testing.assert_allclose(values, expected, atol=1e-9)
    assert (counts == inside).all()


def test_windows_without_pixels_count_as_one_in_dycheck_only(pictures):
    made, truth, _ = pictures
    region = np.zeros(truth.shape[:3], bool)
    region[:, 0, 0] = True
    found = ssim(made, truth, region)
    windows = (truth.shape[1] - 10) * (truth.shape[2] - 10)
    np.testing.assert_allclose(found["ssim_dycheck"], (windows - 1 + found["ssim"]) / windows)


def test_psnr_is_that_of_the_slow_twin(pictures):
    made, truth, region = pictures
    found = psnr(made, truth, region)
    errors = [
        [(int(made[t, i, j, c]) - int(truth[t, i, j, c])) ** 2 for i, j in np.argwhere(region[t]) for c in range(3)]
        for t in range(len(made))
    ]
    expected = [10 * math.log10(255**2 / (sum(each) / len(each))) for each in errors]
    np.testing.assert_allclose(found["psnr"], expected)
    together = [error for each in errors for error in each]
    assert found["psnr_pooled"] == pytest.approx(10 * math.log10(255**2 / (sum(together) / len(together))))


def test_a_shift_of_one_level_has_48_db(pictures):
    _, truth, region = pictures
    truth = np.clip(truth, 0, 254)
    found = psnr(truth + 1, truth, region)
    np.testing.assert_allclose(found["psnr"], 20 * math.log10(255))
    np.testing.assert_allclose(flicker(truth + 1, truth, region)["flicker"][1:], 0)


def test_identical_videos_are_perfect(pictures):
    _, truth, region = pictures
    assert np.isposinf(psnr(truth, truth, region)["psnr"]).all()
    np.testing.assert_allclose(ssim(truth, truth, region)["ssim"], 1)
    assert flicker(truth, truth, region)["flicker"][1] == 0


def test_frames_without_pixels_have_no_value(pictures):
    made, truth, region = pictures
    region[1] = False
    assert (
        np.isnan([psnr(made, truth, region)["psnr"], ssim(made, truth, region)["ssim"]]).tolist() == [[False, True]] * 2
    )
    assert np.isnan(flicker(made, truth, region)["flicker"]).all()


def test_flicker_is_the_change_of_the_error(pictures):
    _, truth, region = pictures
    truth = np.clip(truth, 0, 250)
    made = truth.copy()
    made[1] += 4
    assert flicker(made, truth, region)["flicker"][1] == 4


def test_a_still_video_is_consistent(pictures):
    made, _, _ = pictures
    still = made[[0, 0, 0]]
    everywhere = np.ones(still.shape[:3], bool)
    np.testing.assert_allclose(consistency(still, still, everywhere)["frame_ssim"], [np.nan, 1, 1])
    assert np.isnan(consistency(still[:1], still[:1], everywhere[:1])["frame_ssim"]).all()


def test_frames_smaller_than_a_window_are_refused(pictures):
    made, truth, region = (each[:, :8] for each in pictures)
    with pytest.raises(InvalidInput, match="at least 11x11 pixels"):
        ssim(made, truth, region)
