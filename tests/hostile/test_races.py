"""Several processes of one command in one folder, at the same time: nothing is lost, nothing is half written."""

from __future__ import annotations

import json

import pytest

from .contents import contents_of, leftovers
from .disturbing import Disturbance, check_sentence
from .writers import BY_NAME, WRITERS, Writer, cameras

pytestmark = pytest.mark.slow

ROUNDS = 6
"""For each command, with `--many`."""


def race(disturbance: Disturbance, writer: Writer, number: int) -> None:
    """Run a command several times at once."""
    folder = disturbance.folder / f"race {writer.name} {number}"
    whole = disturbance.undisturbed(writer).contents
    places = [folder.with_name(f"{folder.name}.said {n}") for n in range(disturbance.random.randint(2, 4))]
    started = [disturbance.stage.start(writer, folder, place=place) for place in places]
    ended = [each.wait() for each in started]
    may_wait = writer.once or writer.alone
    for each in ended:
        check_sentence(writer, each, *((0, 2) if may_wait else (0,)))
    assert any(each.code == 0 for each in ended)
    found = contents_of(folder / "out")
    assert [name for name in sorted({*whole, *found}) if whole.get(name) != found.get(name)] == []
    assert leftovers(folder) == []


def race_along_paths(disturbance: Disturbance, number: int, processes: int) -> None:
    """Run `ex4d recon` along different paths at once; each is in the record in the end."""
    folder = disturbance.folder / f"paths {number}"
    writers = [cameras(n) for n in range(processes)]
    places = [folder.with_name(f"{folder.name}.said {n}") for n in range(processes)]
    started = [disturbance.stage.start(w, folder, place=place) for w, place in zip(writers, places, strict=True)]
    for each in started:
        check_sentence(writers[0], each.wait(), 0)
    takes = json.loads((folder / "out" / "run.json").read_text())["takes"]
    assert sorted(takes) == sorted(str(10 + n) for n in range(processes))
    assert leftovers(folder) == []


@pytest.mark.parametrize("name", ["depth"])
def test_commands_at_once_make_the_same_files_as_one(disturbance, name):
    race(disturbance, BY_NAME[name], 0)


def test_paths_at_once_are_all_recorded(disturbance):
    race_along_paths(disturbance, 0, 4)


@pytest.mark.many
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_many_races_lose_nothing(disturbance, tally, writer):
    with tally.rounds("races"):
        for number in range(1, 1 + ROUNDS):
            with tally.round("races", writer.name):
                race(disturbance, writer, number)


@pytest.mark.many
def test_many_paths_at_once_are_all_recorded(disturbance, tally):
    with tally.rounds("races"):
        for number in range(1, 1 + ROUNDS):
            with tally.round("races", "recon along six paths"):
                race_along_paths(disturbance, number, 6)
