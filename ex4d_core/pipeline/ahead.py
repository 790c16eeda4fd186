"""Work in another thread, whose result or error is taken later."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

TURN = 0.0005
"""Seconds that a thread of Python runs before another one may, in place of 5 ms.

PyTorch gives up its turn in every operation; where thousands of small ones are launched, each would wait for a thread
that imports modules.
"""

_turns = threading.Lock()
_running, _before = 0, sys.getswitchinterval()


class Ahead:
    """Calls a function in a thread that does not keep the process alive."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with _short_turns():
                self._result = self._work()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Wait for the work; return its result, or raise its error."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let threads take turns of `TURN` while at least one block runs."""
    global _running, _before
    with _turns:
        if not _running:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(min(_before, TURN))
        _running += 1
    try:
        yield
    finally:
        with _turns:
            _running -= 1
            if not _running:
                sys.setswitchinterval(_before)
