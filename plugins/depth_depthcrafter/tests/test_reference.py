"""With the reference's weights, frames and seed, each step gives what the reference's gave."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from ex4d_core.geometry.inverse_depth import depth_from_relative, relative_inverse_depth
from ex4d_core.progress import silent
from ex4d_depth_depthcrafter.options import DepthCrafterOptions

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

DATA = Path(os.environ.get("EX4D_REFERENCE_DATA", "absent"))
LIMIT = {"atol": 1e-4, "rtol": 0}

pytestmark = pytest.mark.skipif(
    not (DATA / "golden").is_dir(), reason="EX4D_REFERENCE_DATA names no folder with `golden`"
)


@pytest.mark.parametrize("name", ["one_window", "three_windows"])
@pytest.mark.slow
def test_every_step_equals_the_reference(name):
    from safetensors.torch import load_file

    from ex4d_depth_depthcrafter.diffusion import Meter
    from ex4d_depth_depthcrafter.estimator import DepthCrafter

    folder = DATA / "golden" / f"depthcrafter_{name}"
    config, theirs = json.loads((folder / "config.json").read_text()), load_file(folder / "golden.safetensors")
    options = DepthCrafterOptions(
        unet=str(folder / "depthcrafter"),
        base=str(folder / "svd"),
        steps=config["num_inference_steps"],
        window=config["window_size"],
        overlap=config["overlap"],
        seed=config["seed"],
        far=1e4,
    )
    diffusion = DepthCrafter(options, device=torch.device("cpu")).diffusion
    with torch.no_grad():
        generator, meter = torch.Generator().manual_seed(options.seed), Meter(silent, 0)
        known = diffusion.encode(theirs["frames"], generator, meter)
        torch.testing.assert_close(known.embeddings, theirs["embeddings"], **LIMIT)
        latents = diffusion.denoise(known, generator, meter)
        torch.testing.assert_close(latents, theirs["latents"][0], **LIMIT)
    relative = relative_inverse_depth(
        diffusion.inverse_depth(theirs["frames"], progress=silent), percentile=0, source="DepthCrafter"
    )
    torch.testing.assert_close(relative, theirs["relative"], **LIMIT)
    depth = depth_from_relative(theirs["relative"], near=options.near, far=options.far)
    torch.testing.assert_close(depth, theirs["depth"][:, 0], rtol=1e-6, atol=0)
