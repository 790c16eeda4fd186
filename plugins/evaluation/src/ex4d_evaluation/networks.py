"""Networks of metrics, from their own packages, and their features."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ex4d_evaluation.metric import Frames
from ex4d_evaluation.weights import weights_file, weights_problem

CLIP_LENGTH = 16
"""Frames of a clip of FVD."""
BATCH = 16

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of RGB between 0 and 1, by which the inputs of CLIP are normalized (Radford et al. 2021)."""


def inception_unavailable() -> str:
    """Return why FID cannot be computed here, or ''."""
    if importlib.util.find_spec("torch_fidelity") is None:
        return "the package torch-fidelity is not installed: pip install 'ex4d-evaluation[fid]'"
    return weights_problem("Inception")


def i3d_unavailable() -> str:
    """Return why FVD cannot be computed here, or ''."""
    if importlib.util.find_spec("cdfvd") is None:
        return "the package cd-fvd is not installed: pip install 'ex4d-evaluation[fvd]'"
    return weights_problem("I3D")


def clip_unavailable() -> str:
    """Return why CLIP cannot be used here, or ''."""
    if importlib.util.find_spec("transformers") is None:
        return "the package transformers is not installed: pip install 'ex4d-evaluation[clip]'"
    return weights_problem("CLIP ViT-B/32")


def device() -> torch.device:
    """Return the device of the networks."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def inception() -> Any:
    """Return the InceptionV3 of torch-fidelity, loaded once."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = str(weights_file("Inception"))
    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=path)
    return network.eval().to(device())


@cache
def i3d() -> Any:
    """Return the I3D of cd-fvd, loaded once."""
    from cdfvd.third_party.i3d.utils import load_i3d_model

    return load_i3d_model(device(), str(weights_file("I3D"))).eval()


@cache
def clip() -> Any:
    """Return the image encoder of CLIP with its projection, loaded once."""
    from transformers import CLIPConfig, CLIPVisionModelWithProjection

    path = weights_file("CLIP ViT-B/32")
    config = CLIPConfig.from_pretrained(path.parent, local_files_only=True)
    network = CLIPVisionModelWithProjection(config.vision_config)
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    wanted = network.state_dict()
    network.load_state_dict({name: tensors[name] for name in wanted})
    return network.eval().to(device())


@torch.inference_mode()
def inception_features(frames: Frames) -> NDArray[np.float32]:
    """Return features float32 [T, 2048] of frames uint8 [T, H, W, 3]."""
    images = torch.from_numpy(frames).movedim(3, 1).contiguous()
    parts = [images[start : start + BATCH].to(device()) for start in range(0, len(images), BATCH)]
    return np.concatenate([inception()(part)[0].cpu().numpy() for part in parts])


@torch.inference_mode()
def i3d_features(frames: Frames) -> NDArray[np.float32]:
    """Return logits float32 [N, 400] of the whole clips of `CLIP_LENGTH` frames in frames uint8 [T, H, W, 3]."""
    from cdfvd.third_party.i3d.utils import preprocess_i3d

    clips = [
        frames[start : start + CLIP_LENGTH][None] for start in range(0, len(frames) - CLIP_LENGTH + 1, CLIP_LENGTH)
    ]
    rows = [i3d()(preprocess_i3d(clip).to(device())).cpu().numpy() for clip in clips]
    return np.concatenate(rows) if rows else np.zeros((0, 400), np.float32)


@torch.inference_mode()
def clip_features(frames: Frames) -> NDArray[np.float32]:
    """Return image embeddings of unit length, float32 [T, D], of frames uint8 [T, H, W, 3].

    As in VBench, the shorter side is resized to the size of the network (bicubic, not antialiased), and the center is
    cut out.
    """
    parts = [
        functional.normalize(clip()(pixel_values=_clip_inputs(frames[start : start + BATCH])).image_embeds, dim=-1)
        for start in range(0, len(frames), BATCH)
    ]
    return np.concatenate([part.cpu().numpy() for part in parts])


def _clip_inputs(frames: Frames) -> Tensor:
    side = int(clip().config.image_size)
    images = torch.from_numpy(frames).to(device()).movedim(3, 1).float()
    height, width = images.shape[2:]
    scale = side / min(height, width)
    size = [max(side, int(scale * each)) for each in (height, width)]
    images = functional.interpolate(images, size, mode="bicubic").round().clamp(0, 255) / 255
    top, left = (round((each - side) / 2) for each in size)
    mean, std = (torch.tensor(each, device=images.device)[:, None, None] for each in (CLIP_MEAN, CLIP_STD))
    return (images[:, :, top : top + side, left : left + side] - mean) / std
