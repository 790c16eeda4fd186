"""Parse `--cam`: sequential moves (`then`), simultaneous moves (`with`), angles and files.

    path   = step, "then" step ...       step = piece, "with" piece ...
    piece  = ANGLE | FROM..TO | NAME[:option,...] | FILE[:option,...]
    option = key=value | key             value = TOML or plain text; quotes and brackets hold commas

Each piece keeps where in the text it stands, so that an error can point there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.cells import cell_len

from ex4d_core.bounds import shown
from ex4d_core.config.run_config import parse_value
from ex4d_core.errors import ComponentNotFound, InvalidConfig, nearest
from ex4d_core.geometry.eases import EASES
from ex4d_core.names import shortened, text_hash

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_NAME = r"[a-z][a-z0-9_-]{0,99}(@[\w.-]{1,100})?"
FILE = "from_file"
"""The trajectory generator of paths that were saved."""

FILE_SUFFIXES = (".npz", ".json", ".csv", ".txt")

ARC, SWEEP, LOOP = "arc", "sweep", "loop"
"""The trajectory generators of plain angles: `30`, `-90..90`, and EX-4D's `180`."""

SYNONYMS = {"from": "start", "to": "end"}
"""Words of the language for options whose names would be hard to type in code."""

LONGEST_FILE_PART = 80

MOST_SHOWN = 160
"""Characters of a text that an error shows: those around the place."""


class CamError(InvalidConfig):
    """A `--cam` text is wrong at some place; the message shows it."""

    def __init__(self, sentence: str, text: str, start: int, stop: int) -> None:
        line = re.sub(r"\s", " ", text)  # a configuration may write a path on several lines
        line, start, stop = _around(line, start, stop)
        before, marks = " " * cell_len(line[:start]), "^" * max(1, cell_len(line[start:stop]))
        super().__init__(f"--cam: {sentence}\n  {line}\n  {before}{marks}")


def _around(line: str, start: int, stop: int) -> tuple[str, int, int]:
    """Return the part of a long line around a place, and where the place is in it."""
    if len(line) <= MOST_SHOWN:
        return line, start, stop
    first = max(0, start - MOST_SHOWN // 4)
    last = min(len(line), first + MOST_SHOWN)
    left, right = "... " if first else "", " ..." if last < len(line) else ""
    shift = len(left) - first
    return f"{left}{line[first:last]}{right}", start + shift, min(stop, last) + shift


class UnknownMove(CamError, ComponentNotFound):
    """A `--cam` text names a move that no plugin offers."""


@attrs.frozen(kw_only=True)
class MoveSpec:
    """A move as it was said."""

    name: str
    """Of a trajectory generator."""
    options: Mapping[str, Any]
    start: int
    """Where it begins in the text."""
    stop: int
    places: Mapping[str, tuple[int, int]]
    """Where each option stands."""
    ease: str = "linear"
    share: float | None = None
    """Of the path; None: an equal part of what others leave."""


def parse_path(text: str) -> list[list[MoveSpec]]:
    """Return the steps of a path in their order, each with the pieces that happen at the same time.

    Raises:
        CamError: the text cannot be read; the message points at the place.
    """
    if not text.strip():
        raise CamError("there is no camera path; give an angle such as 30, or a move such as orbit:yaw=-75", text, 0, 1)
    steps: list[list[MoveSpec]] = []
    for start, stop in _split(text, 0, len(text), "then"):
        steps.append([_piece(text, *span) for span in _split(text, start, stop, "with")])
    return steps


def weights_of(steps: Sequence[Sequence[MoveSpec]], text: str) -> list[float]:
    """Return the share of the path that each step takes; what is not said is divided evenly.

    Raises:
        CamError: a step says two shares, or they do not add up to 1.
    """
    given: list[float | None] = []
    for step in steps:
        said = [piece for piece in step if piece.share is not None]
        if len({piece.share for piece in said}) > 1:
            raise CamError("moves at the same time take the same share; say it once", text, *said[1].places["share"])
        given.append(said[0].share if said else None)
    total = sum(share for share in given if share is not None)
    left, open_steps = 1 - total, given.count(None)
    if left < -1e-9 or (not open_steps and abs(left) > 1e-6) or (open_steps and left < 1e-6):
        place = next(piece.places["share"] for step in steps for piece in step if piece.share is not None)
        more = "and leave nothing for the rest" if open_steps else "and must add up to 1"
        raise CamError(f"the shares add up to {total:g} {more}", text, *place)
    return [left / open_steps if share is None else share / (total if not open_steps else 1) for share in given]


def cam_file_part(text: str) -> str:
    """Return `text` as a part of file names: `60` stays, `orbit:yaw=-75` becomes `orbit_yaw-75`.

    A hash tells apart paths that would have one name: files in folders, of which the name is left, files whose names
    hold other characters than letters, digits and `._+-`, files with options, and long texts.
    """
    text = text.strip()
    in_folder = re.fullmatch(r"[^\s:]*[\\/]([^\s:\\/]+?)\.(?:npz|json|csv|txt)", text)
    part = re.sub(r"[^\w.+-]+", "_", (in_folder[1] if in_folder else text).replace("=", "")).strip("_")
    short = shortened(part[:LONGEST_FILE_PART], 2 * LONGEST_FILE_PART)
    # Moves and numbers are read by their words, whatever stands between them; names of files are not.
    may_be_file = re.search(rf"[\"'/\\]|{FILE}|\.(?:npz|json|csv|txt)\b", text, re.IGNORECASE) is not None
    if part and part == short and (part == text or not may_be_file):
        return part
    return f"{short}-{text_hash(text)}"


def cam_of_file(path: Path) -> str:
    """Return how `--cam` says a file: in quotes where its name would read as something else."""
    text = str(path)
    if not re.search(r"[\s:,'\"\[\](]", text) and parse_path(text)[0][0].name == FILE:
        return text
    quote = "'" if '"' in text else '"'
    return f"{quote}{text}{quote}"


def _piece(text: str, start: int, stop: int) -> MoveSpec:
    """Read one move: an angle, a sweep, a name or a file, and its options."""
    if start == stop:
        raise CamError("a move is missing here", text, start, start + 1)
    colon = next((at for at, _ in _marks(text, start, stop, r":(?![/\\])")), stop)  # C:\ begins no options
    name, options, places = _named(text, start, colon)
    given, said_at = _options(text, colon + 1, stop) if colon < stop else ({}, {})
    ease = _ease(given.pop("ease", "linear"), text, said_at)
    share = _share(given.pop("share", None), text, said_at)
    return MoveSpec(
        name=name,
        options={**options, **given},
        start=start,
        stop=stop,
        places={**places, **said_at},
        ease=ease,
        share=share,
    )


def _named(text: str, start: int, stop: int) -> tuple[str, dict[str, Any], dict[str, tuple[int, int]]]:
    """Return the generator that the part before the options means, the options that it says, and where."""
    name = text[start:stop].strip()
    if name[:1] in ("'", '"'):
        return FILE, {"path": name[1:-1]}, {"path": (start, stop)}
    if re.fullmatch(_NUMBER, name):
        return (LOOP, {}, {}) if float(name) == 180 else (ARC, {"angle": float(name)}, {"angle": (start, stop)})
    if ends := re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})", name):
        places = {"start": (start, start + ends.end(1)), "end": (start + ends.start(2), stop)}
        return SWEEP, {"start": float(ends[1]), "end": float(ends[2])}, places
    if name.lower().endswith(FILE_SUFFIXES) or "/" in name or "\\" in name:
        return FILE, {"path": name}, {"path": (start, stop)}
    if not re.fullmatch(_NAME, name):
        raise CamError(
            f"{shown(name)} is not a camera path; give an angle such as 30, a sweep such as -90..90, "
            "a move such as orbit:yaw=-75,pitch=10, or a file, in quotes where blanks are in its name",
            text,
            start,
            max(stop, start + 1),
        )
    return name, {}, {}


