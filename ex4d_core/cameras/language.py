"""Parse `--cam`: sequential moves (`then`), simultaneous moves (`with`), angles and files.

    path    = segment, "then" segment ...    segment = move, "with" move ...
    move    = ANGLE | FROM..TO | NAME[:option,...] | FILE[:option,...]
    option  = key=value | key                value = TOML or plain text; commas are allowed in quotes and brackets

Each move records its position in the text, so that an error can point there.
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
"""The trajectory generator of camera files."""

FILE_SUFFIXES = (".npz", ".npy", ".json", ".csv", ".txt", ".chan", ".log", ".out", ".r3d")

SYNONYMS = {"from": "start", "to": "end"}
"""Further names of options; `from` is a keyword of Python."""

LONGEST_FILE_PART = 80

MOST_SHOWN = 160
"""Characters of the text, around the position of the error, that a message shows."""


class CamError(InvalidConfig):
    """An error in a `--cam` text; the message marks its position."""

    def __init__(self, sentence: str, text: str, start: int, stop: int) -> None:
        line = re.sub(r"\s", " ", text)  # a configuration may write a path on several lines
        line, start, stop = _around(line, start, stop)
        before, marks = " " * cell_len(line[:start]), "^" * max(1, cell_len(line[start:stop]))
        super().__init__(f"--cam: {sentence}\n  {line}\n  {before}{marks}")


def _around(line: str, start: int, stop: int) -> tuple[str, int, int]:
    """Return the part of a long line around a position, and the position in that part."""
    if len(line) <= MOST_SHOWN:
        return line, start, stop
    first = max(0, start - MOST_SHOWN // 4)
    last = min(len(line), first + MOST_SHOWN)
    left, right = "... " if first else "", " ..." if last < len(line) else ""
    shift = len(left) - first
    return f"{left}{line[first:last]}{right}", start + shift, min(stop, last) + shift


class UnknownMove(CamError, ComponentNotFound):
    """A `--cam` text names a move that is not installed."""


@attrs.frozen(kw_only=True)
class MoveSpec:
    """One move of a path as parsed."""

    name: str
    """Name or alias of a trajectory generator; plain angles in a normalized form, such as `180` or `-90..90`."""
    options: Mapping[str, Any]
    start: int
    """Position of its first character in the text."""
    stop: int
    places: Mapping[str, tuple[int, int]]
    """Position of each option."""
    angles: tuple[float, ...] = ()
    """The plain angles that stand in place of a name; the trajectory generator determines their options."""
    angle_places: tuple[tuple[int, int], ...] = ()
    ease: str = "linear"
    weight: float | None = None
    """Fraction of the path, from the option `share`; None: an equal part of the rest."""

    def with_angles(self, names: Sequence[str]) -> MoveSpec:
        """Return the move with its plain angles as options of these names."""
        options = {**dict(zip(names, self.angles, strict=False)), **self.options}
        places = {**dict(zip(names, self.angle_places, strict=False)), **self.places}
        return attrs.evolve(self, options=options, places=places)


def parse_path(text: str) -> list[list[MoveSpec]]:
    """Return the segments of a path in order, each as its simultaneous moves.

    Raises:
        CamError: the text is not valid; the message marks the position.
    """
    if not text.strip():
        raise CamError(
            "the camera path is empty; give an angle such as 30, or a move such as orbit:yaw=-75", text, 0, 1
        )
    segments: list[list[MoveSpec]] = []
    for start, stop in _split(text, 0, len(text), "then"):
        segments.append([_move(text, *span) for span in _split(text, start, stop, "with")])
    return segments


def weights_of(segments: Sequence[Sequence[MoveSpec]], text: str) -> list[float]:
    """Return the fraction of the path for each segment; segments without `share` divide the rest equally.

    Raises:
        CamError: the moves of a segment have different shares, or the shares do not add up to 1.
    """
    given: list[float | None] = []
    for segment in segments:
        weighted = [move for move in segment if move.weight is not None]
        if len({move.weight for move in weighted}) > 1:
            raise CamError("simultaneous moves have one share; give it once", text, *weighted[1].places["share"])
        given.append(weighted[0].weight if weighted else None)
    total = sum(weight for weight in given if weight is not None)
    rest, num_open = 1 - total, given.count(None)
    if rest < -1e-9 or (not num_open and abs(rest) > 1e-6) or (num_open and rest < 1e-6):
        place = next(move.places["share"] for segment in segments for move in segment if move.weight is not None)
        more = "and leave nothing for the rest" if num_open else "and must add up to 1"
        raise CamError(f"the shares add up to {total:g} {more}", text, *place)
    return [rest / num_open if weight is None else weight / (1 if num_open else total) for weight in given]


def cam_file_part(text: str) -> str:
    """Return a `--cam` text as a part of file names: `60` is unchanged, `orbit:yaw=-75` becomes `orbit_yaw-75`.

    A hash is appended where different paths could have the same name: files in folders, files whose names
    contain characters other than letters, digits and `._+-`, files with options, and long texts.
    """
    text = text.strip()
    suffixes = "|".join(suffix[1:] for suffix in FILE_SUFFIXES)
    in_folder = re.fullmatch(rf"[^\s:]*[\\/]([^\s:\\/]+?)\.(?:{suffixes})", text)
    part = re.sub(r"[^\w.+-]+", "_", (in_folder[1] if in_folder else text).replace("=", "")).strip("_")
    short = shortened(part[:LONGEST_FILE_PART], 2 * LONGEST_FILE_PART)
    # In moves and numbers, the removed characters do not matter; in file names they do.
    may_be_file = re.search(rf"[\"'/\\]|{FILE}|\.(?:{suffixes})\b", text, re.IGNORECASE) is not None
    if part and part == short and (part == text or not may_be_file):
        return part
    return f"{short}-{text_hash(text)}"


def cam_of_file(path: Path) -> str:
    """Return a file as a `--cam` text, in quotes where its name would be parsed as something else."""
    text = str(path)
    if not re.search(r"[\s:,'\"\[\](]", text) and parse_path(text)[0][0].name == FILE:
        return text
    quote = "'" if '"' in text else '"'
    return f"{quote}{text}{quote}"


def _move(text: str, start: int, stop: int) -> MoveSpec:
    """Parse one move: an angle, a sweep, a name or a file, and its options."""
    if start == stop:
        raise CamError("a move is missing here", text, start, start + 1)
    colon = next((at for at, _ in _marks(text, start, stop, r":(?![/\\])")), stop)  # C:\ is not followed by options
    options, places = _options(text, colon + 1, stop) if colon < stop else ({}, {})
    ease = _ease(options.pop("ease", "linear"), text, places)
    weight = _weight(options.pop("share", None), text, places)
    move = _head(text, start, colon)
    return attrs.evolve(
        move,
        options={**move.options, **options},
        places={**move.places, **places},
        stop=stop,
        ease=ease,
        weight=weight,
    )


def _head(text: str, start: int, stop: int) -> MoveSpec:
    """Parse the part of a move before its options."""
    head = text[start:stop].strip()
    move = MoveSpec(name=head, options={}, start=start, stop=stop, places={})
    if head[:1] in ("'", '"'):
        return attrs.evolve(move, name=FILE, options={"path": head[1:-1]}, places={"path": (start, stop)})
    if re.fullmatch(_NUMBER, head):
        return attrs.evolve(move, name=f"{float(head):g}", angles=(float(head),), angle_places=((start, stop),))
    if ends := re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})", head):
        first, last = float(ends[1]), float(ends[2])
        places = ((start, start + ends.end(1)), (start + ends.start(2), stop))
        return attrs.evolve(move, name=f"{first:g}..{last:g}", angles=(first, last), angle_places=places)
    if head.lower().endswith(FILE_SUFFIXES) or "/" in head or "\\" in head:
        return attrs.evolve(move, name=FILE, options={"path": head}, places={"path": (start, stop)})
    if not re.fullmatch(_NAME, head):
        raise CamError(
            f"{shown(head)} is not a camera path; give an angle such as 30, a sweep such as -90..90, "
            "a move such as orbit:yaw=-75,pitch=10, or a file; put a file name with blanks in quotes",
            text,
            start,
            max(stop, start + 1),
        )
    return move


def _options(text: str, start: int, stop: int) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    options: dict[str, Any] = {}
    places: dict[str, tuple[int, int]] = {}
    for first, last in _split(text, start, stop, ","):
        key, equals, value = text[first:last].partition("=")
        name = SYNONYMS.get(key.strip(), key.strip())
        is_number = not equals and re.fullmatch(_NUMBER, name)
        if is_number and options:
            raise CamError("put a value with commas in brackets, as in look_at=[320,180]", text, first, last)
        if is_number or not re.fullmatch(r"\w+", name) or (equals and not value.strip()):
            raise CamError("an option must read key=value, as in orbit:yaw=-75", text, first, max(last, first + 1))
        if name in options:
            raise CamError(f"{key.strip()[:MOST_SHOWN]} is given twice", text, first, last)
        options[name] = _value(value.strip()) if equals else True
        places[name] = first, last
    return options, places


def _value(text: str) -> Any:
    """Parse a value as TOML; .3 and 5. are accepted for 0.3 and 5.0."""
    if re.fullmatch(r"[\d\s.,+\-\[\]]+", text):
        text = re.sub(r"(?<!\d)\.(?=\d)", "0.", re.sub(r"(?<=\d)\.(?!\d)", ".0", text))
    return parse_value(text)


def _ease(value: Any, text: str, places: Mapping[str, tuple[int, int]]) -> str:
    if not isinstance(value, str) or value not in EASES:
        guess = nearest(value if isinstance(value, str) else "", EASES, then=f"use one of {', '.join(EASES)}")
        raise CamError(f"unknown ease {shown(value)}{guess}", text, *places["ease"])
    return value


def _weight(value: Any, text: str, places: Mapping[str, tuple[int, int]]) -> float | None:
    if value is None:
        return None
    number = value
    if isinstance(value, str) and re.fullmatch(rf"{_NUMBER}%", value):
        number = float(value[:-1]) / 100
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number <= 1:
        raise CamError("share must be more than 0 and at most 1, as in share=0.3 or share=30%", text, *places["share"])
    return float(number)


def _split(text: str, start: int, stop: int, mark: str) -> list[tuple[int, int]]:
    """Return the positions of the parts between marks outside of quotes and brackets, without surrounding blanks.

    Raises:
        CamError: a quote or bracket is not closed.
    """
    parts, begin = [], start
    for at, length in _marks(text, start, stop, r"," if mark == "," else rf"(?<!\S){mark}(?!\S)"):
        parts.append(_trimmed(text, begin, at))
        begin = at + length
    return [*parts, _trimmed(text, begin, stop)]


def _marks(text: str, start: int, stop: int, pattern: str) -> Iterator[tuple[int, int]]:
    """Yield position and length of each match of a pattern outside of quotes and brackets."""
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
        raise CamError(
            f"{text[opened]} is not closed by {closing}; close it or quote the text", text, opened, opened + 1
        )


def _trimmed(text: str, start: int, stop: int) -> tuple[int, int]:
    inner = text[start:stop]
    begin = start + len(inner) - len(inner.lstrip())
    return (begin, start + len(inner.rstrip())) if inner.strip() else (start, start)
