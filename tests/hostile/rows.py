"""A hostile input and a command: what is typed, and what has to come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import attrs

Area = Literal["clips", "cameras", "runs", "hub", "edge", "viewer", "training", "evaluation"]

Prepare = Callable[[Path, Path], object]
"""Called with the folder of inputs and the row's own folder, before the command runs in the latter."""


@attrs.frozen(kw_only=True)
class Row:
    """One input and one command."""

    name: str
    """COMMAND/KIND/INPUT."""

    arguments: tuple[str, ...]
    """`{IN}` stands for the folder of inputs; outputs go below `out`."""

    area: Area
    """Whose code is at fault where it fails."""

    codes: tuple[int, ...] = (2,)
    """Exit codes that are right."""

    says: str = ""
    """Text that the error must hold, such as the name of the file."""

    several: bool = False
    """Whether the input names several clips, each of which may have an error."""

    environment: Mapping[str, str] = attrs.field(factory=dict)
    """Set for a row with a process of its own."""

    own_process: bool = False

    redirection: str = ""
    """What bash does with the streams of a row with a process of its own."""

    needs: str = ""
    """What the row goes on from: a finished `run`, `trained` or `prepared`, which is made once, in the inputs."""

    prepare: Prepare | None = None

    zip: str = ""
    """Which archive the hub on this machine has."""

    may_ask: bool = False
    """Whether the command may ask the hub."""

    interrupt: float = 0.0
    """Seconds from the address that a command prints, after which Ctrl-C comes; 0 never."""

    @property
    def command(self) -> str:
        """The command without what it is given."""
        words = 2 if self.arguments[0] in ("cam", "data", "eval", "plugins") else 1
        return " ".join(self.arguments[:words])

    @property
    def is_slow(self) -> bool:
        """Whether it starts processes or encodes videos, which takes seconds."""
        prepares = self.name.startswith(("data prepare", "train/--num-gpus")) and 0 in self.codes
        checks = self.name.startswith(("plugins check/--set", "plugins check/--device"))
        return self.own_process or prepares or checks or self.needs == "prepared" or "weights/wan" in self.name


@attrs.frozen(kw_only=True)
class Ended:
    """How a command ended."""

    code: int | None
    """None where it did not end in time."""
    out: str
    err: str
    seconds: float
    grown: int = 0
    """Bytes of memory at most beyond those before it."""


@attrs.frozen(kw_only=True)
class Fault:
    """What is wrong with how a row ended."""

    row: Row
    kind: str
    """`traceback`, `hang`, `unexpected`, `accepted`, and others."""
    detail: str = ""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.row.name}: {self.kind} {self.detail}".rstrip()
