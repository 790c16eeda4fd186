"""The messages that the server accepts from a page: a few kinds, with bounded texts and numbers.

viser passes every message that it can decode to its handlers, and a message can set any attribute of a control.
Messages that do not match the table below are therefore dropped before they reach viser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ex4d_core.errors import InvalidInput
from ex4d_core.page_guard import number_in, numbers_in, text_in

MOST_BYTES = 2**16
"""Size limit of one message; the page sends a few hundred bytes at most."""

MOST_TEXT = 4096
"""Length limit of one text; the longest are camera paths that somebody selects in a list."""

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
    # Rounding can lead to components slightly above 1.
    if not any(numbers_in(value, 4, 2.0, "a rotation")):
        raise InvalidInput("the quaternion is zero")
    return value


def _angle(value: Any) -> object:
    return number_in(value, 0.0, 3.2, "an angle")


def _value_of_control(updates: Any) -> object:
    """Check the update of a control, of which a user changes only the value."""
    if not isinstance(updates, dict) or list(updates) != ["value"]:
        raise InvalidInput("the update is not one of the value alone")
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
"""The fields of each kind of message, by the name of its class in viser."""

SHARING: Mapping[str, Mapping[str, Check]] = {"ShareUrlRequest": {}, "ShareUrlDisconnect": {}}
"""Messages that create and close a public address."""


def is_admitted(raw: object, *, sharing: bool) -> bool:
    """Return whether to pass a message to viser.

    Args:
        raw: the message as received.
        sharing: whether messages about a public address are accepted.
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
    except Exception:  # a hostile message can make the decoder raise anything; fail closed
        return False
    return True
