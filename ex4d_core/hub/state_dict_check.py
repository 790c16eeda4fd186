"""Check that the tensors of weight files and the parameters of a network correspond one to one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from ex4d_core.errors import InvalidInput

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of each tensor by name."""


def check_state_dict(source: str | Path, *, found: Shapes, expected: Shapes) -> None:
    """Refuse weights whose tensors are not those of the network.

    Args:
        source: the file or folder, for the message.
        found: shapes in the files.
        expected: shapes in the network.

    Raises:
        InvalidInput: tensors are missing, unexpected or of another shape; all are listed.
    """
    _refuse(
        source,
        missing=set(expected) - set(found),
        unexpected=set(found) - set(expected),
        mismatched={name for name in set(found) & set(expected) if found[name] != expected[name]},
    )


def from_pretrained_strict(
    cls: Any, folder: Path, *, source: Path, optional: Callable[[str], bool] = lambda _: False, **options: Any
) -> Any:
    """Load a network of diffusers or transformers from safetensors files and refuse it unless all tensors match.

    Args:
        cls: class with `from_pretrained`.
        folder: the files; use `untrusted_weights.only_weights` to make it.
        source: the original folder, for the message.
        optional: whether a tensor of this name can be missing or unexpected.
        options: further arguments of `from_pretrained`.

    Raises:
        InvalidInput: tensors are missing, unexpected or of another shape; all are listed.
    """
    network, report = cls.from_pretrained(
        str(folder), use_safetensors=True, local_files_only=True, output_loading_info=True, **options
    )
    _refuse(
        source,
        missing=[name for name in report["missing_keys"] if not optional(name)],
        unexpected=[name for name in report["unexpected_keys"] if not optional(name)],
        mismatched=[name for name, *_ in report["mismatched_keys"]],
    )
    return network


def group_names(names: Iterable[str]) -> str:
    """Return a sorted list of names; those that differ in one number are grouped as `blocks.{0..39}.norm2.bias`."""
    numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
    single = []
    for name in names:
        if match := re.search(r"(?<![^.])(\d+)(?![^.])", name):
            numbers[name[: match.start()], name[match.end() :]].add(int(match[1]))
        else:
            single.append(name)
    return ", ".join(sorted([*single, *(f"{head}{_ranges(found)}{tail}" for (head, tail), found in numbers.items())]))


def _refuse(
    source: str | Path, *, missing: Iterable[str], unexpected: Iterable[str], mismatched: Iterable[str]
) -> None:
    problems = [
        f"{problem} {listed}"
        for problem, names in (
            ("lacks the tensors", missing),
            ("has unexpected tensors:", unexpected),
            ("has tensors of another shape:", mismatched),
        )
        if (listed := group_names(names))
    ]
    if problems:
        raise InvalidInput(f"{source} {'; it '.join(problems)}; check which model it contains, or download it again")


def _ranges(numbers: set[int]) -> str:
    """Return `3` for a single number, else ranges such as `{0..3,7}`."""
    ordered = sorted(numbers)
    if len(ordered) == 1:
        return str(ordered[0])
    starts = [ordered[0], *(b for a, b in pairwise(ordered) if b != a + 1)]
    ends = [*(a for a, b in pairwise(ordered) if b != a + 1), ordered[-1]]
    return "{" + ",".join(str(a) if a == b else f"{a}..{b}" for a, b in zip(starts, ends, strict=True)) + "}"
