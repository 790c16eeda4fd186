"""Checks of the installation, each with the command that fixes a problem."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Iterable, Iterator

import attrs

from ex4d_core.distributions import upgrade_command
from ex4d_core.errors import Ex4dError, PluginFailed, one_line
from ex4d_core.hub.local import HubRepo, find_in_cache
from ex4d_core.plugins.discovery import Plugins
from ex4d_core.plugins.offers import Offer

_PACKAGES = ("ex4d-core", "torch", "numpy", "numba", "av", "opencv-python-headless", "trimesh", "safetensors")


@attrs.frozen(kw_only=True)
class Finding:
    """The result of one check."""

    what: str
    state: str
    fix: str = ""
    """The command that fixes the problem, or ''."""


def examine(plugins: Plugins) -> Iterator[Finding]:
    """Yield versions, devices, free disk space, components, and problems of plugins."""
    yield Finding(what="python", state=f"{platform.python_version()} on {platform.platform()}")
    for name in _PACKAGES:
        try:
            yield Finding(what=name, state=importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(what=name, state="not installed", fix=f"pip install {name}")
    yield from _devices(plugins)
    yield _disk()
    for offer in plugins.offers:
        yield _component(offer)
    for problem in plugins.problems:
        yield Finding(what=f"plugin {problem.source.plugin}", state=problem.error, fix=problem.next_step)


def _disk() -> Finding:
    try:
        return Finding(what="disk", state=f"{shutil.disk_usage('.').free / 2**30:.0f} GiB free")
    except OSError as error:  # the folder was removed, or its disk is gone
        return Finding(what="disk", state=f"cannot read the free space: {error.strerror or error}")


def _component(offer: Offer) -> Finding:
    what = f"{offer.role} {offer.name}"
    if missing := offer.missing_requirements():
        state = f"requires {', '.join(missing)}; license: {offer.spec.license}"
        return Finding(what=what, state=state, fix=" && ".join(offer.install_commands()))
    if offer.spec.weights and _required_options(offer):
        state = f"weights depend on required options: {_required_options(offer)}"
        return Finding(what=what, state=state, fix=f"ex4d plugins show {offer.name}")
    try:
        needed = offer.weights(offer.spec.options()) if offer.spec.weights else []
    except Ex4dError as error:
        return Finding(what=what, state=str(error), fix=upgrade_command(offer.source.distribution))
    if not _in_cache(needed):
        state = f"weights not downloaded; license: {offer.spec.license}"
        return Finding(what=what, state=state, fix=f"ex4d fetch {offer.name}")
    return Finding(what=what, state=f"ready, from {offer.source}")


def _required_options(offer: Offer) -> str:
    fields = attrs.fields(offer.spec.options)
    return ", ".join(field.name for field in fields if field.default is attrs.NOTHING)


def _in_cache(needed: Iterable[HubRepo]) -> bool:
    try:
        return all(find_in_cache(files) for files in needed)
    except Ex4dError:  # huggingface_hub is not installed
        return False


def _devices(plugins: Plugins) -> Iterator[Finding]:
    try:
        import torch
    except ModuleNotFoundError:  # already reported among the packages
        return
    except (ImportError, OSError) as error:
        again = "pip install --force-reinstall torch"
        yield Finding(what="torch", state=f"cannot be imported: {one_line(error)}", fix=again)
        return
    for index in range(torch.cuda.device_count()):
        try:
            facts = torch.cuda.get_device_properties(index)
        except RuntimeError as error:  # the driver may be too old, or the GPU in exclusive use
            yield Finding(what=f"cuda:{index}", state=f"cannot be used: {one_line(error)}")
            continue
        yield Finding(what=f"cuda:{index}", state=f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB")
        for offer in plugins.offers:
            yield from _advice(offer, f"cuda:{index}", facts.total_memory)
    if torch.backends.mps.is_available():
        yield Finding(what="mps", state="available")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        yield Finding(what="GPU", state="none; everything runs on the CPU")


def _advice(offer: Offer, device: str, gpu_bytes: int) -> Iterator[Finding]:
    """Yield the hints of a component for a GPU; a failure is reported as a finding."""
    try:
        sentences = offer.gpu_hints(gpu_bytes)
    except PluginFailed as error:
        sentences = [str(error)]
    for sentence in sentences:
        yield Finding(what=f"{device} {offer.name}", state=sentence)
