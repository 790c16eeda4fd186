"""The `--cam` text that sliders stand for, and the sliders that a text stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from ex4d_core.cameras.language import FILE, MoveSpec, parse_path
from ex4d_core.errors import Ex4dError, InvalidInput
from ex4d_core.page_guard import text_in
from ex4d_core.pipeline.session import Session
from ex4d_web.limits import MOST_TEXT

Time = Literal["as filmed", "freeze", "slow down", "reverse"]

TIMES: tuple[Time, ...] = ("as filmed", "freeze", "slow down", "reverse")

PRESETS: Mapping[str, str] = {
    "Arc right": "30",
    "Arc left": "-30",
    "Sweep": "-30..30",
    "Look around": "180",
    "Closer": "zoom_in:amount=0.4,ease=smooth",
    "Farther": "zoom_out:amount=0.5,ease=smooth",
    "Spiral": "spiral",
    "Dolly zoom": "dolly_zoom",
    "Rise": "orbit:pitch=25,ease=smooth",
    "Bullet time": "orbit:yaw=45,ease=smooth with freeze",
}
"""Paths by the name that the app shows."""

SAVED = "paths"
"""Folder in the run folder for paths of the 3D viewer."""


@attrs.frozen(kw_only=True)
class Sliders:
    """A path around the subject, as the sliders describe it: the pose at its end, and the time of the clip."""

    yaw: float = 0.0
    """Degrees around the subject, positive to the right."""
    pitch: float = 0.0
    """Degrees around the subject, positive is up."""
    distance: float = 1.0
    """Distance to the subject at the end, in distances at the start."""
    smooth: bool = True
    """Whether the camera starts and ends slowly."""
    time: Time = "as filmed"
    factor: float = 2.0
    """How many times slower, if slowed down."""


def text_of(sliders: Sliders) -> str:
    """Return the `--cam` text of a path."""
    ease = ["ease=smooth"] if sliders.smooth else []
    moves = []
    angles = [f"{name}={value:g}" for name in ("yaw", "pitch") if (value := getattr(sliders, name))]
    if angles:
        moves.append(f"orbit:{','.join([*angles, *ease])}")
    amount = round(sliders.distance - 1, 3)
    if amount:
        name = "zoom_out" if amount > 0 else "zoom_in"
        moves.append(f"{name}:{','.join([f'amount={abs(amount):g}', *ease])}")
    times = {"freeze": ["freeze"], "slow down": [f"slow:factor={sliders.factor:g}"], "reverse": ["reverse"]}
    moves += times.get(sliders.time, [])
    return " with ".join(moves) or "static"


def sliders_of(text: str) -> Sliders | None:
    """Return the sliders that stand for a `--cam` text, or None if they cannot express it."""
    try:
        segments = parse_path(text)
    except Ex4dError:
        return None
    if len(segments) != 1:
        return None
    found: dict[str, Any] = {}
    eases = set()
    for move in segments[0]:
        values = _values(move)
        if values is None or found.keys() & values.keys() or move.weight is not None:
            return None
        found |= values
        if not {"time", "still"} & values.keys():
            eases.add(move.ease)
    found.pop("still", None)
    if len(eases) > 1 or not eases <= {"smooth", "linear"}:
        return None
    return Sliders(smooth="linear" not in eases, **found)


def _values(move: MoveSpec) -> dict[str, Any] | None:
    """Return the sliders that one move sets, or None if there are none for it."""
    options = dict(move.options)
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in options.values()):
        return None
    number = options.get("amount")
    match move.name, sorted(options):
        case "orbit", ["yaw"] | ["pitch"] | ["pitch", "yaw"]:
            found: dict[str, Any] = {"yaw": 0.0, "pitch": 0.0, **options}
        case "zoom_in", ["amount"] if number is not None and 0 < number < 1:
            found = {"distance": round(1 - number, 3)}
        case "zoom_out", ["amount"] if number is not None and number > 0:
            found = {"distance": 1 + number}
        case "freeze", []:
            found = {"time": "freeze"}
        case "slow", ["factor"] if options["factor"] >= 1:
            found = {"time": "slow down", "factor": options["factor"]}
        case "reverse", []:
            found = {"time": "reverse"}
        case "static", []:
            found = {"still": True}
        case _:
            return None
    return found


def check_cam(text: str, run: Path, session: Session) -> str:
    """Return the `--cam` text of a user without blanks around it.

    Files of the server must not be read: the only file that a path may name is one that was saved in the run folder.

    Raises:
        Ex4dError: the text is not a path, or names a file.
    """
    text = text_in(text, MOST_TEXT, "the path").strip()
    for segment in parse_path(text):
        for move in segment:
            _check_move(move, run, session)
    session.choose_trajectory(text)
    return text


def _check_move(move: MoveSpec, run: Path, session: Session) -> None:
    offer = session.registry.find("trajectory", move.name, angles=len(move.angles))
    fields = attrs.fields_dict(offer.spec.options)
    files = {name for name in move.options if name in fields and fields[name].metadata.get("path")}
    if offer.name != FILE and not files:
        return
    names = {f"{SAVED}/{name}" for name in saved_paths(run)}
    if set(move.options) != {"path"} or move.options["path"] not in names:
        raise InvalidInput("a path cannot name a file of the server; use moves, or a path saved in the 3D viewer")


def saved_paths(run: Path) -> Sequence[str]:
    """Return the names of the paths that were saved in the 3D viewer."""
    folder = run / SAVED
    return sorted(path.name for path in folder.glob("*.json") if path.is_file() and not path.is_symlink())
