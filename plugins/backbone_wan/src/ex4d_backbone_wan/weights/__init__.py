"""Weights of Wan and of adapters: locating, file layouts, and loading of networks."""

from ex4d_backbone_wan.weights.checkpoint import (
    AdapterOptions,
    DistilledLora,
    Kind,
    ModelOptions,
    Part,
    WanCheckpoint,
    hub_files,
    locate,
)
from ex4d_backbone_wan.weights.user_files import Lora, parse_loras

__all__ = [
    "AdapterOptions",
    "DistilledLora",
    "Kind",
    "Lora",
    "ModelOptions",
    "Part",
    "WanCheckpoint",
    "hub_files",
    "locate",
    "parse_loras",
]
