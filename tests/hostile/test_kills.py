"""Commands that are killed at any moment lose nothing: the same command makes the same files."""

from __future__ import annotations

import signal

import pytest

from .disturbing import Disturbance
from .writers import WRITERS, Writer

pytestmark = pytest.mark.slow

ROUNDS = 8
"""For each command, with `--many`."""

ORDINARY = ("run", "depth", "preview", "masks", "generate", "cam convert", "fetch", "plugins new")
"""Commands that are killed in every run of the tests: those that take a second."""


def kill_and_go_on(disturbance: Disturbance, writer: Writer, number: int) -> None:
    folder = disturbance.folder / f"kill {writer.name} {number}"
    started = disturbance.begin(writer, folder)
    started.signal(signal.SIGKILL)
    started.wait()
    assert started.left() == []
    disturbance.check_nothing_half(writer, folder)
    disturbance.check_again(writer, folder)


@pytest.mark.parametrize("writer", [each for each in WRITERS if each.name in ORDINARY], ids=lambda writer: writer.name)
def test_a_killed_command_goes_on_to_the_same_files(disturbance, writer):
    kill_and_go_on(disturbance, writer, 0)


@pytest.mark.many
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_many_kills_lose_nothing(disturbance, tally, writer):
    with tally.rounds("kills"):
        for number in range(1, 1 + ROUNDS):
            with tally.round("kills", writer.name):
                kill_and_go_on(disturbance, writer, number)
