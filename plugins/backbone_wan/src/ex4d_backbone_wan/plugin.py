"""Entry point of the plugin."""

from __future__ import annotations

from ex4d_backbone_wan.options import WanOptions
from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider


@hookimpl
def ex4d_backbones() -> list[Provider]:
    """Offer Wan."""
    return [
        Provider(
            name="wan",
            summary="Wan2.1 image-to-video with the EX-4D adapter: generates the hidden regions",
            license="code Apache-2.0; weights of Wan2.1, and of LightX2V for --speed turbo, Apache-2.0; the EX-4D "
            "adapter's as its repository says",
            component="ex4d_backbone_wan.backbone:WanBackbone",
            options=WanOptions,
            presets={"ex4d": {"size": "512x512", "fit": "stretch"}},
            # The adapter was trained on masks that hide every occluded face, and on guidance of the frame alone.
            expects={"guidance": {"background": "none"}, "mesh": {"max_stretch": 0.0}},
            devices=("cuda",),
            auto=20,
            requires=("diffusers", "transformers", "accelerate", "peft", "ftfy"),
            weights="ex4d_backbone_wan.weights:hub_files",
            contract="ex4d_backbone_wan.contract:WanContract",
            gpu_memory=8,
            gpu_hints="ex4d_backbone_wan.compute.advice:advice",
        )
    ]
