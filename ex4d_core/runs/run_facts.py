"""Facts of a run for `run.json`: versions, device, seed."""

from __future__ import annotations

import platform
from importlib.metadata import version

from ex4d_core.pipeline.clip_run import ClipRun
from ex4d_core.pipeline.records import Facts
from ex4d_core.version import __version__


def run_facts(clip_run: ClipRun) -> Facts:
    """Return the facts of the latest run for `run.json`."""
    return {
        "versions": {
            "ex4d": __version__,
            "python": platform.python_version(),
            "torch": version("torch"),
            "numpy": version("numpy"),
            "platform": platform.platform(),
        },
        "device": clip_run.components.device_name,
        "seed": clip_run.components.config.seed,
    }
