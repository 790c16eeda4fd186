"""Entry point of the plugin."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider
from ex4d_depth_anything3.options import Da3Options
from ex4d_depth_anything3.video.options import VdaOptions


@hookimpl
def ex4d_depth_estimators() -> list[Provider]:
    """Offer Depth Anything 3 and Video Depth Anything."""
    return [
        Provider(
            name="da3",
            summary="Depth Anything 3: depth with the lens and the poses of the source camera",
            license=(
                "code Apache-2.0; weights: da3-small, da3-base, da3metric-large and da3mono-large Apache-2.0, "
                "da3-large CC-BY-NC-4.0"
            ),
            component="ex4d_depth_anything3.estimator:DepthAnything3Estimator",
            options=Da3Options,
            auto=15,
            weights="ex4d_depth_anything3.weights:hub_files",
            contract="ex4d_depth_anything3.contract:Da3Contract",
        ),
        Provider(
            name="vda",
            summary="Video Depth Anything: depth of clips of any length, steady over time",
            license=(
                "code Apache-2.0; weights: vda-small and vda-metric-small Apache-2.0, base and large CC-BY-NC-4.0"
            ),
            component="ex4d_depth_anything3.video.estimator:VideoDepthAnythingEstimator",
            options=VdaOptions,
            auto=12,
            weights="ex4d_depth_anything3.video.weights:hub_files",
            contract="ex4d_depth_anything3.video.contract:VdaContract",
        ),
    ]
