"""The device that a name stands for."""

from __future__ import annotations

import torch

from ex4d_core.errors import InvalidConfig


def device_of(name: str) -> torch.device:
    """Return a device: for `auto`, the first of cuda, mps and cpu that is available.

    Raises:
        InvalidConfig: the device is not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidConfig(f"device {name!r} is not available; use auto, cpu, cuda or mps") from error
    return device
