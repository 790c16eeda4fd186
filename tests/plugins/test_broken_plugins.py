"""With plugins installed that are wrong in every way we know, the rest of the program works and says what is wrong."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ex4d_core.distributions import upgrade_command
from tests.helpers.forked import fork_command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in Path(__file__).parents[1].glob("helpers/broken_plugins/*/pyproject.toml"))

CORE = upgrade_command("ex4d-core").removeprefix("pip install --upgrade ")
AGAIN = f"pip install --upgrade {shlex.quote(str(FOLDERS[0].parent))}/NAME"
"""They came from a folder: an index may have a stranger's of the same name."""

LEFT_OUT = {
    "exits_at_import": ("SystemExit: a license key is missing", AGAIN),
    "import_error": ("No module named 'no_such_library_anywhere'", "pip install no_such_library_anywhere"),
    "misspelt_hook": ("did you mean 'ex4d_depth_estimators'", AGAIN),
    "newer_core": ("it requires ex4d-core>=99", f"{AGAIN} {CORE}"),
    "raises_when_asked": ("KeyError: 'settings'", AGAIN),
    "wrong_signature": ("Argument(s) {'video'}", AGAIN),
    "wrong_type": ("must return a list of Provider", AGAIN),
}
WORKING = {
    "prints_at_import": ("'hello from a plugin'", AGAIN),
    "same_name": ("use the name zbuffer@ex4d-broken-same-name", "ex4d plugins show zbuffer"),
    "slow_import": ("delays every command", AGAIN),
}


def expected(name: str) -> tuple[str, str]:
    error, next_step = (LEFT_OUT | WORKING)[name]
    return error, next_step.replace("NAME", name)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with all of them installed by pip."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    pip += ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)]
    subprocess.run([*pip, *map(str, FOLDERS)], check=True)
    return folder


@pytest.fixture(scope="module")
def ex4d(site, tmp_path_factory):
    """Run the command with all of them installed; return what came of it."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "COLUMNS": "400", "PYTHONIOENCODING": "utf-8"}
    desk = tmp_path_factory.mktemp("desk")

    def call(*words) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "typer_cli", *map(str, words)]
        return subprocess.run(command, env=environment, cwd=desk, capture_output=True, text=True, encoding="utf-8")

    return call


@pytest.fixture
def forked(site, tmp_path):
    """Run the command as `ex4d` does, in a process that need not import the libraries."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "COLUMNS": "400"}

    def call(*words) -> subprocess.CompletedProcess:
        process = fork_command([*map(str, words)], folder=tmp_path, environment=environment, place=tmp_path)
        process.join()
        out, err = ((tmp_path / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(words, process.exitcode, out, err)

    return call


@pytest.fixture(scope="module")
def listed(ex4d) -> dict:
    """Return what `plugins list --json` says."""
    return json.loads(ex4d("plugins", "list", "--json").stdout)


@pytest.fixture(scope="module")
def table(ex4d) -> str:
    """Return what `plugins list` shows to people."""
    return ex4d("plugins", "list").stdout


def test_every_broken_plugin_of_the_folder_is_looked_for():
    assert {folder.name for folder in FOLDERS} == LEFT_OUT.keys() | WORKING.keys()


@pytest.mark.parametrize("name", [*LEFT_OUT, *WORKING])
def test_each_is_listed_with_what_is_wrong_and_the_next_command(listed, name):
    error, next_step = expected(name)
    found = [problem for problem in listed["problems"] if problem["plugin"] == name and error in problem["error"]]
    assert [(problem["next_step"], problem["disabled"]) for problem in found] == [(next_step, name in LEFT_OUT)]


@pytest.mark.parametrize("name", [*LEFT_OUT, *WORKING])
def test_each_is_in_the_table_that_people_see(table, name):
    error, next_step = expected(name)
    row = [line for line in table.splitlines() if name in line and next_step in line and error in line]
    assert len(row) == 1


def test_only_what_works_is_offered(listed):
    names = {component["distribution"] for component in listed["components"]}
    assert {name for name in names if name.startswith("ex4d-broken-")} == {
        f"ex4d-broken-{name.replace('_', '-')}" for name in WORKING
    }


def test_what_is_printed_in_any_way_goes_to_stderr(forked):
    done = forked("doctor", "--json")
    assert done.returncode == 1
    found = {finding["what"] for finding in json.loads(done.stdout)["findings"]}
    assert found >= {f"plugin {name}" for name in LEFT_OUT}
    hellos = ("from a plugin", "past Python", "past sys.stdout", "from another program")
    assert [hello for hello in hellos if f"hello {hello}" not in done.stderr] == []


def test_a_run_works_and_warns_of_what_is_left_out(forked):
    room = ROOT / "examples" / "room"
    done = forked(
        *("run", room / "clip.mp4", "--depth-file", room / "depth.npz", "--cam", "30"),
        *("--size", "48x32", "--num-frames", "2", "--renderer", "zbuffer", "--backbone", "inpaint"),
    )
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "result_30.mp4" in said
    assert [name for name in LEFT_OUT if expected(name)[1] not in said] == []
    assert "works with a warning" not in said


def test_the_result_of_a_run_for_machines_is_json_whatever_a_component_prints(forked):
    done = forked(
        *("run", ROOT / "examples" / "room" / "clip.mp4", "--depth", "prints_at_import", "--cam", "20", "--json"),
        *("--size", "48x32", "--num-frames", "2"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["stages"]
    assert [hello for hello in ("a component", "its work") if f"hello from {hello}" not in done.stderr] == []


def test_asking_for_a_broken_one_is_an_error_with_the_next_command(forked):
    done = forked("recon", ROOT / "examples" / "room" / "clip.mp4", "--depth", "import_error", "--cam", "30")
    assert done.returncode == 2
    assert "try: pip install no_such_library_anywhere" in done.stderr


def test_one_that_takes_a_built_in_name_is_got_by_its_full_name_only(forked):
    room = ROOT / "examples" / "room"
    words = ("recon", room / "clip.mp4", "--depth-file", room / "depth.npz", "--cam", "30")
    done = forked(*words, "--renderer", "zbuffer@ex4d-broken-same-name")
    assert done.returncode == 2
    assert "the renderer 'zbuffer' of ex4d-broken-same-name 1.0 could not be loaded" in done.stderr


def test_details_of_a_broken_one_are_shown(forked):
    done = forked("plugins", "show", "exits_at_import")
    assert (done.returncode, f"try: {expected('exits_at_import')[1]}" in done.stdout) == (0, True)
