"""Weights of Wan and of adapters: where they are, how their files are laid out, and how networks are loaded."""

from ex4d_backbone_wan.weights.checkpoint import (
    Lora,
    Part,
    WanCheckpoint,
    WanWeightsOptions,
    hub_files,
    locate,
    parse_loras,
)

__all__ = ["Lora", "Part", "WanCheckpoint", "WanWeightsOptions", "hub_files", "locate", "parse_loras"]
