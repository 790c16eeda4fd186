"""Options of the built-in renderers."""

from __future__ import annotations

from typing import Any

import attrs

from ex4d_core.options import option


def _beyond_near(instance: ViewRange, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > instance.near:
        raise ValueError(f"far must be greater than near: far is {value:g} and near is {instance.near:g}")


@attrs.frozen
class ViewRange:
    """Options that all renderers share."""

    near: float = option(
        1e-6,
        help="Near plane: nearer surfaces are clipped.",
        unit="units of depth",
        validator=attrs.validators.gt(0),
    )
    far: float = option(
        1e9,
        help="Far plane: farther surfaces are clipped.",
        unit="units of depth",
        validator=_beyond_near,
    )
    min_patch: int = option(
        3,
        help="Holes and visible patches of at most this width and height are removed from the mask; 0 keeps all.",
        unit="pixels",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(15)),
    )


@attrs.frozen
class RasterOptions(ViewRange):
    """Options of CPU renderers."""

    threads: int = option(
        0,
        help="CPU threads; 0 uses every core. The image does not depend on it.",
        affects_output=False,
        validator=attrs.validators.ge(0),
    )


@attrs.frozen
class TorchOptions(ViewRange):
    """Options of the `torch` renderer."""

    triton: bool = option(
        True, help="On CUDA, use Triton kernels if Triton and a C compiler are installed: faster, same image."
    )
