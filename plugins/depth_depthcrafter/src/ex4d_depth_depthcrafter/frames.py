"""Working size of DepthCrafter, and preprocessing for its image encoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.video_io.framing import frame_to
from ex4d_depth_depthcrafter.options import STEP


def working_size(width: int, height: int, *, max_side: int) -> tuple[int, int]:
    """Return width and height as multiples of 64, downscaled if the longer one is more than `max_side`."""
    shrink = 1.0
    if max(round(side / STEP) * STEP for side in (width, height)) > max_side:
        shrink = max_side / max(width, height)
    across, down = (max(STEP, round(side * shrink / STEP) * STEP) for side in (width, height))
    return across, down


def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize frames uint8 [T, H, W, 3] to (width, height), ignoring the aspect ratio."""
    height, width = frames.shape[1:3]
    if (width, height) == size:
        return frames
    framing = frame_to((width, height), size, "stretch")
    return torch.stack([torch.from_numpy(framing.apply(frame.numpy())) for frame in frames])


def encoder_picture(pictures: Tensor, side: int) -> Tensor:
    """Blur images float32 [T, 3, H, W] and resize them to a square, as Stable Video Diffusion does.

    A Gaussian of (factor - 1) / 2 pixels, cut off at about 2 sigma, prevents aliasing; then bicubic interpolation with
    aligned corners.
    """
    blurred = pictures
    for axis in (-1, -2):
        blurred = _blurred(blurred, pictures.shape[axis] / side, axis)
    return functional.interpolate(blurred, size=(side, side), mode="bicubic", align_corners=True)


def _blurred(pictures: Tensor, factor: float, axis: int) -> Tensor:
    sigma = max((factor - 1) / 2, 0.001)
    taps = int(max(4 * sigma, 3)) | 1
    reach = taps // 2
    offsets = torch.arange(-reach, reach + 1, device=pictures.device, dtype=torch.float32)
    weights = torch.softmax(-(offsets**2) / (2 * sigma**2), dim=0)
    lines = functional.pad(pictures.movedim(axis, -1), (reach, reach, 0, 0), mode="reflect")
    smooth = functional.conv2d(lines.flatten(0, 1)[:, None], weights.view(1, 1, 1, taps))
    return smooth.reshape(*lines.shape[:-1], -1).movedim(-1, axis)
