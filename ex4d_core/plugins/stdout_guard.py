"""Redirection of stdout, so that output of plugins does not mix with results that programs read."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

_lock = threading.Lock()
_open_blocks = 0
_restore = contextlib.ExitStack()


class Captured(io.TextIOBase):
    """A stream that forwards to stderr and keeps the beginning of the text."""

    def __init__(self, replaced: TextIO | None) -> None:
        super().__init__()
        self.text = ""
        self.replaced = replaced
        """The stream in whose place it is, for messages that are not of a component."""

    def write(self, text: str) -> int:
        """Forward a text; a component does not fail because stderr is closed."""
        self.text = (self.text + text)[:1000]
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush stderr."""
        with contextlib.suppress(OSError, ValueError):
            _flush(sys.stderr)


@contextlib.contextmanager
def redirect_stdout_to_stderr() -> Iterator[Captured]:
    """Redirect stdout to stderr, including output of C libraries and child processes; yield what Python prints.

    Stdout belongs to the process: it is restored when the last open block of any thread ends.
    """
    global _open_blocks
    with _lock:
        captured = Captured(getattr(sys.stdout, "replaced", sys.stdout))
        if not _open_blocks:
            _restore.enter_context(_descriptor_to_stderr())
            _restore.callback(setattr, sys, "stdout", sys.stdout)
        _open_blocks += 1
        sys.stdout = captured
    try:
        yield captured
    finally:
        with _lock:
            _open_blocks -= 1
            if not _open_blocks:
                _restore.close()


@contextlib.contextmanager
def _descriptor_to_stderr() -> Iterator[None]:
    try:
        os.fstat(2)
        saved = os.dup(1)
    except OSError:  # stdout or stderr is closed
        yield
        return
    try:
        _flush(sys.stdout)
        os.dup2(2, 1)
        yield
    finally:
        try:
            _flush(sys.__stdout__)  # it may have been written to directly
        finally:
            os.dup2(saved, 1)
            os.close(saved)


def _flush(stream: TextIO | None) -> None:
    if stream is not None and not stream.closed:
        stream.flush()
