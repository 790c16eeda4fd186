"""`run.json` loses nothing, whoever writes to it."""

import errno
import json
import math
import os
import subprocess
import sys

import pytest

from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.pipeline.records import Record


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def record(tmp_path, warnings):
    return Record(tmp_path / "run.json", warnings.append)


def add(record, name):
    with record.changing() as change:
        change.table("takes")[name] = {"stages": []}


def test_what_is_added_is_there_and_the_rest_stays(record, tmp_path):
    record.path.write_text('{"mine": [1], "takes": {"30": {"stages": [1]}}}')
    add(record, "60")
    assert record.read() == {"mine": [1], "takes": {"30": {"stages": [1]}, "60": {"stages": []}}}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.slow
def test_six_processes_lose_no_entry(record):
    code = (
        "import sys; from pathlib import Path; from ex4d_core.pipeline.records import Record\n"
        "for number in range(15):\n"
        "    with Record(Path(sys.argv[1])).changing() as change:\n"
        "        change.table('takes')[f'{sys.argv[2]} {number}'] = {}"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(record.path), str(run)]) for run in range(6)]
    assert [run.wait() for run in runs] == [0] * 6
    assert set(record.read()["takes"]) == {f"{run} {number}" for run in range(6) for number in range(15)}
    assert [path.name for path in record.path.parent.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "3", '{"takes": 3}', '{"takes": {"30": 1}}', '{"files": []}', '{"clip": 7}', '{"source": {}}'),
        *('{"seed": NaN}', '{"seed": 1e999}', f'{{"seed": {"9" * 5000}}}', f'{{"a": {"[" * 9999}{"]" * 9999}}}'),
    ],
    ids=lambda text: text[:20] or "empty",
)
def test_a_damaged_record_is_kept_aside_and_said(record, warnings, text):
    record.path.write_text(text)
    with pytest.raises(InvalidInput, match=r"the record .*run\.json is damaged: "):
        record.read()
    add(record, "30")
    assert set(record.read()["takes"]) == {"30"}
    assert (record.path.parent / "run-damaged-1.json").read_text() == text
    assert len(warnings) == 1
    assert "run-damaged-1.json" in warnings[0]


def test_bytes_that_are_not_text_are_damage_too(record):
    record.path.write_bytes(b"\xff\xfe{}\x00")
    add(record, "30")
    assert (record.path.parent / "run-damaged-1.json").exists()


def test_a_record_that_cannot_be_read_is_an_error_and_stays(record, monkeypatch):
    add(record, "30")
    before = record.path.read_bytes()

    def refuse(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        with pytest.raises(InvalidInput, match="Input/output error"):
            add(record, "60")
    assert record.path.read_bytes() == before
    assert [path.name for path in record.path.parent.iterdir()] == ["run.json"]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_one_sentence(record, kind):
    os.mkfifo(record.path) if kind == "pipe" else record.path.mkdir()
    with pytest.raises(InvalidInput, match="not a regular file"):
        add(record, "30")


def test_a_block_that_fails_changes_nothing(record):
    add(record, "30")
    with pytest.raises(ZeroDivisionError), record.changing() as change:
        change.facts.clear()
        raise ZeroDivisionError
    assert set(record.read()["takes"]) == {"30"}


def test_a_disk_that_is_full_leaves_the_record(record, monkeypatch):
    add(record, "30")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(OutputFailed, match=r"run\.json cannot be written: No space left"):
            add(record, "60")
    assert set(record.read()["takes"]) == {"30"}


def test_any_number_and_any_name_can_be_read_again(record):
    with record.changing() as change:
        change.facts |= {"clip": "a\udcff.mp4", "seed": math.inf, "path": record.path}
    assert record.read() == {"clip": "a\udcff.mp4", "seed": "Infinity", "path": str(record.path)}
    assert json.loads(record.path.read_text(encoding="ascii"))
