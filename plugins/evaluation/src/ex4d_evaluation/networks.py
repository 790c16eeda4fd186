"""Networks of FID and FVD, from their own packages, and their features."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ex4d_evaluation.metric_weights import weights_folder, weights_problem
from ex4d_evaluation.metrics._record import Frames

INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
I3D = "i3d_pretrained_400.pt"
I3D_URL = "https://github.com/songweige/TATS/raw/main/tats/fvd/"
CLIP = 16
"""Frames of a clip of FVD."""
BATCH = 16


def inception_unavailable() -> str:
    """Return why FID cannot be computed here, or ''."""
    if importlib.util.find_spec("torch_fidelity") is None:
        return "the package torch-fidelity is not installed: pip install 'ex4d-evaluation[fid]'"
    return weights_problem(INCEPTION, INCEPTION_URL)


def i3d_unavailable() -> str:
    """Return why FVD cannot be computed here, or ''."""
    if importlib.util.find_spec("cdfvd") is None:
        return "the package cd-fvd is not installed: pip install 'ex4d-evaluation[fvd]'"
    return weights_problem(I3D, I3D_URL)


def device() -> torch.device:
    """Return the device of the networks."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def inception() -> Any:
    """Return the InceptionV3 of torch-fidelity, loaded once."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = str(weights_folder() / INCEPTION)
    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=path)
    return network.eval().to(device())


@cache
def i3d() -> Any:
    """Return the I3D of cd-fvd, loaded once."""
    from cdfvd.third_party.i3d.utils import load_i3d_model

    return load_i3d_model(device(), str(weights_folder() / I3D)).eval()


@torch.inference_mode()
def inception_features(frames: Frames) -> NDArray[np.float32]:
    """Return features float32 [T, 2048] of frames uint8 [T, H, W, 3]."""
    images = torch.from_numpy(frames).movedim(3, 1).contiguous()
    parts = [images[start : start + BATCH].to(device()) for start in range(0, len(images), BATCH)]
    return np.concatenate([inception()(part)[0].cpu().numpy() for part in parts])


@torch.inference_mode()
def i3d_features(frames: Frames) -> NDArray[np.float32]:
    """Return logits float32 [N, 400] of the whole clips of `CLIP` frames in frames uint8 [T, H, W, 3]."""
    from cdfvd.third_party.i3d.utils import preprocess_i3d

    clips = [frames[start : start + CLIP][None] for start in range(0, len(frames) - CLIP + 1, CLIP)]
    rows = [i3d()(preprocess_i3d(clip).to(device())).cpu().numpy() for clip in clips]
    return np.concatenate(rows) if rows else np.zeros((0, 400), np.float32)
