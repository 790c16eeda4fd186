"""Work in another thread, whose result or error is taken later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


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
            self._result = self._work()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Wait for the work; return its result, or raise its error."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result
