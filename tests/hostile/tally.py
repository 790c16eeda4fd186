"""Counts of what was tried and what was wrong, printed at the end of the tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import attrs

from .rows import Fault

FIRST = ("traceback", "hang", "unexpected", "accepted")
"""Kinds of faults that are counted one by one."""


@attrs.frozen(eq=False)
class Tally:
    """What was tried, by what it was."""

    tried: Counter[str] = attrs.field(factory=Counter)
    wrong: dict[str, list[str]] = attrs.field(factory=dict)
    kinds: Counter[str] = attrs.field(factory=Counter)
    """Of faults of hostile inputs."""

    def add_rows(self, count: int, faults: Iterable[Fault]) -> None:
        """Count rows of the table."""
        self.tried["hostile inputs"] += count
        self.kinds.update(fault.kind for fault in faults)

    @contextmanager
    def round(self, what: str, name: str) -> Iterator[None]:
        """Count a round of chance; an assertion that fails in the block is kept until `check`."""
        self.tried[what] += 1
        try:
            yield
        except AssertionError as error:
            self.wrong.setdefault(what, []).append(f"{name}: {error}")

    @contextmanager
    def rounds(self, what: str) -> Iterator[None]:
        """Raise at the end of the block where rounds in it went wrong."""
        before = len(self.wrong.get(what, []))
        yield
        found = self.wrong.get(what, [])[before:]
        assert found == [], "\n".join(found)

    def lines(self) -> Iterator[str]:
        """Yield a line for each thing that was tried."""
        for what, count in self.tried.items():
            if what == "hostile inputs":
                first = ", ".join(f"{self.kinds[kind]} {kind}" for kind in FIRST)
                others = sum(self.kinds.values()) - sum(self.kinds[kind] for kind in FIRST)
                yield f"{what}: {count} tried, {first}, {others} other"
            else:
                yield f"{what}: {count} tried, {len(self.wrong.get(what, []))} wrong"
