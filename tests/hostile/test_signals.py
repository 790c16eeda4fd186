"""Signals at any moment: a sentence, an exit code that says which, no processes left, and nothing lost."""

from __future__ import annotations

import signal

import pytest

from .disturbing import Disturbance, check_sentence
from .writers import WRITERS, Writer

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ORDINARY = {"run": signal.SIGINT, "depth": signal.SIGTERM, "preview": signal.SIGHUP, "masks": signal.SIGTERM}
ROUNDS = 3
"""For each command and signal, with `--many`."""

CHECK = Writer(name="plugins check", arguments=("plugins", "check", "inpaint"))


def stop_and_go_on(disturbance: Disturbance, writer: Writer, number: signal.Signals, turn: int) -> None:
    folder = disturbance.folder / f"{number.name} {writer.name} {turn}"
    started = disturbance.begin(writer, folder)
    started.signal(number)
    ended = started.wait(60)
    check_sentence(writer, ended, 0, 128 + number)
    if ended.code != 0:
        assert len(ended.err.splitlines()[-1:]) == 1, "nothing is said"
    assert started.left() == []
    disturbance.check_nothing_half(writer, folder)
    disturbance.check_again(writer, folder)


@pytest.mark.many  # a moment in ten thousand, in a callback of the interpreter, prints a traceback: not solved yet
@pytest.mark.parametrize("name", ORDINARY)
def test_a_signal_is_a_sentence_and_no_loss(disturbance, name):
    writer = next(each for each in WRITERS if each.name == name)
    stop_and_go_on(disturbance, writer, ORDINARY[name], 0)


@pytest.mark.many
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("writer", [*WRITERS, CHECK], ids=lambda writer: writer.name)
def test_many_signals_lose_nothing(disturbance, tally, writer, number):
    with tally.rounds("signals"):
        for turn in range(1, 1 + ROUNDS):
            with tally.round("signals", f"{writer.name} {number.name}"):
                stop_and_go_on(disturbance, writer, number, turn)
