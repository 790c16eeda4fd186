"""What `--cam` says: `30`, `-75`, `180`, `-90..90`, or `NAME:key=value,key=value`."""

from __future__ import annotations

import re
from typing import Any

from ex4d_core.config import parse_value
from ex4d_core.errors import InvalidConfig

_NUMBER = r"[+-]?\d+(?:\.\d*)?"


def parse_cam(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a trajectory generator and the options given for it.

    A bare angle is `arc:angle=..`, two angles joined by `..` are `sweep:start=..,end=..`, and `180` is `loop`:
    the reference gave that number to its look-around path.

    Raises:
        InvalidConfig: the text cannot be read.
    """
    text = text.strip()
    if text in ("180", "+180"):
        return "loop", {}
    if re.fullmatch(_NUMBER, text):
        return "arc", {"angle": float(text)}
    if ends := re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})", text):
        return "sweep", {"start": float(ends[1]), "end": float(ends[2])}
    name, colon, rest = text.partition(":")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*(@[\w.-]+)?", name):
        raise InvalidConfig(
            f"--cam {text!r} is no camera path; give an angle such as 30, a sweep such as -90..90, "
            "or a move such as orbit:yaw=-75,pitch=10"
        )
    options = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not (key.strip() and equals and value.strip()):
            raise InvalidConfig(f"--cam {text!r}: {part!r} must read key=value, as in orbit:yaw=-75,pitch=10")
        options[key.strip()] = parse_value(value.strip())
    return name, options


def cam_file_part(text: str) -> str:
    """Return `text` as a part of file names: `60` stays, `orbit:yaw=-75` becomes `orbit_yaw-75`."""
    return re.sub(r"[^\w.+-]+", "_", text.strip().replace("=", "")).strip("_")
