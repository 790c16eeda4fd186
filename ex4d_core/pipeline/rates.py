"""Time and disk space that stages took on this machine, for forecasts of later runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.errors import Ex4dError
from ex4d_core.pipeline.chosen import Chosen
from ex4d_core.pipeline.components import Components
from ex4d_core.pipeline.records import Record
from ex4d_core.user_cache import user_cache

LEAST_SECONDS, LEAST_MEGAPIXELS = 1.0, 4.0
"""Shorter stages and smaller clips are not recorded: most of their time does not depend on the frames."""


@attrs.frozen(kw_only=True)
class Rate:
    """What a stage takes for a million pixels of one frame."""

    seconds: float
    bytes: float
    """Size of the artifact."""


def rates_file() -> Path | None:
    """Return the file of the measurements in the cache of the user, which need not exist; None if it is disabled."""
    folder = user_cache()
    return folder and folder / "rates.json"


def rate_key(components: Components, stage: str, roles: tuple[str, ...]) -> str:
    """Return the name of the rate of a stage: its components with their numbers, such as steps, and the hardware."""
    return " ".join((stage, *(_spelled(components.choose(role)) for role in roles), hardware_of(components)))


def hardware_of(components: Components) -> str:
    """Return the name of the GPU, or the type of another device; machines with a common cache can have several GPUs."""
    import torch

    device = components.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def read_rates() -> dict[str, Rate]:
    """Return the measurements by key; empty if there are none, or if they cannot be read."""
    file = rates_file()
    found: dict[str, Rate] = {}
    with suppress(Ex4dError):
        for key, facts in (Record(file).read() if file else {}).items():
            with suppress(TypeError, ValueError, LookupError):
                rate = Rate(seconds=float(facts["seconds"]), bytes=float(facts["bytes"]))
                if rate.seconds >= 0 and rate.bytes >= 0:
                    found[key] = rate
    return found


def record_rates(rates: dict[str, Rate]) -> None:
    """Replace measurements; nothing happens if they cannot be written."""
    file = rates_file()
    if file is None or not rates:
        return
    with suppress(Ex4dError), Record(file).changing() as change:
        change.facts |= {key: attrs.asdict(rate) for key, rate in rates.items()}


def _spelled(chosen: Chosen) -> str:
    options: dict[str, Any] = attrs.asdict(chosen.options)
    numbers = {name: value for name, value in options.items() if isinstance(value, int | float)}
    return f"{chosen.offer.name}({','.join(f'{name}={value:g}' for name, value in sorted(numbers.items()))})"
