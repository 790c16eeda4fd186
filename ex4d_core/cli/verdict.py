"""The first lines of `ex4d doctor`: what a run without further options uses here, and what would be better."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from ex4d_core.cli.doctor import Machine
from ex4d_core.cli.tables import LICENSES
from ex4d_core.cli.weights_here import size_of, weights_are_here
from ex4d_core.errors import ComponentNotFound, Ex4dError
from ex4d_core.plugins.discovery import Plugins
from ex4d_core.plugins.known import KNOWN_PLUGINS, where_to_get
from ex4d_core.plugins.offers import Offer
from ex4d_core.plugins.registry import Registry
from ex4d_core.shell import in_order

_TITLES = {"depth": "depth", "backbone": "generation"}
_DEVICES = {"cpu": "CPU", "cuda": "NVIDIA GPU", "mps": "Apple GPU"}


def verdict(plugins: Plugins, machine: Machine) -> list[str]:
    """Return a sentence for depth, for generation, and on the terms of results.

    Args:
        plugins: the installed plugins.
        machine: its device.
    """
    registry = Registry(plugins)
    chosen: dict[str, Offer] = {}
    lines: list[str] = []
    for role, title in _TITLES.items():
        try:
            offer = registry.choose(role, machine.device_type, lacks_weights=_lacks_weights).offer
        except ComponentNotFound as error:
            lines.append(f"{title}: not available; {error}")
            continue
        state, advice = "ready", []
        if _lacks_weights(offer):
            state, advice = "not ready", [f"type: ex4d fetch {offer.name}"]
        elif offer.spec.preview:
            state, advice = "preview only", _better(registry, offer, machine)
        if state != "not ready":
            chosen[role] = offer
        lines.append("; ".join([f"{title}: {state} ({offer.name}, {_DEVICES[machine.device_type]})", *advice]))
    return [*lines, *_terms(chosen)]


def _lacks_weights(offer: Offer) -> bool:
    try:
        return not weights_are_here(offer)
    except (Ex4dError, TypeError):  # a finding of its own; or an option has no default
        return True


def _better(registry: Registry, preview: Offer, machine: Machine) -> list[str]:
    """Return how to get the components that do more than a preview; those for a GPU only if no other one works here."""
    here: list[str] = []
    elsewhere: list[str] = []
    for name in registry.auto_names(preview.role):
        offer = registry.find(preview.role, name)
        if offer.spec.preview:
            continue
        if gpu := _missing_gpu(offer.spec.gpu_memory, machine):
            elsewhere.append(f"`ex4d fetch {name}` needs {gpu}")
        elif missing := offer.missing_requirements():
            here.append(f"{name} requires {' and '.join(missing)}: `{in_order(offer.install_commands())}`")
        elif machine.device_type in offer.spec.devices:
            facts = "; ".join(filter(None, (size_of(offer), offer.spec.usage_terms)))
            here.append(f"`ex4d fetch {name}`{facts and f' ({facts})'} makes {name} available")
    for plugin in KNOWN_PLUGINS:
        for name in plugin.names if plugin.kind == preview.role else ():
            how = where_to_get(name, preview.role)
            if how and (gpu := _missing_gpu(plugin.gpu_memory, machine)):
                elsewhere.append(f"{name}, not installed, needs {gpu}")
            elif how:
                here.append(how)
    return here or elsewhere


def _missing_gpu(gpu_memory: float, machine: Machine) -> str:
    """Return the GPU that this machine lacks, or ''; cards have a little less memory than their name says."""
    has = machine.gpu_bytes / 2**30
    if not gpu_memory or (machine.device_type == "cuda" and has + 0.5 >= gpu_memory):
        return ""
    here = f"; this one has {has:.0f} GB" if machine.device_type == "cuda" else ""
    return f"an NVIDIA GPU of {gpu_memory:g} GB or more{here}"


def _terms(chosen: dict[str, Offer]) -> Iterator[str]:
    """Yield the terms of the chosen components with their default options."""
    terms = []
    for role, offer in chosen.items():
        required = any(field.default is attrs.NOTHING for field in attrs.fields(offer.spec.options))
        if text := "" if required else offer.spec.usage_terms_for(offer.spec.options()):
            terms.append(f"{role} {offer.name}: {text}")
    if terms:
        yield f"publishing and selling results: {'; '.join(terms)} ({LICENSES})"
    elif chosen:
        names = " and ".join(offer.name for offer in chosen.values())
        yield f"publishing and selling results: no restriction declared by {names} ({LICENSES})"
