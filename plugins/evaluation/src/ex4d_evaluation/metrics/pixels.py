"""PSNR and SSIM, over all pixels or those of a mask."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ex4d_core.errors import InvalidInput
from ex4d_evaluation.metric import Column, Frames, Measured, Metric, Region

WINDOW, SIGMA = 11, 1.5
"""Size in pixels and standard deviation of the Gaussian window of SSIM (Wang et al. 2004, section III-C)."""

C1, C2 = 0.01**2, 0.03**2
"""Constants of SSIM for values between 0 and 1."""

Array = NDArray[np.float64]


def psnr(made: Frames, truth: Frames, region: Region) -> Measured:
    """Return the peak signal-to-noise ratio in dB of each frame, and of the squared error of all frames together.

    Args:
        made: uint8 [T, H, W, 3].
        truth: uint8 [T, H, W, 3].
        region: bool [T, H, W]; frames without pixels have no value.
    """
    counts = region.sum(axis=(1, 2))
    sums = np.array([_squared_error(*each) for each in zip(made, truth, region, strict=True)])
    with np.errstate(all="ignore"):
        return {"psnr": decibels(sums / counts), "psnr_pooled": float(decibels(sums.sum() / counts.sum()))}


def decibels(error: Array | float) -> Array:
    """Return the PSNR in dB of a mean squared error of levels between 0 and 255; infinite for 0."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / np.asarray(error, np.float64))


def _squared_error(made: NDArray[np.uint8], truth: NDArray[np.uint8], region: NDArray[np.bool_]) -> float:
    """Return the sum over the pixels of a region of the squared error, mean over the channels."""
    difference = made[region].astype(np.int32) - truth[region]
    return float(np.square(difference).sum()) / 3


def ssim(made: Frames, truth: Frames, region: Region) -> Measured:
    """Return the structural similarity of each frame.

    With a mask, local means are partial convolutions (Liu et al. 2018, section 3.1), as in DyCheck.

    Args:
        made: uint8 [T, H, W, 3].
        truth: uint8 [T, H, W, 3].
        region: bool [T, H, W]; frames without pixels have no value.

    Raises:
        InvalidInput: the frames are smaller than the window.
    """
    if min(made.shape[1:3]) < WINDOW:
        raise InvalidInput(f"SSIM needs frames of at least {WINDOW}x{WINDOW} pixels")
    maps = [ssim_map(*each) for each in zip(made, truth, region, strict=True)]
    inside = [values[counts].mean() if counts.any() else np.nan for values, counts in maps]
    everywhere = [values.mean() if counts.any() else np.nan for values, counts in maps]
    return {"ssim": np.array(inside), "ssim_dycheck": np.array(everywhere)}


def ssim_map(
    made: NDArray[np.uint8], truth: NDArray[np.uint8], region: NDArray[np.bool_]
) -> tuple[Array, NDArray[np.bool_]]:
    """Return SSIM for each window that is inside the image, and whether the window has pixels of the region.

    Args:
        made: uint8 [H, W, 3].
        truth: uint8 [H, W, 3].
        region: bool [H, W].

    Returns:
        Float64 [H - 10, W - 10, 3], 1 where the window has no pixels, and bool [H - 10, W - 10].
    """
    a, b = made / 255.0, truth / 255.0
    means, counts = _local_means(np.concatenate([a, b, a * a, b * b, a * b], axis=2), region)
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = np.split(means, 5, axis=2)
    var_a, var_b = np.maximum(mean_aa - mean_a**2, 0), np.maximum(mean_bb - mean_b**2, 0)
    # Rounding and partial windows can break Cauchy-Schwarz.
    limit = np.sqrt(var_a * var_b)
    covariance = np.clip(mean_ab - mean_a * mean_b, -limit, limit)
    similar = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    similarity: Array = similar / ((mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2))
    return similarity, counts


def _local_means(values: Array, region: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """Return Gaussian means [H - 10, W - 10, C] over pixels of a region, by rows, then by columns."""
    kernel = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
    kernel /= kernel.sum()
    inside = region
    for shape in ((1, WINDOW), (WINDOW, 1)):
        weighted = _valid(values * inside[..., None], kernel.reshape(shape))
        counts = _valid(inside.astype(np.float64), np.ones(shape))
        # A partial convolution scales by the fraction of pixels, not of weights.
        values = weighted * (WINDOW / np.maximum(counts, 1))[..., None]
        inside = counts > 0.5
        values = np.where(inside[..., None], values, 0)
    return values, inside


def _valid(values: Array, kernel: Array) -> Array:
    """Correlate each channel with a kernel, at the positions where the kernel is inside the image."""
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    planes = [cv2.filter2D(plane, -1, kernel).astype(np.float64) for plane in np.moveaxis(np.atleast_3d(values), 2, 0)]
    cut: Array = np.stack(planes, axis=2)[rows : values.shape[0] - rows, columns : values.shape[1] - columns]
    return cut if values.ndim == 3 else cut[..., 0]


METRICS = (
    Metric(
        name="psnr",
        against="truth",
        by_region=True,
        measure=psnr,
        columns=(
            Column(
                name="psnr",
                label="PSNR",
                unit="dB",
                better="higher",
                definition="PSNR of the mean squared error over the pixels of a region and the RGB channels (levels "
                "0..255) of each frame, mean over frames; mPSNR of DyCheck where the region is a mask",
            ),
            Column(
                name="psnr_pooled",
                label="PSNR (pooled)",
                unit="dB",
                better="higher",
                definition="PSNR of the mean squared error over all pixels of a region in all frames of a video",
            ),
        ),
    ),
    Metric(
        name="ssim",
        against="truth",
        by_region=True,
        measure=ssim,
        columns=(
            Column(
                name="ssim",
                label="SSIM",
                better="higher",
                definition="SSIM of RGB with Gaussian windows of 11x11 pixels (sigma 1.5, K1 0.01, K2 0.03) inside the "
                "image, partial convolution in regions, mean over windows with pixels of the region, then over frames; "
                "values of regions are higher than those of all pixels, with which they cannot be compared",
            ),
            Column(
                name="ssim_dycheck",
                label="SSIM (DyCheck)",
                better="higher",
                definition="as SSIM, but mean over all windows as in the code of DyCheck, where windows without pixels "
                "of the region count as 1",
            ),
        ),
    ),
)
