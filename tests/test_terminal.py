"""What is foreign is shown on the terminal and never obeyed; closed, full and odd outputs end in a sentence."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from ex4d_core.cli import tables as plugin_tables
from ex4d_core.cli.console import summary
from ex4d_core.cli.plugin_check import Check, Checks, check_tables
from ex4d_core.console_reporter import ConsoleReporter
from ex4d_core.plugins.discovery import Plugins, Problem
from ex4d_core.plugins.offers import Source
from ex4d_core.runs.batch import Outcome
from ex4d_core.terminal import LONGEST_MESSAGE, as_text, make_console, one_message, printable, show
from tests.helpers import wrong_components as wrong
from tests.testing.test_contract_kit import offer_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

HOSTILE = "\x1b]52;c;aGk=\x07[red]a[/x]:smile:[link=http://evil.example]\u202e\r\udcff"
"""Writes to the clipboard, is markup that is wrong, an emoji by name, a link, text from the right, half a character."""

SHOWN = r"\x1b]52;c;aGk=\x07[red]a[/x]:smile:[link=http://evil.example]\u202e\r\udcff"


def start(*arguments, home: Path, env=None, **options) -> subprocess.CompletedProcess:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "typer_cli", *map(str, arguments)],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300", **(env or {})},
        stderr=options.pop("stderr", subprocess.PIPE),
        text=True,
        errors="surrogateescape",
        timeout=100,
        **options,
    )


@given(st.text())
@settings(derandomize=True, max_examples=300)
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = printable(text)
    assert all(letter.isprintable() or letter in "\t\n" or letter.isspace() or ord(letter) > 0xA0 for letter in shown)
    assert "\x1b" not in shown
    assert printable(shown) == shown
    shown.encode()


@given(st.text())
@settings(derandomize=True, max_examples=100)
def test_any_text_can_be_a_line_and_a_cell(text):
    console = make_console(width=10_000, emoji=False)
    with console.capture() as drawn:
        console.print(as_text(text), soft_wrap=True)
    assert drawn.get() == Text(printable(text)).plain.expandtabs() + "\n" or "\t" in text


TABLES = {
    "listing": lambda: plugin_tables.listing(odd_plugins()),
    "details": lambda: plugin_tables.details(odd_plugins(), "wrong"),
    "what is wrong": lambda: plugin_tables.details(odd_plugins(), "sad"),
    "checks": lambda: check_tables(odd_checks()),
    "a run that failed": lambda: [summary([Outcome(clip=Path(HOSTILE), folder=Path(), cam="30", error=HOSTILE)])],
    "a run": lambda: [summary([Outcome(clip=Path("a"), folder=Path(), cam=HOSTILE, files={HOSTILE: Path(HOSTILE)})])],
}


def odd_plugins() -> Plugins:
    offer = offer_of(
        "trajectory", wrong.Rightward, summary=HOSTILE, license=HOSTILE, usage_terms=HOSTILE, requires=(HOSTILE,)
    )
    source = Source(plugin="sad", module="", distribution=HOSTILE, version=HOSTILE)
    return Plugins(offers=(offer,), problems=(Problem(source=source, error=HOSTILE, next_step=HOSTILE),))


def odd_checks() -> Checks:
    found = odd_plugins()
    return Checks(
        checks=(Check(offer=found.offers[0], report=None, unavailable_reason=HOSTILE),), problems=found.problems
    )


@pytest.mark.parametrize("name", TABLES)
def test_tables_show_foreign_text_as_it_is_written(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "2000")
    show(*TABLES[name]())
    out, _ = capsys.readouterr()
    assert SHOWN in out
    assert not set("\x1b\x07\u202e\r") & set(out)


def test_bars_lines_and_warnings_show_foreign_text_as_it_is_written(capsys):
    reporter = ConsoleReporter()
    with reporter.stage(HOSTILE) as progress:
        progress(1, 1)
    reporter.note(HOSTILE)
    reporter.warn(HOSTILE)
    _, err = capsys.readouterr()
    assert err.count(SHOWN) == 3
    assert "\x1b" not in err


def test_a_bar_shows_foreign_text_as_it_is_written():
    drawn = io.StringIO()
    console = make_console(err=True, width=200, force_terminal=True)
    console.file = drawn
    with ConsoleReporter(console=console).stage(HOSTILE) as progress:
        progress(1, 1)
    assert SHOWN in drawn.getvalue()
    assert "\x1b]52" not in drawn.getvalue()


def test_a_clip_with_a_hostile_name_is_run_and_named(ex4d, small_clip, tmp_path):
    name = HOSTILE.replace("/", "%").replace("\udcff", "") + ".mp4"
    shutil.copy(small_clip.video, tmp_path / name)
    for command in ("recon", "preview"):
        code, out, err = ex4d(command, name, "--depth-file", small_clip.depth, "--cam", "10", "-o", "out")
        assert (code, "\x1b" in out + err) == (0, False), err
    shutil.copy(small_clip.video, tmp_path / f"broken {name}")
    (tmp_path / f"broken {name}").write_text("no video")
    code, out, err = ex4d("run", f"broken {name}", "--depth-file", small_clip.depth)
    assert (code, "\x1b" in out + err) == (2, False)
    assert r"\x1b]52;c;aGk=\x07[red]a[%x]:smile:[link=http:%%evil.example]\u202e\r.mp4" in err


@pytest.mark.parametrize("cam", ['"[/x].json"', '"[red]$\\\\frac$.json"', '"$a$[link=x].json"'])
def test_a_path_file_with_a_hostile_name_is_previewed(ex4d, small_clip, tmp_path, cam):
    assert ex4d("recon", small_clip.video, "--depth-file", small_clip.depth, "--cam", "10", "-o", "out")[0] == 0
    target = tmp_path / cam.strip('"')
    target.parent.mkdir(parents=True, exist_ok=True)
    assert ex4d("cam", "convert", "out/camera_10.npz", target)[0] == 0
    code, _, err = ex4d("preview", small_clip.video, "--depth-file", small_clip.depth, "--cam", cam)
    assert code == 0, err
    assert f"--cam {cam}: " in err


def test_help_shows_what_plugins_say_as_it_is_written(ex4d, monkeypatch):
    from ex4d_core.plugins.offers import CommandOffer
    from ex4d_core.provider import Command

    odd = CommandOffer(
        spec=Command(name="odd", summary="[/x] [red]sum\x1b[31m", app="a:b"),
        source=Source(plugin="p", module="", distribution="d", version="1"),
    )
    found = Plugins(offers=(), problems=(), commands=(odd,))
    monkeypatch.setattr("ex4d_core.plugins.discovery.find_plugins", lambda: found)
    code, out, _ = ex4d("--help")
    assert code == 0
    assert r"[/x] [red]sum\x1b[31m" in out


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("plugins", "list"), ("plugins", "list", "--json"), ("plugins",)]
)
def test_a_full_standard_output_is_one_sentence(tmp_path, arguments):
    with Path("/dev/full").open("w") as full:
        done = start(*arguments, home=tmp_path, stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr


def test_work_is_done_where_standard_error_is_full(small_clip, tmp_path):
    call = ("recon", small_clip.video, "--depth-file", small_clip.depth, "--cam", "10", "-o", "out", "--json")
    with Path("/dev/full").open("w") as full:
        done = start(*call, home=tmp_path, stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == 0
    assert (tmp_path / "out" / "color_10.mp4").exists()


def test_an_output_that_nobody_reads_ends_without_a_word(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = start("plugins", "list", home=tmp_path, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_closed_outputs_are_not_taken_for_files(tmp_path):
    """What is opened first would get the number of standard output, and with it what libraries print there."""
    code = """
