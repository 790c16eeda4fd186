"""Entry point of the plugin."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider
from ex4d_depth_transformers.options import TransformersOptions


@hookimpl
def ex4d_depth_estimators() -> list[Provider]:
    """Offer the depth models of transformers."""
    return [
        Provider(
            name="transformers",
            summary="depth models of transformers per frame, temporally aligned (Depth Anything V2, Depth Pro, ...)",
            license=(
                "code Apache-2.0; weights: Depth Anything V2 small Apache-2.0, base and large CC-BY-NC-4.0, Depth Pro "
                "for research, ZoeDepth MIT, DPT Apache-2.0"
            ),
            component="ex4d_depth_transformers.estimator:TransformersDepth",
            options=TransformersOptions,
            requires=("transformers",),
            weights="ex4d_depth_transformers.weights:hub_files",
            contract="ex4d_depth_transformers.contract:TransformersContract",
        )
    ]
