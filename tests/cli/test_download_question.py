"""Commands that need depth offer a small download in a terminal, and go on without it."""

import io
import json
import os
import pty
import sys
import threading

import pytest

from tests.helpers.estimators import FLAT, NET, with_estimators
from tests.helpers.hub_server import FILES, LARGE, ask_only, sha256

pytest.importorskip("huggingface_hub")

HOW = "net requires weights (Small Net, MIT, 3 MB: type ex4d fetch net)"
QUESTION = "Small Net, MIT, 3 MB. Download now? [Y/n] "
SMALL = ("--num-frames", "2", "--size", "32x32")
COMMANDS = {
    "run": ("--cam", "10"),
    "recon": ("--cam", "10"),
    "depth": (),
    "preview": ("--cam", "10"),
    "masks": ("--count", "1", "--kind", "rendering"),
}


@pytest.fixture(autouse=True)
def hub(server, tmp_path, monkeypatch):
    """The local hub, an empty cache, and two estimators: `net`, whose weights are on the hub, and `flat`."""
    ask_only(server, tmp_path / "hub", monkeypatch)
    monkeypatch.setattr("ex4d_core.plugins.registry.find_plugins", lambda: with_estimators(FLAT, NET))
    return server


class Terminal:
    """A pseudo terminal as stdin and stderr of this process."""

    def __init__(self, monkeypatch):
        self._master, slave = pty.openpty()
        self.stdin, self._stderr = os.fdopen(slave, "r"), os.fdopen(os.dup(slave), "w")
        monkeypatch.setattr(sys, "stderr", self._stderr)
        self._shown = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def type(self, text):
        os.write(self._master, text.encode())

    def close(self):
        """Return what was shown."""
        self._stderr.close()
        self.stdin.close()
        self._reader.join()
        os.close(self._master)
        return self._shown.decode()

    def _read(self):
        try:
            while data := os.read(self._master, 65536):
                self._shown += data
        except OSError:  # the other end is closed
            return


@pytest.fixture
def in_terminal(ex4d, small_clip, monkeypatch):
    """Run a command in a terminal with an answer typed; return its exit code and what was shown on stderr."""

    def call(*words, answer="\n", command="run", stdin=None):
        terminal = Terminal(monkeypatch)
        terminal.type(answer)
        monkeypatch.setattr(sys, "stdin", stdin or terminal.stdin)
        code, _, _ = ex4d(command, small_clip.video, *COMMANDS[command], *SMALL, *words)
        return code, terminal.close()

    return call


@pytest.mark.parametrize(("answer", "chosen"), [("\n", "net"), ("Y\n", "net"), ("no\n", "flat")])
def test_the_answer_decides_and_the_run_goes_on(in_terminal, answer, chosen):
    code, shown = in_terminal(answer=answer)
    assert (code, shown.count(QUESTION)) == (0, 1)
    assert f"depth: {chosen} (" in shown
    reason = "its weights are on this machine" if chosen == "net" else HOW
    assert f", on cpu; {reason}" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_asks_once(in_terminal, small_clip, command):
    code, shown = in_terminal(answer="n\n", command=command)
    assert (code, shown.count(QUESTION)) == (0, 1), shown


def test_several_clips_are_one_question(in_terminal, small_clip, tmp_path):
    (tmp_path / "other.mp4").write_bytes(small_clip.video.read_bytes())
    code, shown = in_terminal("other.mp4", answer="n\n")
    assert (code, shown.count(QUESTION)) == (0, 1)


@pytest.mark.parametrize("answer", ["\x04", "perhaps\n\x04"])
def test_an_end_of_input_at_the_question_stops_the_run(in_terminal, tmp_path, answer):
    code, shown = in_terminal(answer=answer)
    assert (code, shown.count("Download now?")) == (130, answer.count("\n") + 1)
    assert shown.endswith("\r\ninterrupted; run the same command again to resume\r\n")
    assert not (tmp_path / "outputs" / "clip").exists()


class Interrupted(io.StringIO):
    """A terminal at which Ctrl-C is pressed."""

    def isatty(self):
        return True

    def readline(self):
        raise KeyboardInterrupt


