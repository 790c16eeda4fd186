"""The device that a name stands for."""

from __future__ import annotations

import glob
import json
import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ex4d_core.errors import Ex4dError, InvalidConfig
from ex4d_core.imports import without_collections
from ex4d_core.pipeline.records import Record
from ex4d_core.process_identity import boot_id, namespace_id
from ex4d_core.user_cache import user_cache

if TYPE_CHECKING:  # torch takes seconds to import
    import torch

_DRIVER = Path("/proc/driver/nvidia/version")
_NODES = ("/dev/nvidia*", "/dev/kfd", "/dev/dxg")
"""Devices of NVIDIA, of AMD, and of Windows in WSL."""


def device_of(name: str) -> torch.device:
    """Return a device: for `auto`, the first of cuda, mps and cpu that is available.

    Raises:
        InvalidConfig: the device is not available.
    """
    with without_collections():
        import torch

    is_auto = name == "auto"
    if is_auto:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidConfig(f"device {name!r} is not available; use auto, cpu, cuda or mps") from error
    if is_auto:
        _remember(device.type)
    return device


def expects_gpu(name: str) -> bool:
    """Return whether the device is probably a GPU of type cuda, without importing torch."""
    return name.startswith("cuda") or (name == "auto" and bool(_nodes()))


def recalled_type(name: str) -> str | None:
    """Return the type of a device without importing torch, or None if that is not possible.

    That of `auto` is known if `device_of` was called since the boot, with the same torch, driver, devices and
    environment.
    """
    if name != "auto":
        return "cpu" if name == "cpu" else None  # whether another one is available decides torch
    file, found = _file(), {}
    with suppress(Ex4dError):
        found = Record(file).read() if file else {}
    return str(found["type"]) if "type" in found and found.get("machine") == _machine() else None


def _remember(device_type: str) -> None:
    """Record the type of `auto`; nothing happens if it cannot be written."""
    file, facts = _file(), {"type": device_type, "machine": _machine()}
    with suppress(Ex4dError):
        if file and facts["machine"] and Record(file).read() != facts:
            with Record(file).changing() as change:
                change.facts.clear()
                change.facts |= facts


def _file() -> Path | None:
    folder = user_cache()
    return folder and folder / "device.json"


def _machine() -> str:
    """Return everything that decides which device torch finds; '' if it is unknown."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None or not boot_id():
        return ""
    state = os.stat(spec.origin)
    driver = _DRIVER.read_text() if _DRIVER.exists() else ""
    visible = {name: value for name, value in sorted(os.environ.items()) if "VISIBLE_DEVICES" in name}
    return json.dumps(
        [boot_id(), namespace_id(), spec.origin, state.st_size, state.st_mtime_ns, driver, _nodes(), visible]
    )


def _nodes() -> list[str]:
    return sorted(node for pattern in _NODES for node in glob.glob(pattern))
