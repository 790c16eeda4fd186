"""Outputs are told by their content: nothing that somebody changed is lost, and nothing else is taken for that."""

import errno
import os
import subprocess
import sys

import pytest

from ex4d_core.errors import InputNotFound, OutputFailed
from ex4d_core.pipeline import outputs
from ex4d_core.pipeline.clip_identity import ClipIdentity
from ex4d_core.pipeline.outputs import OutputGroup, update_files
from ex4d_core.pipeline.records import Record
from ex4d_core.progress import SilentReporter

CLIP = ClipIdentity("/a/c.mp4", "1")


class Reporter(SilentReporter):
    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)

    warn = note


@pytest.fixture
def reporter():
    return Reporter()


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "run.json")


@pytest.fixture
def update(tmp_path, record, reporter):
    """Bring a file `a.txt` and a folder `images` up to date; return whether they were."""

    def update(key, *, editable=False, clip=CLIP):
        def write(folder):
            (folder / "a.txt").write_text(f"made of {key}")
            (folder / "images").mkdir()
            (folder / "images" / "0.png").write_text(key)

        files = {"text": tmp_path / "a.txt", "images": tmp_path / "images"}
        group = OutputGroup(key=key, files=files, write=write, editable=editable)
        return update_files(group, record, clip=clip, reporter=reporter)

    return update


def names(folder):
    return {path.name for path in folder.iterdir()}


ORDINARY = {"a.txt", "images", "run.json"}


def test_what_is_there_is_not_written_again(update, tmp_path, reporter):
    assert not update("1")
    assert update("1")
    assert not update("2")
    assert (tmp_path / "a.txt").read_text() == "made of 2"
    assert (names(tmp_path), reporter.said) == (ORDINARY, [])


def test_a_change_of_the_same_length_is_noticed_and_kept(update, tmp_path, reporter):
    update("1")
    (tmp_path / "a.txt").write_text("mine of 1")
    assert not update("1")
    assert (tmp_path / "a.txt").read_text() == "made of 1"
    assert (tmp_path / "a-edited-1.txt").read_text() == "mine of 1"
    assert len(reporter.said) == 1
    assert f"{tmp_path}/a.txt was changed since it was written" in reporter.said[0]
    assert "a-edited-1.txt" in reporter.said[0]


def test_a_change_to_what_may_be_edited_stays_until_other_content_comes(update, tmp_path, reporter):
    update("1", editable=True)
    (tmp_path / "images" / "0.png").write_text("mine")
    assert update("1", editable=True)
    assert (tmp_path / "images" / "0.png").read_text() == "mine"
    assert not update("2", editable=True)
    assert (tmp_path / "images-edited-1" / "0.png").read_text() == "mine"
    assert (tmp_path / "images" / "0.png").read_text() == "2"
    assert len(reporter.said) == 2


@pytest.mark.parametrize("moment", ["before the first", "before the second"])
@pytest.mark.parametrize("then", ["2", "3"])
def test_a_kill_between_a_stamp_and_its_file_makes_no_edited_copy(
    update, tmp_path, reporter, monkeypatch, moment, then
):
    update("1", editable=True)
    put, allowed = outputs.put, [0 if moment == "before the first" else 1]

    def killed(*arguments):
        if not allowed[0]:
            raise KeyboardInterrupt
        allowed[0] -= 1
        put(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(outputs, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            update("2", editable=True)
    assert not update(then, editable=True)
    assert update(then, editable=True)
    assert ((tmp_path / "a.txt").read_text(), names(tmp_path), reporter.said) == (f"made of {then}", ORDINARY, [])


def test_without_a_record_what_is_there_is_compared_with_what_would_be_written(update, tmp_path, record, reporter):
    update("1")
    record.path.unlink()
    assert not update("1")
    assert (names(tmp_path), reporter.said) == (ORDINARY, [])


def test_a_file_of_somebody_else_is_kept_whatever_it_is(update, tmp_path):
    (tmp_path / "a.txt").mkdir()
    (tmp_path / "images").write_text("no folder")
    update("1")
    assert names(tmp_path) == ORDINARY | {"a-edited-1.txt", "images-edited-1"}


def test_outputs_of_another_clip_are_kept(update, tmp_path, reporter):
    update("1")
    update("2", clip=ClipIdentity("/b/c.mp4", "2"))
    assert (tmp_path / "a-other-1.txt").read_text() == "made of 1"
    assert (tmp_path / "a.txt").read_text() == "made of 2"
    assert all("belongs to another clip" in warning for warning in reporter.said)


@pytest.mark.slow
def test_six_processes_take_nobody_elses_files_for_edited_ones(tmp_path):
    code = (
        "import sys; from pathlib import Path; from ex4d_core.pipeline.outputs import *\n"
        "from ex4d_core.pipeline.clip_identity import *; from ex4d_core.pipeline.records import *\n"
        "from ex4d_core.progress import *\n"
        "folder = Path(sys.argv[1])\n"
        "def write(key, into):\n"
        "    (into / 'a.txt').write_text(key * 9); (into / 'images').mkdir()\n"
        "    for n in range(9): (into / 'images' / f'{n}.png').write_text(key)\n"
        "for turn in range(8):\n"
        "    key = str((turn + int(sys.argv[2])) % 3)\n"
        "    group = OutputGroup(key=key, files={n: folder / n for n in ('a.txt', 'images')}, editable=True,\n"
        "                        write=lambda into: write(key, into))\n"
        "    update_files(group, Record(folder / 'run.json'), clip=ClipIdentity('', '1'), reporter=SilentReporter())"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(run)]) for run in range(6)]
    assert [run.wait() for run in runs] == [0] * 6
    assert names(tmp_path) == ORDINARY
    key = (tmp_path / "a.txt").read_text()[0]
    assert {image.read_text() for image in (tmp_path / "images").iterdir()} == {key}


def test_a_full_disk_is_said_of_the_file_and_leaves_what_was_there(update, tmp_path, record, reporter):
    update("1")

    def full(folder):
        raise OutputFailed(f"{folder / 'a.txt'} cannot be written: {os.strerror(errno.ENOSPC)}")

    group = OutputGroup(key="2", files={"text": tmp_path / "a.txt"}, write=full)
    with pytest.raises(OutputFailed, match=f"^{tmp_path}/a.txt cannot be written: No space left"):
        update_files(group, record, clip=CLIP, reporter=reporter)
    assert (names(tmp_path), update("1")) == (ORDINARY, True)


@pytest.mark.parametrize("error", [InputNotFound("no depth"), FileNotFoundError(2, "a bug")])
def test_an_error_that_is_not_of_the_output_is_not_said_to_be(tmp_path, record, reporter, error):
    def fail(folder):
        raise error

    with pytest.raises(type(error)) as caught:
        update_files(
            OutputGroup(key="1", files={"text": tmp_path / "a.txt"}, write=fail), record, clip=CLIP, reporter=reporter
        )
    assert caught.value is error


def test_a_rename_that_fails_is_one_sentence(update, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(outputs, "put", refuse)
    with pytest.raises(OutputFailed, match=f"^{tmp_path} cannot be written: Permission denied"):
        update("1")
