"""The models that have a short name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs


@attrs.frozen(kw_only=True)
class ModelAlias:
    """A checkpoint on the Hugging Face hub."""

    repo: str
    """OWNER/NAME."""

    license: str
    """Of the weights."""


def _depth_anything_v2() -> Iterator[tuple[str, ModelAlias]]:
    for variant in ("", "Metric-Indoor-", "Metric-Outdoor-"):
        for size in ("Small", "Base", "Large"):
            name = f"Depth-Anything-V2-{variant}{size}"
            terms = "Apache-2.0" if size == "Small" else "CC-BY-NC-4.0"
            yield name.lower(), ModelAlias(repo=f"depth-anything/{name}-hf", license=terms)


MODELS: Mapping[str, ModelAlias] = {
    **dict(_depth_anything_v2()),
    "depth-pro": ModelAlias(repo="apple/DepthPro-hf", license="apple-amlr, for research"),
    "zoedepth": ModelAlias(repo="Intel/zoedepth-nyu-kitti", license="MIT"),
    "dpt-large": ModelAlias(repo="Intel/dpt-large", license="Apache-2.0"),
}
"""By short name."""

FREE = ("Apache-2.0", "MIT")
"""Licenses that leave open what the results are used for."""

DEFAULT = "depth-anything-v2-small"


def repo_of(name: str) -> str:
    """Return the hub's name that a short name stands for, or the text itself."""
    known = MODELS.get(name)
    return name if known is None else known.repo
