"""`ex4d plugins new`: what it writes is well formed, and names that cannot be had are refused."""

import errno
import subprocess
import sys
import tomllib

import pytest

from ex4d_core.errors import InvalidConfig, OutputFailed
from ex4d_core.plugins import new as plugin_new
from ex4d_core.plugins.discovery import Plugins, Problem
from ex4d_core.plugins.new import new_plugin
from ex4d_core.plugins.offers import Source
from ex4d_core.roles import ROLES

NOTHING = Plugins(offers=(), problems=())


@pytest.mark.parametrize("role", ROLES)
def test_a_package_has_all_that_it_needs(tmp_path, role):
    folder = new_plugin("my_own-thing", role, tmp_path, NOTHING)
    package = f"ex4d_{role}_my_own_thing"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert folder.name == project["name"] == f"ex4d-{role}-my-own-thing"
    assert project["entry-points"] == {"ex4d": {"my_own-thing": f"{package}.plugin"}}
    assert all((folder / name).is_file() for name in (project["readme"], *project["license-files"]))
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {f"src/{package}/{name}.py" for name in ("plugin", "options", "contract")} < written
    assert {".github/workflows/test.yml", "tests/test_contract.py", f"src/{package}/py.typed"} < written
    assert not [path for path in written if "PACKAGE" in path or path.endswith(".template")]


@pytest.mark.parametrize("role", ROLES)
def test_what_is_written_is_formatted_and_has_no_lint(tmp_path, role):
    folder = new_plugin("mine", role, tmp_path, NOTHING)
    rules = ["--select", "A,ANN,B,C4,D,E,F,I,N,RUF,SIM,UP,W", "--ignore", "A002,D107,RUF009"]
    rules += ["--config", "lint.pydocstyle.convention = 'google'"]
    for command in (["format", "--check"], ["check", *rules]):
        words = [sys.executable, "-m", "ruff", *command, "--line-length", "120", "--isolated"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My Plugin", "try 'my-plugin'"),
        ("2stereo", "try 'stereo'"),
        ("stereo-", "try 'stereo'"),
        ("tiefe_für", "try 'tiefe-fur'"),
        ("../up", "try 'up'"),
        ("", "try 'my-plugin'"),
        ("a" * 300, "at most 64 characters, and this one has 300"),
        ("auto", "selects a component automatically"),
        ("ex4d-depth-mine", "begins with ex4d"),
    ],
)
def test_names_that_nothing_can_have_are_refused(ex4d, tmp_path, name, said):
    code, _, err = ex4d("plugins", "new", name, "--role", "depth")
    assert (code, said in err) == (2, True), err
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_in_its_role_is_refused_however_it_is_spelt(ex4d):
    code, _, err = ex4d("plugins", "new", "zoom-in", "--role", "trajectory")
    assert code == 2
    assert "the trajectory 'zoom-in' already exists, from ex4d-trajectories" in err
    assert ex4d("plugins", "new", "zoom-in", "--role", "depth")[0] == 0


def test_the_name_of_a_plugin_that_does_not_work_is_taken_too(tmp_path):
    source = Source(plugin="sad", module="", distribution="ex4d-sad", version="1")
    sad = Problem(source=source, error="", next_step="")
    with pytest.raises(InvalidConfig, match="from ex4d-sad"):
        new_plugin("sad", "mesh", tmp_path, Plugins(offers=(), problems=(sad,)))


def test_a_role_that_does_not_exist_is_refused(ex4d):
    code, _, err = ex4d("plugins", "new", "mine", "--role", "render")
    assert (code, "'renderer'" in err) == (2, True)


def test_a_folder_that_exists_is_left_as_it_is(ex4d, tmp_path):
    (tmp_path / "out" / "ex4d-depth-mine").mkdir(parents=True)
    code, _, err = ex4d("plugins", "new", "mine", "--role", "depth", "-o", "out")
    assert (code, "already exists" in err) == (2, True)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "ex4d-depth-mine"]


def test_where_nothing_can_be_written_nothing_is_left(ex4d, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = ex4d("plugins", "new", "mine", "--role", "depth", "-o", "file")
    assert (code, "cannot be written" in err) == (2, True)


def test_the_next_commands_are_said(ex4d):
    code, out, err = ex4d("plugins", "new", "mine", "--role", "depth")
    assert (code, out.strip()) == (0, "ex4d-depth-mine")
    assert "pip install -e 'ex4d-depth-mine[test]'" in err


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path, monkeypatch):
    def one_file(role, words):
        yield "README.md", "half of a package"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(plugin_new, "_texts", one_file)
    with pytest.raises(OutputFailed, match="cannot be written: No space left"):
        plugin_new.new_plugin("mine", "depth", tmp_path, NOTHING)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_no_folder_can_be_made_in_is_said(ex4d):
    code, _, err = ex4d("plugins", "new", "mine", "--role", "depth", "-o", "a" * 300)
    assert (code, err.count("\n"), "cannot be written: File name too long" in err) == (2, 1, True)
