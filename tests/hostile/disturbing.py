"""What tests that disturb commands check: nothing is half written, and the same command makes the same files."""

from __future__ import annotations

import random
import time
from pathlib import Path

import attrs

from .contents import Contents, contents_of, leftovers
from .judging import judge
from .rows import Ended, Row
from .writers import Stage, Started, Writer


@attrs.frozen(eq=False)
class Undisturbed:
    """How a command ends that nothing disturbs."""

    contents: Contents
    seconds: float
    """From the call to the end."""
    bytes: int
    """Of all files."""


@attrs.frozen(eq=False)
class Disturbance:
    """Runs commands, disturbed and not, in folders of its own."""

    stage: Stage
    folder: Path
    random: random.Random = attrs.field(factory=lambda: random.Random(0))
    known: dict[str, Undisturbed] = attrs.field(factory=dict)

    def undisturbed(self, writer: Writer) -> Undisturbed:
        """Return what a command makes; it runs once for all tests."""
        if writer.name not in self.known:
            folder = self.folder / f"whole {writer.name}"
            started = self.stage.start(writer, folder)
            started.wait_until_called()
            began = time.monotonic()
            ended = started.wait()
            seconds = time.monotonic() - began
            assert ended.code == 0, (writer.name, ended)
            assert (left := leftovers(folder)) == [], left
            size = sum(path.stat().st_blocks * 512 for path in (folder / "out").rglob("*"))
            self.known[writer.name] = Undisturbed(contents_of(folder / "out"), seconds, size)
        return self.known[writer.name]

    def begin(self, writer: Writer, folder: Path) -> Started:
        """Start a command and return at a random moment of its work."""
        seconds = self.undisturbed(writer).seconds
        started = self.stage.start(writer, folder)
        started.wait_until_called()
        time.sleep(self.random.uniform(0, seconds))
        return started

    def check_nothing_half(self, writer: Writer, folder: Path) -> None:
        """Check that each file under its final name is what it is in the end."""
        whole = self.undisturbed(writer).contents
        for name, content in contents_of(folder / "out").items():
            hidden = name.startswith(".") or "/." in name  # what a command is at
            if not hidden and name.rpartition("/")[2] not in writer.growing:
                assert content == whole.get(name), f"{name} is half written"

    def check_again(self, writer: Writer, folder: Path, *, place: Path | None = None) -> None:
        """Check that the same command now makes what it does undisturbed, and leaves nothing else."""
        whole = self.undisturbed(writer).contents
        is_there = writer.once and contents_of(folder / "out") == whole
        ended = self.stage.start(writer, folder, place=place).wait()
        assert ended.code == (2 if is_there else 0), ended
        found = contents_of(folder / "out")
        differing = [name for name in sorted({*whole, *found}) if whole.get(name) != found.get(name)]
        assert differing == [], differing
        assert (left := leftovers(folder)) == [], left


def check_sentence(writer: Writer, ended: Ended, *codes: int) -> None:
    """Check that a command ended with one of these codes, and with a sentence where that says that it failed."""
    row = Row(name=writer.name, arguments=writer.arguments, area="runs", codes=codes)
    faults = [str(fault) for fault in judge(row, ended)]
    assert faults == [], (faults, ended.err[-500:])
