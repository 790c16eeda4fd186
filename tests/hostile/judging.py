"""What is wrong with how a command ended: nothing, or a list of faults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .inputs import State
from .rows import Ended, Fault, Row

MOST_LINES, MOST_LETTERS = 12, 2500
"""Of an error: a sentence, and where it stands in what was typed, which may be repeated."""

MOST_MEMORY = 3 * 2**29
"""Bytes that an input of kilobytes may take."""

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNEXPECTED = re.compile(r"unexpected [A-Z]\w+|EX4D_TRACE|[Uu]nhandled|core dumped")
_WARNING = re.compile(r"\.py:\d+: \w*Warning: .*")
_SPACES = re.compile(r"[\s│]+")


def judge(row: Row, ended: Ended) -> Iterator[Fault]:
    """Yield what is wrong with what a command printed and its exit code."""

    def fault(kind: str, detail: str = "") -> Fault:
        return Fault(row=row, kind=kind, detail=detail)

    told = ended.out + ended.err
    if ended.code is None:
        yield fault("hang", f"for {ended.seconds:.0f} s")
        return
    if "Traceback (most recent call last)" in told:
        last = next((line for line in reversed(told.splitlines()) if line.strip()), "")
        yield fault("traceback", last[:300])
        return
    if found := _UNEXPECTED.search(told):
        yield fault("unexpected", told[max(0, found.start() - 100) : found.start() + 300].replace("\n", " "))
    if warning := _WARNING.search(told):
        yield fault("warning", warning[0][:200])
    if obeyed := _OBEYED.search(told):
        yield fault("escape", ascii(told[max(0, obeyed.start() - 40) : obeyed.start() + 40]))
    if ended.code not in row.codes:
        kind = "accepted" if ended.code == 0 else "exit code"
        yield fault(kind, f"{ended.code}, not {' or '.join(map(str, row.codes))}: {_short(ended)}")
    elif ended.code == 2 and "2>" not in row.redirection:
        yield from (fault(*wrong) for wrong in _in_sentence(row, ended))
    if ended.grown > MOST_MEMORY:
        yield fault("memory", f"{ended.grown / 2**30:.1f} GiB")


def _short(ended: Ended) -> str:
    return ascii((ended.err or ended.out)[-300:])


def _in_sentence(row: Row, ended: Ended) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the error of a user's mistake."""
    starts = [match.start() for match in re.finditer(r"^(?:error: |╭─ Error)", ended.err, re.MULTILINE)]
    if not starts or (len(starts) > 1 and not row.several):
        yield "sentences", f"{len(starts)} of them: {_short(ended)}"
        return
    sentence = ended.err[starts[0] :]
    typed = 4 * max(map(len, row.arguments))  # each letter may be written out, as in \x1b
    if sentence.count("\n") > MOST_LINES or len(sentence) > MOST_LETTERS + typed:
        yield "length", f"{len(sentence)} letters in {sentence.count(chr(10))} lines: {sentence[:200]!a}"
    if row.says and _SPACES.sub("", row.says) not in _SPACES.sub("", sentence):
        yield "unnamed", f"{row.says!r} is not in {sentence[:400]!a}"


def judge_files(row: Row, before: State, after: State, *, allowed: tuple[Path, ...]) -> Iterator[Fault]:
    """Yield what was changed, made or removed outside of the folders that are allowed."""
    for path in sorted(set(before) | set(after)):
        if before.get(path) == after.get(path) or any(f"{path}/".startswith(f"{place}/") for place in allowed):
            continue
        how = "made" if path not in before else "removed" if path not in after else "changed"
        yield Fault(row=row, kind="outside", detail=f"{how}: {path!a}")


def judge_leftovers(row: Row, folder: Path) -> Iterator[Fault]:
    """Yield temporary files and folders that a command left below a folder."""
    for path in folder.rglob("*"):
        if path.name.startswith((".part-", ".partial-")) or path.name.endswith((".tmp", ".incomplete")):
            yield Fault(row=row, kind="leftover", detail=ascii(str(path.relative_to(folder))))
