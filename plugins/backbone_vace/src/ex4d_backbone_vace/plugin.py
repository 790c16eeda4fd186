"""Entry point of the plugin."""

from __future__ import annotations

from ex4d_backbone_vace.options import VaceOptions
from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider


@hookimpl
def ex4d_backbones() -> list[Provider]:
    """Offer VACE."""
    return [
        Provider(
            name="vace",
            summary="Wan2.1-VACE, 1.3B or 14B: generates the hidden regions without an adapter",
            license="Apache-2.0",
            component="ex4d_backbone_vace.backbone:VaceBackbone",
            options=VaceOptions,
            devices=("cuda",),
            auto=15,
            requires=("diffusers", "transformers", "accelerate", "peft", "ftfy"),
            weights="ex4d_backbone_wan.weights:hub_files",
            contract="ex4d_backbone_vace.contract:VaceContract",
            gpu_memory=4,
            gpu_hints="ex4d_backbone_vace.advice:advice",
        )
    ]
