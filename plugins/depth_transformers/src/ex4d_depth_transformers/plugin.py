"""Entry point of the plugin."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Download, Provider
from ex4d_depth_transformers.model_aliases import DEFAULT, MODELS, SIZES
from ex4d_depth_transformers.options import TransformersOptions


@hookimpl
def ex4d_depth_estimators() -> list[Provider]:
    """Offer the depth models of transformers."""
    return [
        Provider(
            name="transformers",
            summary="depth models such as Depth Anything V2 and Depth Pro, frame by frame, aligned over time",
            license=(
                "code Apache-2.0; weights: Depth Anything V2 small Apache-2.0, base and large CC-BY-NC-4.0, Depth Pro "
                "for research, ZoeDepth MIT, DPT Apache-2.0"
            ),
            component="ex4d_depth_transformers.estimator:TransformersDepth",
            options=TransformersOptions,
            auto=10,
            requires=("transformers",),
            weights="ex4d_depth_transformers.weights:hub_files",
            offer_download=Download(
                title="Depth Anything V2 Small", license=MODELS[DEFAULT].license, size=SIZES[DEFAULT]
            ),
            contract="ex4d_depth_transformers.contract:TransformersContract",
        )
    ]
