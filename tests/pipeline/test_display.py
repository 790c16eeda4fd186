"""Sessions, runs and videos in a terminal and a notebook."""

import base64
import sys

import torch

import ex4d_core as ex4d
from ex4d_core.console_reporter import ConsoleReporter
from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
from ex4d_core.progress import SilentReporter


def test_progress_shows_where_someone_is_looking(monkeypatch):
    assert isinstance(ex4d.Session().reporter, SilentReporter)
    assert isinstance(ex4d.Session(progress=True).reporter, ConsoleReporter)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(ex4d.Session().reporter, ConsoleReporter)
    assert isinstance(ex4d.Session(progress=False).reporter, SilentReporter)


def test_a_notebook_shows_lines_on_stdout(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as kernels do; rich then takes any stream for a terminal
    reporter = ex4d.Session().reporter
    with reporter.stage("depth") as progress:
        progress(2, 2)
    out = capsys.readouterr().out
    with redirect_stdout_to_stderr(), redirect_stdout_to_stderr():  # as a component that is loaded in another thread
        reporter.note("mesh: watertight")
        sys.stdout.write("of a component\n")
    assert capsys.readouterr() == ("mesh: watertight\n", "of a component\n")
    assert out.startswith("depth: 2/2 in ")
    assert "\x1b" not in out


def test_representations_tell_the_state(small_clip):
    depth = {"name": "file", "path": str(small_clip.depth)}
    session = ex4d.Session(depth=depth, renderer="zbuffer", backbone="telea", device="cpu")
    assert repr(session) == (
        "<Session depth='file', mesh='auto', renderer='zbuffer', backbone='telea'; loaded: nothing>"
    )
    path_run = session.open_clip(small_clip.video).along("30")
    assert repr(path_run).endswith("clip.mp4; computed: nothing>")
    assert path_run._repr_html_() is None
    _ = path_run.guidance
    assert repr(path_run).endswith("computed: path, guidance>")
    assert repr(path_run.clip_run).endswith("computed: video, estimated depth, scene>")
    assert repr(session).startswith("<Session depth='file', mesh='watertight' (auto), renderer='zbuffer'")
    assert repr(session).endswith("loaded: depth, mesh, renderer>")


def test_a_notebook_plays_a_video():
    assert ex4d.write_video  # imports the encoder
    html = ex4d.Video(frames=torch.zeros(2, 32, 32, 3, dtype=torch.uint8), fps=24)._repr_html_()
    assert html.startswith("<video controls loop")
    assert base64.b64decode(html.partition("base64,")[2].partition('"')[0])[4:8] == b"ftyp"
