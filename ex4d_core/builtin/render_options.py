"""Options of the built-in renderers."""

from __future__ import annotations

from typing import Any

import attrs

from ex4d_core.options import option


def _beyond_near(instance: ViewRange, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > instance.near:
        raise ValueError(f"far must be more than near: it is {value:g} and near is {instance.near:g}")


@attrs.frozen
class ViewRange:
    """What a renderer draws."""

    near: float = option(
        1e-6,
        help="Surfaces nearer than this along the camera's axis are cut away.",
        unit="units of depth",
        validator=attrs.validators.gt(0),
    )
    far: float = option(
        1e9,
        help="Surfaces farther than this along the camera's axis are cut away.",
        unit="units of depth",
        validator=_beyond_near,
    )


@attrs.frozen
class RasterOptions(ViewRange):
    """What a renderer draws, and with how many threads."""

    threads: int = option(
        0,
        help="CPU threads; 0 uses every core. The picture does not depend on it.",
        affects_output=False,
        validator=attrs.validators.ge(0),
    )


@attrs.frozen
class TorchOptions(ViewRange):
    """What a renderer draws, and by what means."""

    triton: bool = option(
        True, help="On CUDA, draw with Triton kernels where Triton and a C compiler are there: faster, same picture."
    )
