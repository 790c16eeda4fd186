"""Entry point of the plugin."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider, Seconds
from ex4d_depth_depthcrafter.options import DepthCrafterOptions


@hookimpl
def ex4d_depth_estimators() -> list[Provider]:
    """Offer DepthCrafter."""
    return [
        Provider(
            name="depthcrafter",
            summary="video diffusion, consistent over the whole clip (DepthCrafter)",
            license="code Apache-2.0; DepthCrafter's weights are for academic use only",
            usage_terms="DepthCrafter's weights are for academic use only; Stable Video Diffusion has its own terms",
            component="ex4d_depth_depthcrafter.estimator:DepthCrafter",
            options=DepthCrafterOptions,
            typical_seconds={"cuda": Seconds(per_megapixel=0.18)},
            presets={"ex4d": {"far": 10000.0}},
            devices=("cuda",),
            auto=20,
            requires=("diffusers", "transformers", "accelerate"),
            gpu_memory=6,
            weights="ex4d_depth_depthcrafter.weights:hub_files",
            contract="ex4d_depth_depthcrafter.contract:DepthCrafterContract",
        )
    ]
