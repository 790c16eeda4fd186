"""Released models by short name; imports nothing heavy, so that listing components stays fast."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

DEFAULT = "vda-small"


@attrs.frozen(kw_only=True)
class Model:
    """A checkpoint on the Hugging Face hub."""

    repo: str
    file: str
    license: str
    size: int
    """Approximate size in bytes."""


def _model(name: str, encoder: str, license: str, size: int, *, metric: bool = False) -> Model:
    folder, file = ("Metric-", "metric_") if metric else ("", "")
    return Model(
        repo=f"depth-anything/{folder}Video-Depth-Anything-{name}",
        file=f"{file}video_depth_anything_{encoder}.pth",
        license=license,
        size=size,
    )


MODELS: Mapping[str, Model] = {
    "vda-small": _model("Small", "vits", "Apache-2.0", 116_000_000),
    "vda-base": _model("Base", "vitb", "CC-BY-NC-4.0", 454_000_000),
    "vda-large": _model("Large", "vitl", "CC-BY-NC-4.0", 1_530_000_000),
    "vda-metric-small": _model("Small", "vits", "Apache-2.0", 116_000_000, metric=True),
    "vda-metric-base": _model("Base", "vitb", "CC-BY-NC-4.0", 454_000_000, metric=True),
    "vda-metric-large": _model("Large", "vitl", "CC-BY-NC-4.0", 1_530_000_000, metric=True),
}
"""Models by short name."""
