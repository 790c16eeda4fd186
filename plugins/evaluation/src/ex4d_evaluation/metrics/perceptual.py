"""LPIPS, from the package `lpips`."""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache
from typing import Any

import numpy as np
import torch

from ex4d_evaluation.metric import Column, Frames, Measured, Metric, Region
from ex4d_evaluation.weights import weights_file, weights_problem


def unavailable() -> str:
    """Return why LPIPS cannot be computed here, or ''."""
    if importlib.util.find_spec("lpips") is None:
        return "the package lpips is not installed: pip install 'ex4d-evaluation[lpips]'"
    return weights_problem("AlexNet")


@cache
def network() -> Any:
    """Return the network with spatial output, loaded once."""
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls torchvision in a deprecated way
        network = lpips.LPIPS(net="alex", spatial=True, pnet_rand=True, verbose=False)
    tensors = torch.load(weights_file("AlexNet"), map_location="cpu", weights_only=True)
    own = network.net.state_dict()  # slice2.3.weight is features.3.weight of AlexNet
    network.net.load_state_dict({name: tensors[f"features.{name.partition('.')[2]}"] for name in own})
    return network.eval()


@torch.inference_mode()
def perceptual_distance(made: Frames, truth: Frames, region: Region) -> Measured:
    """Return LPIPS of each frame; pixels outside of the region are black in both, as in DyCheck.

    Args:
        made: uint8 [T, H, W, 3].
        truth: uint8 [T, H, W, 3].
        region: bool [T, H, W]; frames without pixels have no value.
    """
    distances = []
    for ours, theirs, inside in zip(made, truth, region, strict=True):
        a, b = (_tensor(np.where(inside[..., None], each, 0)) for each in (ours, theirs))
        spatial = network()(a, b)[0, 0].numpy()
        distances.append(float(spatial[inside].mean()) if inside.any() else np.nan)
    return {"lpips": np.array(distances)}


def _tensor(frame: np.ndarray) -> torch.Tensor:
    """Return a frame uint8 [H, W, 3] as float32 [1, 3, H, W] between -1 and 1."""
    return torch.from_numpy(frame.astype(np.float32) / 127.5 - 1).movedim(2, 0)[None]


METRICS = (
    Metric(
        name="lpips",
        against="truth",
        by_region=True,
        measure=perceptual_distance,
        unavailable=unavailable,
        columns=(
            Column(
                name="lpips",
                label="LPIPS",
                better="lower",
                definition="LPIPS 0.1 with AlexNet, spatial, on images that are black outside of the region, mean over "
                "the pixels of the region, then over frames; mLPIPS of DyCheck",
            ),
        ),
    ),
)
