"""Preparation of training data: videos are encoded into shards of latents. Start reading in `preparation.py`.

Public names are imported on first use, since the filters of videos need no heavy libraries.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ex4d_training.data.dataset import EpochSampler as EpochSampler
    from ex4d_training.data.dataset import LatentDataset as LatentDataset
    from ex4d_training.data.fingerprint import check_fingerprint as check_fingerprint
    from ex4d_training.data.fingerprint import fingerprint_of as fingerprint_of
    from ex4d_training.data.job import Job as Job
    from ex4d_training.data.job import make_job as make_job
    from ex4d_training.data.options import DataOptions as DataOptions
    from ex4d_training.data.preparation import prepare as prepare
    from ex4d_training.data.report import Report as Report
    from ex4d_training.data.shards import Manifest as Manifest
    from ex4d_training.data.shards import Sample as Sample
    from ex4d_training.data.shards import Shard as Shard
    from ex4d_training.data.shards import read_manifest as read_manifest
    from ex4d_training.data.shards import write_manifest as write_manifest
    from ex4d_training.data.shards import write_shard as write_shard

_HOMES = {
    "dataset": ("EpochSampler", "LatentDataset"),
    "fingerprint": ("check_fingerprint", "fingerprint_of"),
    "job": ("Job", "make_job"),
    "options": ("DataOptions",),
    "preparation": ("prepare",),
    "report": ("Report",),
    "shards": ("Manifest", "Sample", "Shard", "read_manifest", "write_manifest", "write_shard"),
}
_HOME_OF = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
