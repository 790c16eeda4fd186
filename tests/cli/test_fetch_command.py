"""`ex4d fetch` in a process of its own: what it says, what it leaves, and that it goes on when it was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.forked import ForkedCommand
from tests.helpers.hub_server import COMMIT, FILES, LARGE, sha256

pytestmark = pytest.mark.slow

pytest.importorskip("huggingface_hub")

PLUGIN = """
import attrs
from ex4d_core.hookspecs import hookimpl
from ex4d_core.hub.local import HubRepo
from ex4d_core.provider import Provider

@attrs.frozen
class Options:
    repo: str = "lab/net"

def weights(options):
    return [HubRepo(repo=options.repo, revision="main", patterns=("config.json", "net/*"))]

@hookimpl
def ex4d_backbones():
    return [Provider(name="mine", summary="s", license="MIT", usage_terms="for tests only", component="nowhere:Class",
                     options=Options, weights=f"{__name__}:weights")]
"""


@pytest.fixture
def environment(server, tmp_path):
    """The environment of a command that has a plugin of its own."""
    (tmp_path / "ex4d_test_fetch.py").write_text(PLUGIN)
    info = tmp_path / "ex4d_test_fetch-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ex4d-test-fetch\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ex4d]\nmine = ex4d_test_fetch\n")
    own = {"PYTHONPATH": str(tmp_path), "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "COLUMNS": "160"}

    return {**os.environ, **own}


@pytest.fixture
def command(environment, tmp_path):
    """Start `ex4d fetch`."""

    def start(*arguments, **more):
        return ForkedCommand(
            ["fetch", *arguments], folder=tmp_path, environment={**environment, **more}, place=tmp_path
        )

    return start


def test_it_works_as_users_start_it(environment):
    command = [sys.executable, "-m", "typer_cli", "fetch", "mine", "--dry-run"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lab/net" in done.stdout


def test_the_command_says_what_it_will_do_does_it_and_says_where(command, tmp_path):
    with command("mine", "--dry-run") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert all(text in out for text in ("lab/net", "main (cccccccccccc)", "3.1 MB", "license: MIT", "for tests only"))
    assert not (tmp_path / "home" / "hub").exists()
    with command("mine") as process:
        out, err = process.communicate()
    folder = tmp_path / "home" / "hub" / "models--lab--net" / "snapshots" / COMMIT
    assert process.returncode == 0, err
    assert f"ready: {folder}" in out
    assert err.startswith("download: 3.1 MB/3.1 MB in ")
    assert (folder / LARGE).read_bytes() == FILES[LARGE]


def test_json_says_where_the_files_are(command, tmp_path):
    with command("mine", "--json") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    (checkpoint,) = json.loads(out)["checkpoints"]
    assert checkpoint["commit"] == COMMIT
    assert (Path(checkpoint["folder"]) / "config.json").read_bytes() == b"{}"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_goes_on_in_the_middle_of_the_file(command, server, tmp_path, how):
    server.slow = 0.05
    part = tmp_path / "home" / "hub" / "models--lab--net" / "blobs" / f"{sha256(FILES[LARGE])}.ex4d.incomplete"
    with command("mine") as process:
        while process.poll() is None and not (part.exists() and part.stat().st_size):
            time.sleep(0.02)
        process.send_signal(how)
        _, err = process.communicate()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert err.endswith("interrupted; run the same command again to resume\n")
    kept = part.stat().st_size
    assert 0 < kept < len(FILES[LARGE])
    server.slow = 0.0
    server.asked.clear()
    with command("mine") as process:
        process.communicate()
    assert process.returncode == 0
    assert f"bytes={kept}-" in server.asked


def test_the_command_says_in_one_sentence_what_is_wrong(command, server):
    server.gated = True
    with command("mine") as process:
        _, err = process.communicate()
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith("error: lab/net is gated")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HF_HUB_DOWNLOAD_TIMEOUT", "abc", "huggingface_hub cannot be imported (ValueError: "),
        ("HF_ENDPOINT", "not a url", "the hub (not a url) cannot be reached for lab/net: "),
        ("HF_TOKEN", "a\u2028b", "cannot be asked for lab/net: UnicodeEncodeError: "),
        ("http_proxy", "nonsense://", "cannot be asked for lab/net: ValueError: "),
    ],
)
def test_a_variable_that_cannot_be_used_ends_in_one_sentence(command, variable, value, said):
    with command("mine", **{variable: value, "no_proxy": "", "NO_PROXY": ""}) as process:
        _, err = process.communicate()
    assert (process.returncode, err.count("\n")) == (2, 1), err
    assert said in err
    assert variable in err or variable == "http_proxy"


def test_no_answer_of_a_server_is_obeyed_by_the_terminal(command, server):
    server.lies = lambda listing: listing["siblings"][1].update(rfilename="net/\x1b[31m[red]x", blobId=3)
    with command("mine") as process:
        out, err = process.communicate()
    assert process.returncode == 2
    assert "\x1b" not in out + err
    assert err.count("\n") == 1
