"""Evaluation of re-rendered videos: `score("eval")` compares the videos of all methods in a folder."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ex4d_evaluation.cameras import camera_errors as camera_errors
    from ex4d_evaluation.estimating import estimate_cameras as estimate_cameras
    from ex4d_evaluation.scoring import score as score

_HOMES = {"camera_errors": "cameras", "estimate_cameras": "estimating", "score": "scoring"}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name, with its heavy libraries, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
