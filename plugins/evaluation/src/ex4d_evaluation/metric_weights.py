"""Weights of networks that metrics use, in the cache of PyTorch Hub, where their libraries look for them."""

from __future__ import annotations

from pathlib import Path

import torch


def weights_folder() -> Path:
    """Return the folder in which PyTorch stores downloaded weights."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def weights_problem(name: str, url: str) -> str:
    """Return how to obtain weights that are not on this machine, or ''; nothing is downloaded.

    Args:
        name: name of the file.
        url: folder on the web that has it.
    """
    path = weights_folder() / name
    return "" if path.is_file() else f"its weights are missing: download {url}{name} to {path}"
