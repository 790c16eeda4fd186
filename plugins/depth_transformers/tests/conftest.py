"""Tiny depth models with random weights, in the folders that the hub has, and tiny clips."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from ex4d_core.types import Video
from ex4d_depth_transformers.options import TransformersOptions

DINO = {
    "model_type": "dinov2",
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
FUSED = {"neck_hidden_sizes": (8, 8, 8, 8), "fusion_hidden_size": 8}
DEPTH_ANYTHING = {
    "backbone_config": {
        **DINO,
        "image_size": 56,
        "patch_size": 14,
        "out_indices": [1, 2, 3, 4],
        "reshape_hidden_states": False,
    },
    "reassemble_hidden_size": 16,
    "head_hidden_size": 8,
    **FUSED,
}
DEPTH_PRO = {
    "patch_size": 32,
    "fusion_hidden_size": 8,
    "intermediate_hook_ids": [3, 1],
    "intermediate_feature_dims": [8, 8],
    "scaled_images_feature_dims": [8, 8, 8],
    "merge_padding_value": 1,
    "use_fov_model": True,
    **{f"{part}_model_config": {**DINO, "image_size": 32, "patch_size": 8} for part in ("image", "patch", "fov")},
}
DPT = {
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 64,
    "patch_size": 16,
    "backbone_out_indices": [0, 1, 2, 3],
    "neck_ignore_stages": [],
    "is_hybrid": False,
    **FUSED,
}
ZOEDEPTH = {
    "backbone_config": {
        "model_type": "beit",
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "image_size": 64,
        "patch_size": 16,
        "out_indices": [1, 2, 3, 4],
        "reshape_hidden_states": False,
        "use_relative_position_bias": True,
    },
    "backbone_hidden_size": 16,
    "bottleneck_features": 8,
    "num_relative_features": 8,
    "num_attractors": [4, 2, 2, 1],
    "bin_embedding_dim": 8,
    "bin_configurations": [{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}],
    **FUSED,
}
GLPN = {
    "num_encoder_blocks": 4,
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 8, 8, 8],
    "num_attention_heads": [1, 1, 2, 2],
    "decoder_hidden_size": 8,
    "max_depth": 10,
}

COLOURS = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
KEEP = {"keep_aspect_ratio": True, "do_resize": True, "do_rescale": True, "do_normalize": True}
PROCESSORS = {
    "depth_anything": {
        "image_processor_type": "DPTImageProcessor",
        "size": {"height": 56, "width": 56},
        "ensure_multiple_of": 14,
        "resample": 3,
        **KEEP,
        **COLOURS,
    },
    "depth_pro": {"image_processor_type": "DepthProImageProcessor", "size": {"height": 128, "width": 128}},
    "dpt": {"image_processor_type": "DPTImageProcessor", "size": {"height": 64, "width": 64}, "resample": 3, **COLOURS},
    "zoedepth": {
        "image_processor_type": "ZoeDepthImageProcessor",
        "size": {"height": 64, "width": 96},
        "ensure_multiple_of": 32,
        "do_pad": True,
        "resample": 2,
        **KEEP,
    },
    "glpn": {"image_processor_type": "GLPNImageProcessor", "size_divisor": 32, "resample": 2},
}
CONFIGS = {
    "depth_anything": ("DepthAnything", DEPTH_ANYTHING),
    "depth_pro": ("DepthPro", DEPTH_PRO),
    "dpt": ("DPT", DPT),
    "zoedepth": ("ZoeDepth", ZOEDEPTH),
    "glpn": ("GLPN", GLPN),
}


def save_checkpoint(folder: Path, model_type: str, **changes) -> Path:
    """Write a checkpoint as `save_pretrained` and the hub have it."""
    transformers = pytest.importorskip("transformers")
    name, config = CONFIGS[model_type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = getattr(transformers, f"{name}Config")(**{**config, **changes})
        model = getattr(transformers, f"{name}ForDepthEstimation")(made)
        for parameter in model.parameters():  # some begin at 0, and then nothing of the picture comes through
            torch.nn.init.normal_(parameter, std=0.2)
        _sensible(model, model_type)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSORS[model_type]))
    return folder


def _sensible(model, model_type: str) -> None:
    """Shift the last layer, so that depth is above 0 nearly everywhere and a field of view is one."""
    last = {"depth_anything": "head.conv3.bias", "dpt": "head.head.4.bias", "depth_pro": "head.layers.4.bias"}
    state = model.state_dict()
    for key, value in ((last.get(model_type), 2.0), ("fov_model.head.layers.4.bias", 60.0)):
        if key in state:
            state[key].fill_(value)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Give the folder of a tiny checkpoint of a type, its configuration changed or not, made once."""
    made: dict[str, Path] = {}

    def folder(model_type: str = "depth_anything", **changes) -> Path:
        key = f"{model_type} {changes}"
        if key not in made:
            made[key] = save_checkpoint(tmp_path_factory.mktemp(model_type), model_type, **changes)
        return made[key]

    return folder


@pytest.fixture
def estimator(checkpoint):
    """Make an estimator with a tiny checkpoint, by its type or its folder."""

    def make(model="depth_anything", **given):
        from ex4d_depth_transformers.estimator import TransformersDepth

        folder = model if isinstance(model, Path) else checkpoint(model)
        options = TransformersOptions(model=str(folder), **given)
        return TransformersDepth(options, device=torch.device("cpu"))

    return make


@pytest.fixture
def clip():
    """Make a clip of smooth random colors, each frame another."""

    def make(num_frames=3, *, width=70, height=50) -> Video:
        generator = torch.Generator().manual_seed(1)
        coarse = torch.rand(num_frames, 3, 6, 8, generator=generator) * 255
        frames = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear").movedim(1, -1)
        return Video(frames=frames.to(torch.uint8).contiguous(), fps=Fraction(24))

    return make
