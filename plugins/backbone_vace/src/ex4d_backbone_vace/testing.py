"""A tiny VACE with random weights in diffusers' layout, for tests.

python -m ex4d_backbone_vace.testing FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ex4d_backbone_wan.testing import TEXT, VAE, save_tokenizer

TRANSFORMER = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "text_dim": TEXT["d_model"],
    "freq_dim": 32,
    "ffn_dim": 48,
    "num_layers": 4,
    "vace_layers": [0, 2],
}


def tiny_transformer(*, seed: int = 0) -> Any:
    """Return a tiny WanVACETransformer3DModel, all of whose values are random.

    Args:
        seed: of the values.
    """
    import diffusers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = diffusers.WanVACETransformer3DModel(**TRANSFORMER).eval().requires_grad_(False)
        for parameter in transformer.parameters():
            nn.init.normal_(parameter, std=0.5 if parameter.ndim == 1 else 0.15)
    return transformer


def save_tiny_vace(folder: Path, *, seed: int = 0) -> Path:
    """Write a whole checkpoint into a folder, and return the folder.

    Args:
        folder: to write into.
        seed: of the weights.
    """
    import diffusers
    import transformers

    transformers.utils.logging.disable_progress_bar()
    tiny_transformer(seed=seed).save_pretrained(folder / "transformer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        diffusers.AutoencoderKLWan(**VAE).save_pretrained(folder / "vae")
        text = transformers.UMT5EncoderModel(transformers.UMT5Config(**TEXT))
        text.save_pretrained(folder / "text_encoder")
    save_tokenizer(folder / "tokenizer")
    return folder


if __name__ == "__main__":
    save_tiny_vace(Path(sys.argv[1]))
