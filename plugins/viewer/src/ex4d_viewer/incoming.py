"""What a client of the page may send: messages of few kinds, with texts and numbers of bounded size.

viser hands every message that it can decode to its handlers, and lets one set any attribute of a control. So everything
that is not described here is dropped before viser sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ex4d_core.errors import InvalidInput
from ex4d_core.page_guard import number_in, numbers_in, text_in

MOST_BYTES = 2**16
"""Of one message; the largest that the page sends has a few hundred."""

MOST_TEXT = 4096
"""Characters of one text: camera paths in a list are the longest."""

FARTHEST = 1e9
"""Largest coordinate."""

MOST_PIXELS = 100_000

Check = Callable[[Any], object]


def _text(value: Any) -> object:
    return text_in(value, MOST_TEXT, "a text")


def _number(value: Any) -> object:
    return number_in(value, -FARTHEST, FARTHEST, "a number")


def _pixels(value: Any) -> object:
    return number_in(value, 0, MOST_PIXELS, "a size")


def _point(value: Any) -> object:
    return numbers_in(value, 3, FARTHEST, "a point")


def _rotation(value: Any) -> object:
    # Rounding may let a number be a little larger than 1.
    if not any(numbers_in(value, 4, 2.0, "a rotation")):
        raise InvalidInput("a rotation is not zero")
    return value


def _angle(value: Any) -> object:
    return number_in(value, 0.0, 3.2, "an angle")


def _value_of_control(updates: Any) -> object:
    """Check the one attribute of a control that its user changes."""
    if not isinstance(updates, dict) or list(updates) != ["value"]:
        raise InvalidInput("a control has other attributes than its value")
    value = updates["value"]
    return value if isinstance(value, bool) else _text(value) if isinstance(value, str) else _number(value)


_NAMED: Mapping[str, Check] = {"name": _text, "owner": _text}

KINDS: Mapping[str, Mapping[str, Check]] = {
    "GuiUpdateMessage": {"uuid": _text, "updates": _value_of_control},
    "TransformControlsDragStartMessage": _NAMED,
    "TransformControlsUpdateMessage": {**_NAMED, "wxyz": _rotation, "position": _point},
    "TransformControlsDragEndMessage": _NAMED,
    "ViewerCameraMessage": {
        **{"wxyz": _rotation, "position": _point, "look_at": _point, "up_direction": _point},
        **{"fov": _angle, "near": _number, "far": _number, "image_height": _pixels, "image_width": _pixels},
    },
}
"""By the names that viser gives them, the fields of each."""

SHARING: Mapping[str, Mapping[str, Check]] = {"ShareUrlRequest": {}, "ShareUrlDisconnect": {}}
"""What asks for a public address, and what ends it."""


def is_admitted(raw: object, *, sharing: bool) -> bool:
    """Return whether a message may be handed to viser.

    Args:
        raw: as it came.
        sharing: whether it may be about a public address.
    """
    if not isinstance(raw, bytes) or len(raw) > MOST_BYTES:
        return False
    try:
        fields = msgspec.msgpack.decode(raw)
        kind = fields.pop("type")
        checks = KINDS.get(kind) or (SHARING.get(kind) if sharing else None)
        if checks is None or fields.keys() != checks.keys():
            return False
        for name, value in fields.items():
            checks[name](value)
    # Whatever a hostile message makes the decoder raise, it does not get further.
    except Exception:
        return False
    return True
