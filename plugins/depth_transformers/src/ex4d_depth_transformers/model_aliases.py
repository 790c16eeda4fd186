"""Short names of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs


@attrs.frozen(kw_only=True)
class ModelAlias:
    """A checkpoint on the Hugging Face hub."""

    repo: str
    """OWNER/NAME."""

    license: str
    """License of the weights."""


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
"""Models by short name."""

FREE = ("Apache-2.0", "MIT")
"""Licenses that do not restrict the use of results."""

DEFAULT = "depth-anything-v2-small"

SIZES = {DEFAULT: 99_200_000}
"""Sizes on the hub in bytes, by short name."""


def repo_of(name: str) -> str:
    """Return the repository of a short name, or the name itself."""
    known = MODELS.get(name)
    return name if known is None else known.repo
