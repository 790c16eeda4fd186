"""A tiny DepthCrafter with random weights, in the folders that the hub has, and tiny clips."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from ex4d_core.types import Video
from ex4d_depth_depthcrafter.options import DepthCrafterOptions

UNET = {
    "in_channels": 8,
    "out_channels": 4,
    "sample_size": 8,
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "layers_per_block": 1,
    "num_attention_heads": (2, 4),
    "cross_attention_dim": 32,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 96,
}
VAE = {
    "block_out_channels": (32, 32, 32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "latent_channels": 4,
    "layers_per_block": 1,
    "scaling_factor": 0.18215,
}
CLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "projection_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 224,
    "patch_size": 32,
}
SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "interpolation_type": "linear",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
}
PREPROCESSOR = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A folder with `unet` and `base`."""
    diffusers = pytest.importorskip("diffusers")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        diffusers.UNetSpatioTemporalConditionModel(**UNET).save_pretrained(folder / "unet")
        diffusers.AutoencoderKLTemporalDecoder(**VAE).save_pretrained(folder / "base" / "vae")
        config = transformers.CLIPVisionConfig(**CLIP)
        transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder / "base" / "image_encoder")
    diffusers.EulerDiscreteScheduler(**SCHEDULER).save_pretrained(folder / "base" / "scheduler")
    (folder / "base" / "feature_extractor").mkdir()
    (folder / "base" / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


@pytest.fixture
def options(checkpoint):
    """Make options for the tiny checkpoint: 2 steps, windows of 4 that share 2 frames."""

    def make(**given) -> DepthCrafterOptions:
        places = {"unet": str(checkpoint / "unet"), "base": str(checkpoint / "base")}
        return DepthCrafterOptions(**{**places, "steps": 2, "window": 4, "overlap": 2, **given})

    return make


@pytest.fixture
def clip():
    """Make a clip of noise."""

    def make(num_frames=3, *, width=64, height=64) -> Video:
        generator = torch.Generator().manual_seed(1)
        frames = torch.randint(0, 256, (num_frames, height, width, 3), generator=generator, dtype=torch.uint8)
        return Video(frames=frames, fps=Fraction(24))

    return make
