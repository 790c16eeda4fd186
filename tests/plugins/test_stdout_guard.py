"""Stdout goes to stderr until the last block ends, from Python and from C."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from threading import Thread

from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr


def say(text):
    """Print as Python does and as C does."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    os.write(1, f"C {text}\n".encode())


def test_output_goes_to_stderr_until_the_last_is_done(capfd):
    """As in threads, where the first that begins may be the first that ends."""
    first, second = ExitStack(), ExitStack()
    first.enter_context(redirect_stdout_to_stderr())
    second.enter_context(redirect_stdout_to_stderr())
    first.close()
    say("hidden")
    second.close()
    say("shown")
    assert capfd.readouterr() == ("shown\nC shown\n", "hidden\nC hidden\n")


def test_many_threads_leave_it_as_it_was(capfd):
    before = sys.stdout

    def work():
        for _ in range(50):
            with redirect_stdout_to_stderr():
                pass

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stdout is before
    say("shown")
    assert capfd.readouterr() == ("shown\nC shown\n", "")


def test_the_innermost_block_captures_what_is_printed(capfd):
    with redirect_stdout_to_stderr() as outer:
        sys.stdout.write("to the outer")
        with redirect_stdout_to_stderr() as inner:
            sys.stdout.write("to the inner")
    assert (outer.text, inner.text) == ("to the outer", "to the inner")
    assert capfd.readouterr().out == ""


def test_a_stream_that_was_kept_can_be_written_to_later(capfd):
    with redirect_stdout_to_stderr():
        kept = sys.stdout
    kept.write("late\n")
    assert capfd.readouterr() == ("", "late\n")


def test_a_closed_stderr_does_not_stop_a_plugin_that_prints(monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as closed:
        closed.close()
        monkeypatch.setattr(sys, "stderr", closed)
        with redirect_stdout_to_stderr() as captured:
            print("hello", flush=True)  # noqa: T201
    os.close(reading)
    assert captured.text == "hello\n"
