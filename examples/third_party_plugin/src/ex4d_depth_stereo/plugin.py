"""Plugin of the package. Every ex4d command imports it, so it imports nothing heavy."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider
from ex4d_depth_stereo.options import StereoOptions


@hookimpl
def ex4d_depth_estimators() -> list[Provider]:
    """Offer `stereo`."""
    return [
        Provider(
            name="stereo",
            summary="measured from stereo video by semi-global matching",
            license="MIT",
            component="ex4d_depth_stereo.estimator:StereoEstimator",
            options=StereoOptions,
            contract="ex4d_depth_stereo.contract:StereoContract",
        )
    ]
