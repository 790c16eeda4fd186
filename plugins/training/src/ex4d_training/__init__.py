"""Training of the EX-4D adapter from ordinary videos: `train(make_train_config({...}))`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ex4d_training.config import TrainConfig as TrainConfig
    from ex4d_training.config import make_train_config as make_train_config
    from ex4d_training.run import train as train

_HOMES = {"train": "run", "TrainConfig": "config", "make_train_config": "config"}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name, with its heavy libraries, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
