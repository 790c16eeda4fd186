"""Work in other threads, whose result or error is taken later."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
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
        self._result: Any = None
        self._error: BaseException | None = None
        # Only the thread holds the function, so that the values to write are freed once they are written.
        self._thread = threading.Thread(target=self._run, args=[work], name="ahead", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            with _short_turns():
                self._result = work()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Wait for the work; return its result, or raise its error."""
        self._thread.join()
        self.check()
        return self._result

    def check(self) -> None:
        """Raise the error of the work, if it has failed by now."""
        if self._error is not None:
            raise self._error


class Loading:
    """Loads components of a session ahead: in other threads, while another component computes.

    They wait until a component is loaded by the session itself, such as the depth estimator: both would compete.
    """

    def __init__(self) -> None:
        self._threads: dict[str, Ahead] = {}
        self._imports: dict[str, Callable[[], object]] = {}
        self._elsewhere: dict[str, Any] = {}
        self._started: list[threading.Event] = []
        self._turn = threading.Event()

    def start(self, role: str, make: Callable[[], Any], prepare: Callable[[Any], Any]) -> None:
        """Start to load a component with weights; `make` returns it, and `prepare` reads its weights."""

        def work() -> Any:
            try:
                component = make()
                if hasattr(component, "start"):
                    component.start()
            finally:
                started.set()
            self._turn.wait()
            return prepare(component)

        if role not in self._threads:
            self._started.append(started := threading.Event())
            self._threads[role] = Ahead(work)

    def import_now(self, load: Callable[[], object]) -> None:
        """Import a component that is used next, while its input is read; others, which have processes, start before."""
        _import_in_thread([*(started.wait for started in self._started), load])

    def import_later(self, role: str, load: Callable[[], object]) -> None:
        """Import a component without weights when it is the turn; only its libraries take time."""
        self._imports[role] = load

    def put(self, role: str, component: Any) -> None:
        """Keep a component that is loaded in another process; what waits for a turn need not wait for it."""
        self._elsewhere[role] = component
        self.continue_now()

    def take(self, role: str) -> Any:
        """Return the component that was loaded ahead; None if none was, or if that failed."""
        self._imports.pop(role, None)
        if role in self._elsewhere:
            return self._elsewhere.pop(role)
        loading = self._threads.pop(role, None)
        if loading is None:
            return None
        self._turn.set()
        with suppress(Exception):  # raised again where it is loaded anew
            return loading.result()
        return None

    def continue_now(self) -> None:
        """Let the threads continue: the session has loaded a component."""
        self._turn.set()
        imports, self._imports = self._imports, {}
        if imports:
            _import_in_thread(imports.values())


def _import_in_thread(imports: Iterable[Callable[[], object]]) -> None:
    # Not a daemon: a process that ends while another thread initializes a library may crash.
    threading.Thread(target=_import_all, args=[imports], name="import ahead").start()


def _import_all(imports: Iterable[Callable[[], object]]) -> None:
    with _short_turns():
        for load in imports:
            with suppress(Exception):  # raised again where the component is used
                load()


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
