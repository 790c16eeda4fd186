"""The command and its server: begun at a port that is free, and gone at the end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit

import pytest
import viser
from websockets.sync.client import connect

from ex4d_core.errors import InvalidInput
from ex4d_viewer.page import Page
from ex4d_viewer.serving import serve


@pytest.fixture
def taken():
    """A port that somebody else has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_the_page_is_there_and_then_gone(run):
    with serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2) as served:
        with urllib.request.urlopen(served.url) as answer:
            assert b"<html" in answer.read().lower()
        port = urlsplit(served.url).port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
def test_a_run_without_depth_is_waited_for(run, until):
    for artifact in (run / "artifacts").iterdir():
        artifact.rename(run / artifact.name)
    with serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2) as served:
        until(lambda: "Waiting for the run's depth" in served.page.state, "the word that it waits")
        (depth,) = run.glob("depth-*")
        depth.rename(run / "artifacts" / depth.name)
        until(lambda: "meshes 2 of 2" in served.page.state, "the scene")
        assert "path only" in served.page.state


def test_the_address_is_said_before_the_run_is_looked_at(run, until, monkeypatch):
    said, said_at_the_look = [], []
    monkeypatch.setattr(Page, "update", lambda *_: said_at_the_look.append(len(said)))
    with serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2, greet=said.append) as served:
        until(lambda: said_at_the_look, "a look at the run")
    assert said == [served.url]
    assert said_at_the_look[0] == 1


def test_a_port_that_is_taken_is_said(run, taken):
    with (
        pytest.raises(InvalidInput, match=f"the port {taken} at 127.0.0.1 cannot be used: Address already in use"),
        serve(run, host="127.0.0.1", port=taken, detail=16, most_frames=2),
    ):
        pass


@pytest.mark.parametrize("host", ["::1", "[::1]", "localhost", "0.0.0.0", "::"])
def test_it_listens_where_it_is_told_to(run, host):
    with serve(run, host=host, port=0, detail=16, most_frames=2) as served:
        assert urlsplit(served.url).hostname in ("::1", "localhost", "127.0.0.1")
        with urllib.request.urlopen(served.url) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("", "--host is empty; use an address of this machine"),
        (" ", "--host is empty"),
        ("0", "--host 0 stands for all interfaces; use 0.0.0.0 to accept connections on all of them"),
        ("no.such.name.invalid", "--host no.such.name.invalid is not an address of this machine"),
        ("x" * 300, "is not an address of this machine"),
        ("a\0b", "is not an address of this machine"),
        ("192.0.2.1", "at 192.0.2.1 cannot be used: Cannot assign requested address"),
    ],
)
def test_an_address_that_it_cannot_listen_at_is_said(run, host, says):
    with pytest.raises(InvalidInput, match=says), serve(run, host=host, port=0, detail=16, most_frames=2):
        pass


def test_whatever_fails_on_the_page_is_told_there_and_it_looks_again(run, until, monkeypatch):
    looks, look = [], Page.update

    def fail_first(page):
        looks.append(page)
        if len(looks) == 1:
            raise RecursionError("too deep")
        look(page)

    monkeypatch.setattr(Page, "update", fail_first)
    monkeypatch.setattr("ex4d_viewer.serving.POLL_EVERY", 0.3)
    with serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2) as served:
        until(lambda: "RecursionError: too deep" in served.page.alert, "the word that it failed")
        until(lambda: "meshes 2 of 2" in served.page.state and not served.page.alert, "the scene")


def test_a_folder_that_is_no_run_is_one_sentence_and_exit_code_2(ex4d, tmp_path):
    code, _, err = ex4d("view", tmp_path)
    assert code == 2
    assert err == f"error: {tmp_path} is not a run folder, since it has no config.toml; pass the folder of a run\n"


@pytest.mark.slow
def test_the_command_says_where_the_page_is_and_ends_with_ctrl_c(run):
    command = [sys.executable, "-m", "typer_cli", "view", str(run), "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r"is at (http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{48}) ", line)
            assert found, process.stderr.read()
            url = urlsplit(found[1])
            origin, protocol = f"http://{url.netloc}", f"viser-v{viser.__version__}"
            # One that is connected, and one that has not said what it wants, do not keep it from ending.
            with (
                connect(f"ws://{url.netloc}/?{url.query}", origin=origin, subprotocols=[protocol]),
                socket.create_connection((url.hostname, url.port)),
            ):
                before = time.monotonic()
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode in (0, 130), err  # 130 if it was still starting
    assert "Traceback" not in err
    assert time.monotonic() - before < 10
