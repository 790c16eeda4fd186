"""Set-up takes the small build of PyTorch only where it is of use and can be reached."""

import runpy
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "torch_index.py"


@pytest.fixture
def tool(monkeypatch):
    """The functions of the script, on a Linux machine without a driver, with a plain pip and an index that answers."""
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    functions = runpy.run_path(str(SCRIPT))
    names = functions["torch_index"].__globals__
    names |= {"has_nvidia_driver": lambda: False, "pip_has_sources": lambda: False, "answers": lambda index: True}
    return names


def test_a_machine_without_a_driver_takes_the_small_build(tool):
    assert tool["torch_index"]() == "https://download.pytorch.org/whl/cpu"


@pytest.mark.parametrize(
    "changed",
    [{"has_nvidia_driver": lambda: True}, {"pip_has_sources": lambda: True}, {"answers": lambda index: False}],
    ids=lambda changed: next(iter(changed)),
)
def test_otherwise_pip_decides(tool, changed):
    tool |= changed
    assert tool["torch_index"]() == ""


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_the_build_of_the_index_is_small_anyway(tool, monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    assert tool["torch_index"]() == ""


@pytest.mark.parametrize("index", ["", "https://mirror.example/cpu"])
def test_the_variable_replaces_the_choice(tool, monkeypatch, index):
    monkeypatch.setenv("TORCH_INDEX", index)
    assert tool["torch_index"]() == index
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (index, "")


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("", False),
        ("PIP_TIMEOUT", False),
        ("PIP_EXTRA_INDEX_URL", True),
        ("PIP_FIND_LINKS", True),
        ("PIP_NO_INDEX", True),
    ],
)
def test_sources_of_the_user_are_found(monkeypatch, setting, found):
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    if setting:
        monkeypatch.setenv(setting, "1")
    assert runpy.run_path(str(SCRIPT))["pip_has_sources"]() is found


class Index(BaseHTTPRequestHandler):
    def do_GET(self):  # what http.server calls
        self.send_response(200 if self.path == "/cpu/torch/" else 404)
        self.end_headers()

    def log_message(self, *_):
        """Keep quiet."""


def test_an_index_is_asked_before_it_is_used():
    answers = runpy.run_path(str(SCRIPT))["answers"]
    server = HTTPServer(("127.0.0.1", 0), Index)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert (answers(f"{url}/cpu"), answers(f"{url}/gone"), answers("no address")) == (True, False, False)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not answers(url)
