"""What plugins print, kept out of output that a machine reads."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO


class Captured:
    """How what was printed begins."""

    text = ""


@contextlib.contextmanager
def redirect_stdout_to_stderr() -> Iterator[Captured]:
    """Send to stderr what is printed meanwhile, other programs and C included; remember how print() begins.

    Standard output is one for all threads, and so is this: it ends when the last that is in it leaves. What is printed
    is remembered for the one that came last.
    """
    heard = Captured()
    try:
        _DIVERSION.begin(heard)
        yield heard
    finally:
        _DIVERSION.end(heard)


class _Diversion(io.TextIOBase):
    """Stands in for standard output from when the first begins until the last has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._inside: list[Captured] = []
        self._restoring = contextlib.ExitStack()

    def begin(self, heard: Captured) -> None:
        with self._lock:
            if not self._inside:
                self._restoring.enter_context(_descriptor_to_stderr())
                self._restoring.enter_context(contextlib.redirect_stdout(self))
            self._inside.append(heard)

    def end(self, heard: Captured) -> None:
        with self._lock:
            if heard in self._inside:  # Ctrl-C may have come before
                self._inside.remove(heard)
            if not self._inside:
                self._restoring.close()

    def write(self, text: str) -> int:
        """Pass a text on."""
        for last in self._inside[-1:]:  # who kept this stream may print when nobody is in it any more
            last.text = (last.text + text)[:1000]
        with contextlib.suppress(OSError, ValueError):  # a component does not fail because nobody can read its output
            if sys.stderr is not None:
                sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what stderr has kept."""
        with contextlib.suppress(OSError, ValueError):
            _flush(sys.stderr)


_DIVERSION = _Diversion()


@contextlib.contextmanager
def _descriptor_to_stderr() -> Iterator[None]:
    try:
        os.fstat(2)
        kept = os.dup(1)
    except OSError:  # nobody listens
        yield
        return
    try:
        _flush(sys.stdout)
        os.dup2(2, 1)
        yield
    finally:
        try:
            _flush(sys.__stdout__)  # who knows this name gets around sys.stdout
        finally:  # whatever came of that, Ctrl-C too
            os.dup2(kept, 1)
            os.close(kept)


def _flush(stream: TextIO | None) -> None:
    if stream is not None and not stream.closed:
        stream.flush()
