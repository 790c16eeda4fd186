"""Ordinary videos made into what training reads: latents in shards. Read `prepare.py`, then what it calls."""

from ex4d_training.data.dataset import EpochSampler, LatentDataset
from ex4d_training.data.shards import Manifest, Sample, Shard, read_manifest, write_manifest, write_shard

__all__ = [
    "EpochSampler",
    "LatentDataset",
    "Manifest",
    "Sample",
    "Shard",
    "read_manifest",
    "write_manifest",
    "write_shard",
]
