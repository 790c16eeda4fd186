"""Every tensor of a file has its place in a network, and every place its tensor: or an error that lists them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from ex4d_core.errors import InvalidInput


def compare(where: str, *, given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse files whose tensors are not those of a network.

    Args:
        where: the files, for the message.
        given: shapes by name, as the files have them.
        wanted: shapes by name, as the network has them.

    Raises:
        InvalidInput: tensors are missing, foreign or of another shape; all are listed.
    """
    foreign, missing = set(given) - set(wanted), set(wanted) - set(given)
    other = {name for name in set(given) & set(wanted) if given[name] != wanted[name]}
    wrong = [
        f"{what} {listed(names)}"
        for what, names in (
            ("lacks the tensors", missing),
            ("has tensors of another network:", foreign),
            ("has tensors of another shape:", other),
        )
        if names
    ]
    if wrong:
        raise InvalidInput(f"{where} {'; it '.join(wrong)}; check which model it holds, or download it again")


def listed(names: Iterable[str]) -> str:
    """Return names as one text; those that differ by one number stand together, as `blocks.{0..39}.norm2.bias`."""
    numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
    whole = []
    for name in names:
        if match := re.search(r"(?<![^.])(\d+)(?![^.])", name):
            numbers[name[: match.start()], name[match.end() :]].add(int(match[1]))
        else:
            whole.append(name)
    return ", ".join(sorted([*whole, *(f"{head}{_ranges(found)}{tail}" for (head, tail), found in numbers.items())]))


def _ranges(numbers: set[int]) -> str:
    """Return `3` for one number, else ranges such as `{0..3,7}`."""
    ordered = sorted(numbers)
    if len(ordered) == 1:
        return str(ordered[0])
    starts = [ordered[0], *(b for a, b in pairwise(ordered) if b != a + 1)]
    ends = [*(a for a, b in pairwise(ordered) if b != a + 1), ordered[-1]]
    return "{" + ",".join(str(a) if a == b else f"{a}..{b}" for a, b in zip(starts, ends, strict=True)) + "}"