def _options(text: str, start: int, stop: int) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    options: dict[str, Any] = {}
    places: dict[str, tuple[int, int]] = {}
    for first, last in _split(text, start, stop, ","):
        key, equals, value = text[first:last].partition("=")
        name = SYNONYMS.get(key.strip(), key.strip())
        if re.fullmatch(_NUMBER, name) and not equals:
            raise CamError("a value with commas stands in brackets, as in look_at=[320,180]", text, first, last)
        if not re.fullmatch(r"\w+", name) or (equals and not value.strip()):
            raise CamError("this must read key=value, as in orbit:yaw=-75,pitch=10", text, first, max(last, first + 1))
        if name in options:
            raise CamError(f"{key.strip()[:MOST_SHOWN]} is said twice", text, first, last)
        options[name] = _value(value.strip()) if equals else True
        places[name] = first, last
    return options, places


def _value(text: str) -> Any:
    """Return what a value says; people write .3 and 5. where TOML wants 0.3 and 5.0."""
    if re.fullmatch(r"[\d\s.,+\-\[\]]+", text):
        text = re.sub(r"(?<!\d)\.(?=\d)", "0.", re.sub(r"(?<=\d)\.(?!\d)", ".0", text))
    return parse_value(text)


def _ease(value: Any, text: str, places: Mapping[str, tuple[int, int]]) -> str:
    if not isinstance(value, str) or value not in EASES:
        known = ", ".join(EASES)
        guess = nearest(value, EASES) if isinstance(value, str) else ""
        raise CamError(f"there is no ease {shown(value)}{guess}; known: {known}", text, *places["ease"])
    return value


def _share(value: Any, text: str, places: Mapping[str, tuple[int, int]]) -> float | None:
    if value is None:
        return None
    number = value
    if isinstance(value, str) and re.fullmatch(rf"{_NUMBER}%", value):
        number = float(value[:-1]) / 100
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number <= 1:
        raise CamError("share must be more than 0 and at most 1, as in share=0.3 or share=30%", text, *places["share"])
    return float(number)


def _split(text: str, start: int, stop: int, mark: str) -> list[tuple[int, int]]:
    """Return the places, without blanks at their ends, of the parts between marks; quotes and brackets hold marks.

    Raises:
        CamError: a quote or bracket is not closed.
    """
    parts, begin = [], start
    for at, length in _marks(text, start, stop, r"," if mark == "," else rf"(?<!\S){mark}(?!\S)"):
        parts.append(_trimmed(text, begin, at))
        begin = at + length
    return [*parts, _trimmed(text, begin, stop)]


def _marks(text: str, start: int, stop: int, pattern: str) -> Iterator[tuple[int, int]]:
    """Yield where a pattern stands outside of quotes and brackets, and how long it is there."""
    closing, opened, at = "", start, start
    found = re.compile(pattern)
    while at < stop:
        if closing:
            closing = "" if text[at] == closing else closing
        elif text[at] in "\"'[(":
            closing, opened = {"[": "]", "(": ")"}.get(text[at], text[at]), at
        elif match := found.match(text, at, stop):
            yield at, match.end() - at
            at = match.end()
            continue
        at += 1
    if closing:
        raise CamError(f"{text[opened]} is not closed by {closing}; close it, or quote it", text, opened, opened + 1)


def _trimmed(text: str, start: int, stop: int) -> tuple[int, int]:
    inner = text[start:stop]
    begin = start + len(inner) - len(inner.lstrip())
    return (begin, start + len(inner.rstrip())) if inner.strip() else (start, start)
