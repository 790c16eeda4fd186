"""Checks of the installation, each with the command that fixes a problem."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Literal

import attrs

from ex4d_core.cli.flags import read_defaults
from ex4d_core.cli.weights_here import size_of, weights_are_here
from ex4d_core.config.user_config import EX4D_CONFIG, user_config_file
from ex4d_core.distributions import upgrade_command
from ex4d_core.errors import Ex4dError, PluginFailed, one_line
from ex4d_core.plugins.discovery import Plugins
from ex4d_core.plugins.offers import CommandOffer, Offer
from ex4d_core.shell import command_line, in_order

_PACKAGES = ("ex4d-core", "torch", "numpy", "numba", "av", "opencv-python-headless", "trimesh", "safetensors")

Level = Literal["fine", "note", "broken"]


@attrs.frozen(kw_only=True)
class Finding:
    """The result of one check."""

    what: str
    state: str
    fix: str = ""
    """The command that fixes the problem, or ''."""
    level: Level = "fine"
    """`note`: worth reading, such as missing weights; `broken`: the exit code is 1."""


@attrs.frozen(kw_only=True)
class Machine:
    """The device that runs use by default."""

    device_type: str
    """`cuda`, `mps` or `cpu`."""
    gpu_bytes: int = 0
    """Memory of the first NVIDIA GPU."""

    @classmethod
    def this(cls) -> Machine:
        """Return the device of this machine; one that cannot be used is reported by `examine`."""
        try:
            import torch

            if torch.cuda.is_available():
                memory = torch.cuda.get_device_properties(0).total_memory
                return cls(device_type="cuda", gpu_bytes=memory)
            return cls(device_type="mps" if torch.backends.mps.is_available() else "cpu")
        except (ImportError, OSError, RuntimeError):
            return cls(device_type="cpu")


def examine(plugins: Plugins, *, device_type: str = "") -> Iterator[Finding]:
    """Yield versions, devices, free disk space, the user configuration, components, and problems of plugins.

    Args:
        plugins: the installed plugins.
        device_type: `cpu`, `cuda` or `mps`; by default that of this machine.
    """
    device = device_type or Machine.this().device_type
    yield Finding(what="python", state=f"{platform.python_version()} on {platform.platform()}")
    for name in _PACKAGES:
        try:
            yield Finding(what=name, state=importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(what=name, state="not installed", fix=f"pip install {name}", level="broken")
    yield from _devices(plugins)
    yield _disk()
    yield _user_config()
    for offer in plugins.offers:
        yield _component(offer, device)
    for command in plugins.commands:
        if command.spec.weights and not command.missing_requirements():
            yield _weights(command, "fine")
    for problem in plugins.problems:
        level: Level = "broken" if problem in plugins.broken else "note"
        yield Finding(what=f"plugin {problem.source.plugin}", state=problem.error, fix=problem.next_step, level=level)


def _disk() -> Finding:
    try:
        return Finding(what="disk", state=f"{shutil.disk_usage('.').free / 2**30:.0f} GiB free")
    except OSError as error:  # the folder was removed, or its disk is gone
        state = f"cannot read the free space: {error.strerror or error}"
        return Finding(what="disk", state=state, level="note")


def _user_config() -> Finding:
    what = "user configuration"
    try:
        file = user_config_file()
        read_defaults()
    except Ex4dError as error:
        return Finding(what=what, state=str(error), level="broken")
    if file is None:
        return Finding(what=what, state=f"disabled: {EX4D_CONFIG} is empty")
    if not file.exists():
        return Finding(what=what, state=f"none, would be {file}")
    return Finding(what=what, state=str(file), level="note")


def _component(offer: Offer, device_type: str) -> Finding:
    what, license_ = f"{offer.role} {offer.name}", f"license: {offer.spec.license}"
    level: Level = "fine" if offer.spec.auto is None else "note"
    if device_type not in offer.spec.devices:
        return Finding(what=what, state=f"for {' or '.join(offer.spec.devices)}, not for this machine; {license_}")
    if missing := offer.missing_requirements():
        fix = in_order(offer.install_commands())
        return Finding(what=what, state=f"requires {', '.join(missing)}; {license_}", fix=fix, level=level)
    if offer.spec.weights and _required_options(offer):
        state = f"weights depend on required options: {_required_options(offer)}"
        return Finding(what=what, state=state, fix=f"ex4d plugins show {offer.name}", level=level)
    return _weights(offer, level)


def _weights(offer: Offer | CommandOffer, level: Level) -> Finding:
    what, license_ = f"{offer.kind} {offer.name}", f"license: {offer.spec.license}"
    try:
        has_weights = weights_are_here(offer)
    except Ex4dError as error:
        fix = upgrade_command(offer.source.distribution)
        return Finding(what=what, state=str(error), fix=fix, level="broken")
    if not has_weights:
        size = size_of(offer)
        state = f"weights not downloaded{size and f' ({size})'}; {license_}"
        return Finding(what=what, state=state, fix=f"ex4d fetch {offer.name}", level=level)
    return Finding(what=what, state=f"ready, from {offer.source}")


def _required_options(offer: Offer) -> str:
    fields = attrs.fields(offer.spec.options)
    return ", ".join(field.name for field in fields if field.default is attrs.NOTHING)


def _devices(plugins: Plugins) -> Iterator[Finding]:
    try:
        import torch
    except ModuleNotFoundError:  # already reported among the packages
        return
    except (ImportError, OSError) as error:
        again = "pip install --force-reinstall torch"
        yield Finding(what="torch", state=f"cannot be imported: {one_line(error)}", fix=again, level="broken")
        return
    yield from _bytecode(torch.__spec__)
    for index in range(torch.cuda.device_count()):
        try:
            facts = torch.cuda.get_device_properties(index)
        except RuntimeError as error:  # the driver may be too old, or the GPU in exclusive use
            yield Finding(what=f"cuda:{index}", state=f"cannot be used: {one_line(error)}", level="broken")
            continue
        yield Finding(what=f"cuda:{index}", state=f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB", level="note")
        for offer in plugins.offers:
            yield from _advice(offer, f"cuda:{index}", facts.total_memory)
    if torch.backends.mps.is_available():
        yield Finding(what="mps", state="available")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        yield Finding(what="GPU", state="none; everything runs on the CPU")


def _bytecode(torch: ModuleSpec | None) -> Iterator[Finding]:
    """Yield a finding if Python keeps no bytecode of libraries, as in images with PYTHONDONTWRITEBYTECODE."""
    if torch and torch.origin and torch.cached and not os.path.exists(torch.cached):
        state = "libraries are compiled again by each command, which takes seconds"
        fix = command_line([sys.executable, "-m", "compileall", "-q", str(Path(torch.origin).parent.parent)])
        yield Finding(what="bytecode", state=state, fix=fix, level="note")


def _advice(offer: Offer, device: str, gpu_bytes: int) -> Iterator[Finding]:
    """Yield the hints of a component for a GPU; a failure is reported as a finding."""
    level: Level = "note"
    try:
        sentences = offer.gpu_hints(gpu_bytes)
    except PluginFailed as error:
        sentences, level = [str(error)], "broken"
    for sentence in sentences:
        yield Finding(what=f"{device} {offer.name}", state=sentence, level=level)