def test_ctrl_c_at_the_question_stops_the_run(in_terminal):
    code, shown = in_terminal(answer="", stdin=Interrupted())
    assert code == 130
    assert shown == f"{QUESTION}\r\ninterrupted; run the same command again to resume\r\n"


@pytest.mark.parametrize("words", [("--no-download",), ("--depth", "flat"), ("--yes",)])
def test_nothing_is_asked_where_the_answer_is_known(in_terminal, words):
    code, shown = in_terminal(*words)
    assert (code, "Download now?" in shown) == (0, False)
    assert ("depth: net (" in shown) == ("--yes" in words)


def test_nothing_is_asked_where_the_network_may_not_be_used(in_terminal, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code, shown = in_terminal()
    assert (code, "Download now?" in shown, "depth: flat (" in shown) == (0, False, True)


def test_a_component_that_is_named_is_offered_too(in_terminal):
    assert in_terminal("--depth", "net", answer="y\n")[0] == 0


def test_a_clip_that_does_not_exist_is_an_error_without_a_question(ex4d, monkeypatch):
    terminal = Terminal(monkeypatch)
    monkeypatch.setattr(sys, "stdin", terminal.stdin)
    code, _, _ = ex4d("run", "none.mp4")
    shown = terminal.close()
    assert (code, "Download now?" in shown, "none.mp4 does not exist" in shown) == (2, False, True)


def test_a_bad_option_is_an_error_before_the_question(in_terminal):
    code, shown = in_terminal("--renderer", "zbufer")
    assert (code, "Download now?" in shown, "did you mean 'zbuffer'" in shown) == (2, False, True)


def test_outside_of_a_terminal_one_line_says_how(ex4d, hub, small_clip, monkeypatch):
    monkeypatch.setattr(hub, "get_request", lambda: pytest.fail("the hub was asked"))
    code, _, err = ex4d("run", small_clip.video, *SMALL)
    assert code == 0
    assert err.count("ex4d fetch net") == 1
    assert f"depth: flat (a plane), on cpu; {HOW}\n" in err


def test_a_quiet_command_neither_asks_nor_downloads(in_terminal):
    assert in_terminal("--quiet") == (0, "\r\n")  # the echo of what was typed


def test_a_failed_download_is_one_line_and_the_run_goes_on(ex4d, hub, small_clip):
    hub.gated = True
    code, _, err = ex4d("run", small_clip.video, *SMALL, "--yes")
    assert code == 0
    (line,) = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: the weights of net were not downloaded: lab/net is gated")
    assert "depth: flat (" in err


def test_a_cut_download_is_resumed_by_the_next_run(ex4d, hub, small_clip, tmp_path, monkeypatch):
    monkeypatch.setattr("ex4d_core.hub.resume._ATTEMPTS", 1)
    del hub.files["net/model-2.safetensors"]
    hub.cut_after = [100_000, 0]
    code, _, err = ex4d("run", small_clip.video, *SMALL, "--yes")
    assert (code, "depth: flat (" in err) == (0, True)
    part = tmp_path / "hub" / "models--lab--net" / "blobs" / f"{sha256(FILES[LARGE])}.ex4d.incomplete"
    kept = part.stat().st_size
    assert 0 < kept < len(FILES[LARGE])
    hub.asked.clear()
    hub.cut_after.clear()
    code, _, err = ex4d("run", small_clip.video, *SMALL, "--yes")
    assert (code, "depth: net (" in err) == (0, True)
    assert f"bytes={kept}-" in hub.asked


def test_the_configuration_has_the_selection_and_not_the_consent(ex4d, small_clip, tmp_path):
    assert ex4d("run", small_clip.video, *SMALL, "--no-download")[0] == 0
    config = tmp_path / "outputs" / "clip" / "config.toml"
    assert 'name = "flat"' in config.read_text()
    assert ex4d("run", small_clip.video, *SMALL, "--yes", "-o", "with_net")[0] == 0
    assert "download" not in (tmp_path / "with_net" / "clip" / "config.toml").read_text()
    code, out, _ = ex4d("run", "--config", config, "--json")  # the weights of net are here now
    assert (code, all(stage["reused"] for stage in json.loads(out)[0]["stages"])) == (0, True)
