"""Sessions of ex4d, kept by their settings so that models stay loaded from one prompt to the next."""

from __future__ import annotations

import gc
import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from ex4d_core.config import merge, parse_settings
from ex4d_core.pipeline.session import Session

from .host import NodeReporter, device

MOST_KEPT = 4
"""Number of sessions that are kept; the one that was not used for the longest time is dropped first."""

SETTINGS = (
    "STRING",
    {
        "default": "",
        "multiline": True,
        "tooltip": "Further options, one on a line as of ex4d --set: SECTION.OPTION=VALUE, such as depth.steps=8.",
    },
)
"""The widget of options that have no widget of their own."""

KEEP_LOADED = (
    "BOOLEAN",
    {"default": True, "tooltip": "Keep the model in memory for the next prompt; off frees it after this one."},
)
"""The widget that frees models."""

_kept: OrderedDict[str, Session] = OrderedDict()


@contextmanager
def open_session(settings: str = "", *, keep: bool = True, **tables: Any) -> Iterator[Session]:
    """Yield the session with these settings.

    Args:
        settings: a setting on each line, as of `--set`; they take precedence over `tables`.
        keep: whether the session, with its models, is kept afterwards.
        tables: settings of a `Session`.

    Raises:
        Ex4dError: a setting is unknown or invalid.
    """
    lines = [line.strip() for line in settings.splitlines() if line.strip()]
    tree = merge({"device": device()}, tables, parse_settings(lines))
    key = json.dumps(tree, sort_keys=True, default=str)
    session = _kept.pop(key, None) or Session(reporter=NodeReporter(), **tree)
    try:
        yield session
    finally:
        if keep:
            _kept[key] = session
        del session
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
        if not keep:
            free()


def free() -> None:
    """Return the memory of dropped sessions to the system and the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@cache
def component_names(role: str) -> list[str]:
    """Return `auto` and the names of the installed components of a role."""
    offers = Session(progress=False).registry.offers(role)
    return ["auto", *sorted({offer.name for offer in offers})]
