"""`ex4d clean` removes what can be made again, and nothing else."""

import json
import os
import time

import pytest

from ex4d_core.errors import InputNotFound
from ex4d_core.files import locked, resumable_dir, temporary_folder
from ex4d_core.runs.clean import find_run_folders, remove

KEY = "0123456789abcdef" * 2
REMOVABLE = [f"depth-{KEY}", f"result-{KEY}", f"damaged-guidance-{KEY}-1", f".partial-result-{KEY}"]
OTHERS = ["notes", "depth-mine", f"depth-{KEY}-edited", f"guidance-{KEY}"]  # the last one has no manifest


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "outputs" / "clip"
    for name in (*REMOVABLE, *OTHERS):
        (folder / "artifacts" / name).mkdir(parents=True)
        (folder / "artifacts" / name / "data").write_bytes(b"x" * 1000)
    for name in REMOVABLE[:2]:
        (folder / "artifacts" / name / "artifact.json").write_text("{}")
    (folder / "run.json").write_text('{"source": {"path": "clip.mp4", "blake2b": ""}}')
    for name in ("config.toml", "result_30.mp4", "depth.npz"):
        (folder / name).write_text("mine")
    return folder


def names(folder):
    return sorted(os.listdir(folder))


def test_artifacts_are_removed_and_everything_else_stays(run_folder):
    (found,) = find_run_folders([run_folder.parent])
    assert {(item.kind, item.stage) for item in found.items} == {
        ("artifact", "depth"),
        ("artifact", "result"),
        ("damaged", "guidance"),
        ("partial", "result"),
    }
    assert found.bytes == 4004
    assert found.made_again.endswith("config.toml")
    assert remove(found) == 4004
    assert names(run_folder) == ["artifacts", "config.toml", "depth.npz", "result_30.mp4", "run.json"]
    assert names(run_folder / "artifacts") == sorted(OTHERS)


def test_a_run_folder_is_found_by_itself_once(run_folder):
    found = find_run_folders([run_folder, run_folder.parent])
    assert [os.path.samefile(each.folder, run_folder) for each in found] == [True]


def test_run_folders_of_a_sweep_are_found_and_those_of_deeper_folders_are_not(run_folder, tmp_path):
    variant = tmp_path / "outputs" / "mesh.min_angle=1"
    variant.mkdir()
    run_folder.rename(variant / "clip")
    assert [each.folder for each in find_run_folders([tmp_path / "outputs"])] == [variant / "clip"]
    with pytest.raises(InputNotFound):
        find_run_folders([tmp_path])


def test_only_artifacts_that_were_written_longer_ago_are_removed(ex4d, run_folder):
    old = run_folder / "artifacts" / REMOVABLE[0]
    days_ago = time.time() - 3 * 24 * 60 * 60
    os.utime(old, (days_ago, days_ago))
    out = " ".join(ex4d("clean", "--older-than", "2")[1].split())
    assert "nothing was removed; ex4d clean --older-than 2 --yes removes 1.0 kB" in out
    assert ex4d("clean", "--older-than", "4", "--yes")[1] == "nothing to remove\n"
    assert "removed: 1.0 kB" in ex4d("clean", "--older-than", "2", "--yes")[1]
    assert names(run_folder / "artifacts") == sorted({*REMOVABLE[1:], *OTHERS})


@pytest.mark.parametrize("record", [None, "{}", "no JSON", "[]"])
def test_a_folder_without_the_record_of_a_run_is_not_touched(run_folder, record):
    (run_folder / "run.json").unlink()
    if record is not None:
        (run_folder / "run.json").write_text(record)
    with pytest.raises(InputNotFound, match=r"outputs has no run folders, which contain run\.json; pass the output"):
        find_run_folders([run_folder.parent])


def test_links_are_not_followed(run_folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (run_folder / "artifacts").rename(elsewhere)
    (run_folder / "artifacts").symlink_to(elsewhere)
    with pytest.raises(InputNotFound):
        find_run_folders([run_folder])
    assert len(names(elsewhere)) == len(REMOVABLE) + len(OTHERS)


@pytest.mark.parametrize("use", ["stage", "save", "record of damage"])
def test_a_folder_that_a_process_uses_is_kept(run_folder, use):
    artifacts = run_folder / "artifacts"
    in_use = {
        "stage": lambda: resumable_dir(artifacts / f".partial-depth-{KEY}", tell=print),
        "save": lambda: temporary_folder(artifacts),
        "record of damage": lambda: locked(artifacts / "damaged"),
    }[use]
    with in_use():
        (found,) = find_run_folders([run_folder])
        assert found.is_in_use
        assert remove(found) == 0
    (found,) = find_run_folders([run_folder])
    assert not found.is_in_use
    assert remove(found) == 4004


def test_the_command_lists_and_removes_only_with_consent(ex4d, run_folder):
    for arguments in ((), ("--dry-run",), ("--dry-run", "--yes")):
        code, out, _ = ex4d("clean", *arguments)
        assert code == 0
        assert "damaged" in out
        assert "nothing was removed; ex4d clean --yes removes 4.0 kB" in out
        assert "to make them again: ex4d run --config" in out
    code, out, _ = ex4d("clean", "--yes", run_folder)
    assert (code, "removed: 4.0 kB" in out) == (0, True)
    assert names(run_folder / "artifacts") == sorted(OTHERS)
    assert ex4d("clean")[1] == "nothing to remove\n"


def test_the_command_that_removes_names_the_folders(ex4d, run_folder):
    other = run_folder.with_name("other one")
    run_folder.rename(other)
    assert f"nothing was removed; ex4d clean '{other}' --yes removes 4.0 kB" in " ".join(
        ex4d("clean", other)[1].split()
    )


def test_json_has_every_item(ex4d, run_folder):
    facts = json.loads(ex4d("clean", "--json")[1])
    assert facts["removed"] == 0
    assert [item["bytes"] for item in facts["folders"][0]["items"]] == [1000, 1000, 1002, 1002]
    assert json.loads(ex4d("clean", "--json", "--yes")[1])["removed"] == 4004


def test_a_question_is_asked_in_a_terminal(ex4d, run_folder, monkeypatch):
    asked = []
    monkeypatch.setattr("ex4d_core.cli.clean_command.can_ask", lambda: True)
    monkeypatch.setattr("ex4d_core.cli.clean_command.confirm", lambda question: asked.append(question) or False)
    ex4d("clean")
    assert asked == ["Remove 4.0 kB?"]
    assert len(names(run_folder / "artifacts")) == len(REMOVABLE) + len(OTHERS)


def test_a_folder_that_does_not_exist_is_one_sentence(ex4d):
    code, _, err = ex4d("clean", "nowhere")
    assert (code, "nowhere" in err) == (2, True)