import os
from ex4d_core import command_exit

def command():
    with open("data", "w"):
        os.write(1, b"hello")
    return 0

command_exit.run_process(command)
"""
    (tmp_path / "command.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", f"exec {sys.executable} command.py >&- 2>&-"], cwd=tmp_path, env=environment)
    assert (done.returncode, (tmp_path / "data").read_text()) == (0, "")


def test_any_locale_will_do(tmp_path):
    """Names with letters that the terminal's encoding does not have."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = start(
        "run", "é \u6771.mp4", "--cam", "30", "--backbone", "ä", home=tmp_path, env=ascii_only, stdout=subprocess.PIPE
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = start("plugins", "list", home=tmp_path, env=ascii_only, stdout=subprocess.PIPE)
    assert (done.returncode, "watertight" in done.stdout) == (0, True)
    done = start("plugins", "list", home=tmp_path, env={"PYTHONIOENCODING": "latin-1"}, stdout=subprocess.PIPE)
    assert (done.returncode, "watertight" in done.stdout) == (0, True)


@pytest.mark.parametrize("variable", ["NUMBA_NUM_THREADS=0", "MPLBACKEND=nothing"])
def test_a_variable_that_a_library_does_not_take_is_named(small_clip, tmp_path, variable):
    name, _, value = variable.partition("=")
    call = ("preview", small_clip.video, "--depth-file", small_clip.depth, "--renderer", "zbuffer", "--quiet")
    done = start(*call, home=tmp_path, env={name: value}, stdout=subprocess.PIPE)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert " cannot be imported (ValueError: " in done.stderr
    assert done.stderr.endswith(f"; check the environment variable {name}\n")


def test_an_error_is_one_message_of_bounded_length():
    assert one_message("no file a\nerror: b") == r"no file a\nerror: b"
    assert one_message("--cam: no move\n  horse\n  ^^^^^") == "--cam: no move\n  horse\n  ^^^^^"
    assert len(one_message("x" * 100_000)) < LONGEST_MESSAGE + 10
