"""The models that have a short name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

_NON_COMMERCIAL = "CC-BY-NC-4.0"


@attrs.frozen(kw_only=True)
class Model:
    """A checkpoint on the Hugging Face hub."""

    repo: str
    """OWNER/NAME."""

    licence: str
    """Of the weights."""


def _depth_anything_v2() -> Iterator[tuple[str, Model]]:
    for size in ("small", "base", "large"):
        licence = "Apache-2.0" if size == "small" else _NON_COMMERCIAL
        for short, long in (("", ""), ("metric-indoor-", "Metric-Indoor-"), ("metric-outdoor-", "Metric-Outdoor-")):
            repo = f"depth-anything/Depth-Anything-V2-{long}{size.capitalize()}-hf"
            yield f"depth-anything-v2-{short}{size}", Model(repo=repo, licence=licence)


MODELS: Mapping[str, Model] = {
    **dict(_depth_anything_v2()),
    "depth-pro": Model(repo="apple/DepthPro-hf", licence="Apple's model licence for research (apple-amlr)"),
    "zoedepth": Model(repo="Intel/zoedepth-nyu-kitti", licence="MIT"),
    "dpt-large": Model(repo="Intel/dpt-large", licence="Apache-2.0"),
}
"""By short name."""

DEFAULT = "depth-anything-v2-small"


def repo_of(name: str) -> str:
    """Return the hub's name that a short name stands for, or the text itself."""
    known = MODELS.get(name)
    return name if known is None else known.repo
