"""A disk that is full: one sentence, nothing half written, and the same command goes on where there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .disturbing import Disturbance, check_sentence
from .writers import WRITERS, Writer

pytestmark = pytest.mark.slow

ORDINARY = ("depth", "plugins new")
SHARES = (0.0, 0.15, 0.4, 0.65, 0.9)
"""Of what a command writes in all: how large disks are."""
PAGE = 4096


class Disk:
    """A file system in memory, whose size can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._mounted = False

    def has(self, size: int) -> bool:
        """Give it so many bytes; return whether that is allowed here."""
        options = f"size={max(size // PAGE, 1) * PAGE}"
        if self._mounted:
            command = ["mount", "-o", f"remount,{options}", str(self.folder)]
        else:
            command = ["mount", "-t", "tmpfs", "-o", options, "ex4d-tests", str(self.folder)]
        done = subprocess.run(command, check=False, capture_output=True)
        self._mounted = self._mounted or done.returncode == 0
        return done.returncode == 0

    def close(self) -> None:
        if self._mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    if not disk.has(2**20):
        pytest.skip("a file system in memory can be mounted by root only")
    yield disk
    disk.close()


def fill_and_go_on(disturbance: Disturbance, writer: Writer, disk: Disk, share: float) -> None:
    size = int(disturbance.undisturbed(writer).bytes * share)
    assert disk.has(size)
    folder = disk.folder / "work"
    place = disk.folder.with_name(f"said {writer.name} {share}")
    started = disturbance.stage.start(writer, folder, place=place)
    check_sentence(writer, started.wait(), 0, 2)
    disturbance.check_nothing_half(writer, folder)
    assert disk.has(2**28)
    disturbance.check_again(writer, folder, place=place)


@pytest.mark.parametrize("writer", [each for each in WRITERS if each.name in ORDINARY], ids=lambda writer: writer.name)
def test_a_full_disk_is_a_sentence_and_no_loss(disturbance, disk, writer):
    fill_and_go_on(disturbance, writer, disk, 0.4)


@pytest.mark.many
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_disks_of_any_size_are_a_sentence_and_no_loss(disturbance, disk, tally, writer, share):
    with tally.rounds("full disks"), tally.round("full disks", f"{writer.name} {share}"):
        fill_and_go_on(disturbance, writer, disk, share)
