"""Validators of array fields."""

from __future__ import annotations

import sys
from typing import Any

import attrs
import numpy as np

from ex4d_core.bounds import frame_rate
from ex4d_core.errors import InvalidInput


def shaped(shape: str, dtype: str) -> Any:
    """Declare a tensor field with a dtype and a shape such as `"T H W 3"`, where names match any size.

    NumPy arrays are converted, floats of any precision to that of the field.
    """
    return attrs.field(converter=_converter(dtype), validator=_checker(shape, dtype), repr=tensor_summary)


def optional_shaped(shape: str, dtype: str) -> Any:
    """Declare a tensor field that may be None (its default)."""
    check = attrs.validators.optional(_checker(shape, dtype))
    return attrs.field(default=None, converter=_converter(dtype), validator=check, repr=tensor_summary)


def instance(kind: type, *, optional: bool = False) -> Any:
    """Declare a field of another type of value; an optional one may be None (its default)."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind) and not (optional and value is None):
            article = "an" if kind.__name__[0] in "AEIOU" else "a"
            raise InvalidInput(
                f"{type(instance).__name__}.{attribute.name} must be {article} {kind.__name__}, not {_type_of(value)}"
            )

    return attrs.field(default=None, validator=check) if optional else attrs.field(validator=check)


def rate() -> Any:
    """Declare a field of frames per second."""
    return attrs.field(converter=frame_rate)


def tensor_summary(value: Any) -> str:
    """Return dtype and shape of a tensor, and its device unless it is the CPU."""
    if not _is_tensor(value):
        return repr(value)
    place = "" if value.device.type == "cpu" else f" on {value.device}"
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}{place}"


def _converter(dtype: str) -> Any:
    def convert(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "uifb":
            return value
        import torch

        # A copy: arrays may be read-only, or views with negative strides.
        tensor, kind = torch.from_numpy(np.array(value)), getattr(torch, dtype)
        return tensor.to(kind) if tensor.is_floating_point() and kind.is_floating_point else tensor

    return convert


def _checker(shape: str, dtype: str) -> Any:
    sizes = shape.split()

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        fits = (
            _is_tensor(value)
            and str(value.dtype) == f"torch.{dtype}"
            and value.ndim == len(sizes)
            and all(not name.isdigit() or int(name) == size for name, size in zip(sizes, value.shape, strict=True))
        )
        if not fits:
            expected = f"{dtype} [{', '.join(sizes)}]"
            raise InvalidInput(
                f"{type(instance).__name__}.{attribute.name} must be a {expected} tensor, not {_type_of(value)}"
            )

    return check


def _type_of(value: object) -> str:
    return tensor_summary(value) if _is_tensor(value) else type(value).__name__


def _is_tensor(value: object) -> bool:
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))  # before torch is imported there are none
