"""Split work among processes that do not communicate, by number or by the variables of a Slurm array."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidConfig

Item = TypeVar("Item")


@attrs.frozen(kw_only=True)
class Shard:
    """One of several equal parts, counted from 0."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard of a text INDEX/COUNT, such as 0/4.

        Raises:
            InvalidConfig: the text is malformed, or the index is not below the count.
        """
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            raise InvalidConfig(
                f"the shard {shown(text)} must be INDEX/COUNT with an index from 0 to COUNT - 1, such as 0/4"
            )
        return cls(index=int(index), count=int(count))

    @classmethod
    def from_slurm(cls, environment: Mapping[str, str] = os.environ) -> Shard:
        """Return the shard of this task of a Slurm array job; the only one outside of an array.

        Raises:
            InvalidConfig: the array has gaps, such as --array=0-9:2, so that parts would be lost.
        """
        if "SLURM_ARRAY_TASK_ID" not in environment:
            return cls()
        first, last, task, count = (
            int(environment.get(f"SLURM_ARRAY_TASK_{name}", default))
            for name, default in (("MIN", "0"), ("MAX", "0"), ("ID", "0"), ("COUNT", "1"))
        )
        if last - first + 1 != count:
            raise InvalidConfig(
                f"the Slurm array has {count} tasks from {first} to {last}; use consecutive numbers, such as "
                f"--array=0-{count - 1}, or pass --shard"
            )
        return cls(index=task - first, count=count)

    def of(self, items: Sequence[Item], *, group: Callable[[Item], object]) -> list[Item]:
        """Return the items of this shard; items of one group are in one shard.

        Args:
            items: all items.
            group: returns the group of an item, such as its clip, whose depth is computed once.
        """
        groups = list(dict.fromkeys(map(group, items)))
        own = set(groups[self.index :: self.count])
        return [item for item in items if group(item) in own]

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard()
"""All items."""
