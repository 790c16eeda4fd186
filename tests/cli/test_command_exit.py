"""How commands end: a sentence and an exit code for whatever stops them, and nothing of the program's inside."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import typer

from ex4d_core.command_exit import LONGEST_IMPORT, Stopped, no_stop_is_lost
from ex4d_core.errors import InvalidInput, unexpected
from ex4d_core.testing.runner import run_contract
from tests.helpers import wrong_components as wrong
from tests.testing.test_contract_kit import offer_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

GOES_ON = "interrupted; run the same command again to resume\n"
REPORT = "rerun with EX4D_TRACE=1 and report the traceback\n"


class OutOfMemoryError(RuntimeError):
    """As torch has one for GPUs."""


class Stop(BaseException):
    """What nobody expects to be raised."""


def converted(first: BaseException, second: BaseException) -> BaseException:
    """Return an error that a library has made of another."""
    second.__context__ = first
    return second


ENDS = {
    "a user's error": (InvalidInput("a.mp4 is not a video"), 2, "error: a.mp4 is not a video\n"),
    "Ctrl-C": (KeyboardInterrupt(), 130, GOES_ON),
    "a question answered with no": (typer.Abort(), 130, GOES_ON),
    "SIGTERM": (Stopped(signal.SIGTERM), 143, "interrupted by SIGTERM; run the same command again to resume\n"),
    "SIGHUP": (Stopped(signal.SIGHUP), 129, "interrupted by SIGHUP; run the same command again to resume\n"),
    "Ctrl-C that a library made an error of": (converted(KeyboardInterrupt(), RuntimeError("?")), 130, GOES_ON),
    "memory": (
        MemoryError("Unable to allocate 6 GiB"),
        2,
        "error: out of memory (Unable to allocate 6 GiB); use fewer",
    ),
    "memory of a GPU": (OutOfMemoryError("CUDA"), 2, "error: out of memory (CUDA); use fewer or smaller frames"),
    "memory of torch": (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 2, "error: out of memory (Def"),
    "threads": (RuntimeError("can't start new thread"), 2, "error: the system allows no more threads or processes"),
    "a full disk": (OSError(errno.ENOSPC, "No space left", "a"), 2, "error: the system reported an error: a: No space"),
    "a library that is not there": (ModuleNotFoundError("No x", name="x"), 2, "error: x cannot be imported (Module"),
    "an exit": (SystemExit(5), 5, ""),
    "an exit with words": (SystemExit("no license"), 1, "no license\n"),
    "an exit without any": (SystemExit(), 0, ""),
    "a bug": (KeyError("horse"), 1, "error: unexpected KeyError: 'horse' at ex4d_core/cli/commands.py:"),
    "a file that a program misses": (
        FileNotFoundError(2, "No such file", "a"),
        1,
        "error: unexpected FileNotFoundError",
    ),
    "an error of no kind": (Stop("now"), 1, "error: unexpected Stop: now at ex4d_core/cli/commands.py:"),
    "a bug without a word": (AssertionError(), 1, "error: unexpected AssertionError at ex4d_core/cli/commands.py:"),
    "a bug with an escape": (
        KeyError("\x1b[31m"),
        1,
        "error: unexpected KeyError: '\\x1b[31m' at ex4d_core/cli/commands.py:",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_whatever_stops_a_command_is_one_sentence_and_an_exit_code_of_its_kind(ex4d, monkeypatch, name):
    error, code, says = ENDS[name]

    def fail():
        raise error

    monkeypatch.setattr("ex4d_core.plugins.discovery.find_plugins", fail)
    exit_code, out, err = ex4d("plugins", "list")
    assert (exit_code, out) == (code, "")
    assert err.startswith(says)
    assert err.count("\n") == bool(says)
    assert (" a bug in ex4d-core " in err and err.endswith(REPORT)) == ("unexpected" in says)


COMMANDS = {
    "preview": ("ex4d_core.runs.batch.run_folders", ["preview", "clip.mp4", "--depth-file", "d.npy"]),
    "cam convert": ("ex4d_core.cameras.files.convert", ["cam", "convert", "a.json", "b.json"]),
    "generate": (
        "ex4d_core.runs.generate.generate_from_files",
        ["generate", "--color-video", "c", "--mask-video", "m", "--output-video", "o"],
    ),
    "run": ("ex4d_core.runs.batch.find_clips", ["run", "clip.mp4"]),
    "recon": ("ex4d_core.runs.batch.run_batch", ["recon", "clip.mp4", "--depth-file", "d.npy"]),
    "depth": ("ex4d_core.runs.batch.find_clips", ["depth", "clip.mp4"]),
    "masks": ("ex4d_core.runs.batch.find_clips", ["masks", "clip.mp4"]),
    "fetch": ("ex4d_core.plugins.weights.plan_for", ["fetch", "wan"]),
    "plugins show": ("ex4d_core.cli.tables.details", ["plugins", "show", "orbit"]),
    "plugins check": ("ex4d_core.cli.plugin_check.check_plugins", ["plugins", "check", "orbit"]),
    "plugins new": ("ex4d_core.plugins.new.new_plugin", ["plugins", "new", "mine", "--role", "depth"]),
    "doctor": ("ex4d_core.cli.doctor.examine", ["doctor"]),
    "a word that is no command": ("ex4d_core.plugins.discovery.find_plugins", ["fly"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_the_same_net(ex4d, monkeypatch, name):
    place, arguments = COMMANDS[name]

    def fail(*_, **__):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(place, fail)
    code, out, err = ex4d(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: unexpected ZeroDivisionError: of all things at ex4d_core/cli/")


def test_a_bug_is_that_of_the_innermost_program_that_is_not_a_library(tmp_path, monkeypatch):
    (tmp_path / "ex4d_test_bug.py").write_text("def fail():\n    import json\n\n    json.loads(3)\n")
    info = tmp_path / "ex4d_test_bug-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ex4d-test-bug\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[ex4d]\nmine = ex4d_test_bug\n")
    monkeypatch.syspath_prepend(tmp_path)
    from ex4d_test_bug import fail

    with pytest.raises(TypeError) as caught:
        fail()
    assert unexpected(caught.value).startswith("unexpected TypeError: the JSON object must be ")
    assert " at ex4d_test_bug.py:4: a bug in mine (ex4d-test-bug 1.5); rerun with " in unexpected(caught.value)


@pytest.mark.parametrize(("value", "traced"), [("1", True), ("yes", True), ("0", False), ("", False), ("off", False)])
def test_a_traceback_is_shown_where_it_is_asked_for_with_the_same_exit_code(ex4d, monkeypatch, value, traced):
    monkeypatch.setenv("EX4D_TRACE", value)
    code, _, err = ex4d("plugins", "show", "nothing-has-this-name")
    assert (code, "Traceback" in err) == (2, traced)
    assert err.splitlines()[-1].startswith("error: unknown component or plugin 'nothing-has-this-name'")


def start(code: str, *, home: Path, **options) -> subprocess.Popen:
    """Start a process that runs a function `command` of some code as `ex4d` runs its commands."""
    head = "import os, signal, sys, time\nfrom ex4d_core import command_exit\n"
    (home / "command.py").write_text(f"{head}{textwrap.dedent(code)}\ncommand_exit.run_process(command)\n")
    return subprocess.Popen(
        [sys.executable, "command.py"],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})},
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(code: str, *, home: Path, **options) -> tuple[int, str, str]:
    """Return the exit code and output of such a process."""
    with start(code, home=home, **options) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_removes_temporary_folders_and_ends_with_its_number(tmp_path, number):
    code = """
        from pathlib import Path
        from ex4d_core.files import temporary_folder

        def command():
            with temporary_folder(Path("out")):
                print("here", flush=True)
                time.sleep(60)
    """
    with start(code, home=tmp_path) as process:
        assert process.stdout.readline() == "here\n"
        assert any((tmp_path / "out").iterdir())
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert (err.startswith("interrupted"), err.count("\n")) == (True, 1)
    assert not any((tmp_path / "out").iterdir())


def test_what_is_to_be_ignored_stays_ignored(tmp_path):
    """As SIGHUP under nohup."""
    code = """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def command():
            os.kill(os.getpid(), signal.SIGHUP)
            return 0
    """
    assert run(code, home=tmp_path) == (0, "", "")


LOST = {
    "in a finalizer": """
        class Left:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)

        def command():
            Left()
            time.sleep(60)
    """,
    "in an import": """
        def command():
            try:
                import careless
            except BaseException:
                pass
            time.sleep(60)
    """,
    "in a block that must not lose it": """
        def command():
            with command_exit.no_stop_is_lost():
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                except BaseException:
                    pass
            time.sleep(60)
    """,
    "in a block that fails because of it": """
        def command():
            with command_exit.no_stop_is_lost():
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                except BaseException:
                    raise KeyError("left half-way") from None
            time.sleep(60)
    """,
}


@pytest.mark.parametrize("name", LOST)
def test_ctrl_c_is_not_lost(tmp_path, name):
    (tmp_path / "careless.py").write_text(
        "import os\nos.kill(os.getpid(), 2)\nfor _ in range(1000): pass\nprint('whole')"
    )
    code, out, err = run(LOST[name], home=tmp_path)
    assert (code, err) == (130, GOES_ON)
    assert out == ("whole\n" if "import careless" in LOST[name] else "")


def test_a_stop_in_the_last_import_of_a_command_is_a_stop(tmp_path):
    (tmp_path / "careless.py").write_text("import os\nos.kill(os.getpid(), 2)\n")
    assert run("def command():\n    import careless\n    return 0\n", home=tmp_path) == (130, "", GOES_ON)


def test_a_second_ctrl_c_does_not_wait_for_an_import(tmp_path):
    endless = "import time\nprint('here', flush=True)\nwhile True: time.sleep(0.01)\n"
    (tmp_path / "endless.py").write_text(endless)
    with start("def command():\n    import endless\n", home=tmp_path) as process:
        assert process.stdout.readline() == "here\n"
        began = time.monotonic()
        while process.poll() is None and time.monotonic() < began + 60:
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.removeprefix(GOES_ON)) == (130, "")
    assert time.monotonic() - began < LONGEST_IMPORT


LAST_MOMENTS = {
    "while others clean up": "atexit.register(os.kill, os.getpid(), signal.SIGINT)",
    "while the interpreter is taken apart": """
