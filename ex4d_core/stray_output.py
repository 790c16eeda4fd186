"""What plugins print, kept out of output that a machine reads."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO


class Heard(io.TextIOBase):
    """Passes on to stderr what is printed, and remembers how it begins."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def write(self, text: str) -> int:
        """Pass a text on."""
        self.text = (self.text + text)[:1000]
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Pass on what stderr has kept."""
        sys.stderr.flush()


@contextlib.contextmanager
def stray_output() -> Iterator[Heard]:
    """Send to stderr what is printed meanwhile, other programs and C included; remember how print() begins."""
    with _descriptor_to_stderr(), contextlib.redirect_stdout(Heard()) as heard:
        yield heard


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
        _flush(sys.__stdout__)  # who knows this name gets around sys.stdout
        os.dup2(kept, 1)
        os.close(kept)


def _flush(stream: TextIO | None) -> None:
    if stream is not None and not stream.closed:
        stream.flush()
