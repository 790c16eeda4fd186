"""Presets that reproduce another system; options of the user take precedence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidConfig, nearest
from ex4d_core.provider import Provider

Preset = Mapping[str, Mapping[str, Any]]

PRESETS: Mapping[str, Preset] = {
    # Values of the released EX-4D code.
    "ex4d": {
        "video": {"num_frames": 49, "size": "ex4d", "fit": "stretch", "fps": 30},
        "lens": {"focal_px": 500.0, "of": "frame"},
        "refine": {"enabled": False},
        "guidance": {"background": "none"},
    },
}
"""Configuration tables of each preset; options of components are in `Provider.presets`."""


def preset(name: str | None) -> Preset:
    """Return a preset, or an empty one for None.

    Raises:
        InvalidConfig: the preset is unknown.
    """
    if name is None:
        return {}
    if not isinstance(name, str) or name not in PRESETS:
        guess = nearest(str(name)[:100], PRESETS, then=f"use one of {', '.join(PRESETS)}")
        raise InvalidConfig(f"unknown preset {shown(name)}{guess}")
    return PRESETS[name]


def preset_options(name: str | None, provider: Provider) -> Mapping[str, Any]:
    """Return the options of a component that a preset sets; none for None.

    Raises:
        InvalidConfig: the preset is unknown.
    """
    preset(name)
    return {} if name is None else provider.presets.get(name, {})


def ex4d_size(width: int, height: int) -> tuple[int, int]:
    """Return the working size of EX-4D: both sides rounded to multiples of 64, the longer one at most 1024."""
    rounded = [max(64, round(side / 64) * 64) for side in (width, height)]
    shrink = min(1.0, 1024 / max(rounded))
    return max(64, round(rounded[0] * shrink)), max(64, round(rounded[1] * shrink))
