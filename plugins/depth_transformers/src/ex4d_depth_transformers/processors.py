"""Read and check preprocessor_config.json of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ex4d_core.errors import InvalidInput
from ex4d_core.hub.untrusted_weights import numbers, read_config

_HALF = (0.5, 0.5, 0.5)
_FLAGS = ("do_pad", "do_resize", "do_normalize", "keep_aspect_ratio")
_STEPS = ("size_divisor", "ensure_multiple_of")

_LEAST, _MOST = 32, 2**13
"""Accepted sizes of a side of the model input, in pixels; Depth Pro, the largest model, has 1536."""


def read_processor(path: Path) -> Mapping[str, Any]:
    """Read the file; each entry that `preprocessing.py` uses is of the right type, or missing.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it cannot be read, or an entry is of another type.
    """
    processor = read_config(path)
    size = processor.get("size")
    sides = [size[side] for side in ("width", "height") if side in size] if isinstance(size, dict) else [size or _LEAST]
    wrong = [
        *(key for key in _FLAGS if not isinstance(processor.get(key), bool | None)),
        *(key for key in _STEPS if not _is_side(processor.get(key), least=0)),
        *("size" for side in sides if side is None or not _is_side(side, least=_LEAST)),
        *(() if isinstance(processor.get("resample"), int | None) else ("resample",)),
    ]
    if wrong:
        raise InvalidInput(f"{path} gives {wrong[0]} as {ascii(processor[wrong[0]])[:80]}, which is not valid")
    for key in ("image_mean", "image_std"):
        found = numbers(processor, key, 3, _HALF, where=path)
        if key == "image_std" and min(found) <= 0:
            raise InvalidInput(f"{path} gives {key} as {found}, which must be above 0")
    return processor


def _is_side(value: object, *, least: int) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= _MOST
