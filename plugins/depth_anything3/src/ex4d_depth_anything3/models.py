"""Released models by short name; imports nothing, so that listing components stays fast."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

FREE = ("Apache-2.0",)
"""Licenses that do not restrict the use of results."""

DEFAULT = "da3-small"


@attrs.frozen(kw_only=True)
class Model:
    """A checkpoint on the Hugging Face hub."""

    repo: str
    license: str
    size: int
    """Approximate size in bytes."""


MODELS: Mapping[str, Model] = {
    "da3-small": Model(repo="depth-anything/DA3-SMALL", license="Apache-2.0", size=137_000_000),
    "da3-base": Model(repo="depth-anything/DA3-BASE", license="Apache-2.0", size=541_000_000),
    "da3-large": Model(repo="depth-anything/DA3-LARGE-1.1", license="CC-BY-NC-4.0", size=1_640_000_000),
    "da3metric-large": Model(repo="depth-anything/DA3METRIC-LARGE", license="Apache-2.0", size=1_340_000_000),
    "da3mono-large": Model(repo="depth-anything/DA3MONO-LARGE", license="Apache-2.0", size=1_340_000_000),
}
"""Models by short name."""

METRIC = "da3metric-large"
"""The model whose depth is in meters."""


def repo_of(name: str) -> str:
    """Return the repository of a short name, or the name itself."""
    known = MODELS.get(name)
    return name if known is None else known.repo