class Left:
    def __del__(self, kill=os.kill, process=os.getpid()):
        kill(process, 2)

sys.left = Left()
""",
}


@pytest.mark.parametrize("name", LAST_MOMENTS)
@pytest.mark.parametrize("code", [0, 2])
def test_ctrl_c_in_the_last_moments_changes_nothing(tmp_path, name, code):
    (tmp_path / "last.py").write_text(f"import atexit, os, signal, sys\n{LAST_MOMENTS[name]}\n")
    body = f"""
        def command():
            import last
            return {code}
    """
    assert run(body, home=tmp_path) == (code, "", "")


def test_an_error_in_another_thread_is_one_line(tmp_path):
    code = """
        from threading import Thread

        def command():
            thread = Thread(target=lambda: {}["horse"])
            thread.start()
            thread.join()
            return 0
    """
    says = f"error: in another thread: unexpected KeyError: 'horse'; {REPORT}"
    assert run(code, home=tmp_path) == (0, "", says)


def test_a_copy_of_the_process_ends_by_the_signal_that_is_sent_to_it(tmp_path):
    """Libraries fork and end their processes by SIGTERM, which is nothing to be told."""
    code = """
        def command():
            child = os.fork()
            if not child:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(60)
            return os.waitpid(child, 0)[1]
    """
    assert run(code, home=tmp_path) == (signal.SIGTERM, "", "")


def test_ex4d_ends_by_signals_at_any_moment(tmp_path):
    """A few rounds of what `plugins check` was wrong at; it runs pytest, which takes Ctrl-C for itself."""
    moments = random.Random(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            [sys.executable, "-m", "typer_cli", "plugins", "check"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            time.sleep(moments.uniform(1.5, 4))
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (128 + number, ""), err
        assert err.splitlines()[-1].startswith("interrupted")
        assert "Traceback" not in err


class DeafToCtrlC(wrong.Rightward):
    """Asks for the end, and swallows it."""

    def path(self, num_frames, scene):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        except BaseException:
            pass
        return super().path(num_frames, scene)


class RaisesIt(wrong.Rightward):
    """Is stopped, and lets it be known."""

    def path(self, num_frames, scene):
        raise KeyboardInterrupt


@pytest.mark.parametrize("component", [DeafToCtrlC, RaisesIt])
def test_a_contract_ends_with_ctrl_c_whatever_takes_it(monkeypatch, component):
    monkeypatch.setattr(wrong, component.__name__, component, raising=False)
    with pytest.raises(KeyboardInterrupt):
        run_contract(offer_of("trajectory", component))


def test_handlers_are_as_they_were():
    before = signal.getsignal(signal.SIGINT)
    with no_stop_is_lost():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_threads_of_libraries_that_still_work_are_left_at_the_end():
    """The interpreter would stop them in the middle of C++, which ends the process by SIGABRT."""
    script = textwrap.dedent("""
        import threading, time
        from ex4d_core.command_exit import run_process

        def command():
            threading.Thread(target=time.sleep, args=[60], daemon=True).start()
            print("written", end="")
            return 3

        run_process(command)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (3, "written")
