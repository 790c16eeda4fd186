"""The precision of a network."""

from __future__ import annotations

import torch


def autocast(device: torch.device, dtype: str, *, fast: str) -> torch.autocast:
    """Return the context in which a network computes in a precision.

    Args:
        device: of the network.
        dtype: name of the precision, or `auto`: `fast` on a GPU that supports it, else float32.
        fast: `bfloat16` or `float16`.
    """
    if dtype == "auto":
        supported = device.type == "cuda" and (fast == "float16" or torch.cuda.is_bf16_supported())
        dtype = fast if supported else "float32"
    low = torch.bfloat16 if dtype == "float32" else getattr(torch, dtype)
    return torch.autocast(device.type, dtype=low, enabled=dtype != "float32")
