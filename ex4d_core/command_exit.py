"""End each command of `ex4d` with one sentence and a meaningful exit code.

| exit code | cause |
|---|---|
| 0 | success |
| 1 | some of several clips failed, a check failed, or a bug |
| 2 | an invalid input or option, an output that cannot be written, or a limit of the machine |
| 129, 130, 141, 143 | SIGHUP, Ctrl-C, closed output pipe, SIGTERM |
"""

from __future__ import annotations

import _thread
import atexit
import gc
import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from ex4d_core.errors import ComponentCrashed, Ex4dError, of_the_machine, tracing, unexpected
from ex4d_core.terminal import OutputUnread, flush_output, say, say_error, use_any_locale

FAULT = 1
"""Exit code of bugs."""

REFUSED = 2
"""Exit code of invalid inputs and options, outputs that cannot be written, and limits of the machine."""

INTERRUPTED = 130
"""Exit code of Ctrl-C: 128 plus the number of the signal, as for other signals."""

UNREAD = 141
"""Exit code if the program that reads the output has ended, as `head` does: that of SIGPIPE."""

LONGEST_IMPORT = 3.0
"""Maximum number of seconds by which a signal is delayed during an import."""

_STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal stops the program; handled like Ctrl-C."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def run_process(command: Callable[[], int]) -> NoReturn:
    """Run the command of this process and exit with its exit code.

    After the command has ended, the first signal is ignored and the second one ends the process immediately.
    """
    _open_standard_streams()
    code: list[int] = []
    atexit.register(_leave_threads, code)
    atexit.register(_ignore_last_interrupt)  # registered among the first, called among the last
    atexit.register(gc.freeze)  # the last collections search all modules, for as long as a third of the imports took
    threading.excepthook = _report_thread_failure
    warnings.showwarning = _print_warning
    sys.unraisablehook = _deliver_again
    code.append(_exit_code(command, _Handlers()))
    sys.exit(code[0])


def exit_code(command: Callable[[], int]) -> int:
    """Run a command within a larger program, and return its exit code."""
    handlers, before = _Handlers(), (sys.unraisablehook, warnings.showwarning)
    sys.unraisablehook, warnings.showwarning = _deliver_again, _print_warning
    try:
        return _exit_code(command, handlers)
    finally:
        sys.unraisablehook, warnings.showwarning = before
        handlers.restore()


@contextmanager
def no_stop_is_lost() -> Iterator[Callable[[], None]]:
    """Raise a Ctrl-C or other stop at the end of the block, if a library swallowed it inside or failed because of it.

    Yields:
        A function that raises it earlier.
    """
    caught: list[BaseException] = []

    def check() -> None:
        if caught:
            raise caught[0]

    def recorded(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], Any]:
        def handle(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except BaseException as error:
                caught.append(error)
                raise

        return handle

    before = {number: signal.getsignal(number) for number in _STOPPING} if _in_main_thread() else {}
    try:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, recorded(handler))
        yield check
    except Exception as error:  # of a library that was stopped half-way
        if caught:
            raise caught[0] from error
        raise
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
    check()


class _Handlers:
    """Handlers of the signals that stop a command.

    During an import a signal is delayed: it is sent again until the import has ended. A second signal is not delayed.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._settled: int | None = None
        self._delayed: int | None = None
        self._deadline = 0.0
        self._is_resent = False
        self._before: dict[int, Any] = {}
        for number in _STOPPING if _in_main_thread() else ():
            # Ignored signals stay ignored: SIGHUP under nohup, SIGINT in the background of a script.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)

    def settle(self, code: int) -> None:
        """Set the exit code; signals no longer stop the command."""
        self._settled = code

    def check(self) -> None:
        """Raise a delayed stop."""
        if self._delayed is not None:
            raise Stopped(self._delayed)

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process and number != signal.SIGINT:  # in a fork of this process
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        resent, self._is_resent = self._is_resent, False
        if self._settled is not None:
            code = self._settled
            signal.signal(number, lambda *_: os._exit(code))
        elif _is_delivering(frame):  # exceptions raised there are lost
            _thread.start_new_thread(self._resend, (number,))
        elif _is_importing(frame) and (self._delayed is None or (resent and time.monotonic() < self._deadline)):
            if self._delayed is None:
                self._deadline = time.monotonic() + LONGEST_IMPORT
            self._delayed = number
            _thread.start_new_thread(self._resend, (number,))
        else:
            self._delayed = None
            raise Stopped(number)

    def _resend(self, number: int) -> None:
        time.sleep(0.005)
        self._is_resent = True
        _send(number)


def _is_delivering(frame: FrameType | None) -> bool:
    """Return whether `_deliver_again` is running."""
    while frame is not None and frame.f_code is not _deliver_again.__code__:
        frame = frame.f_back
    return frame is not None


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether the command is importing a module.

    Libraries treat an interrupted import as a missing module and continue without it; an interrupted C++ initialization
    aborts the process.
    """
    while frame is not None and frame.f_code is not _exit_code.__code__:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _send(number: int) -> None:
    """Send a signal to the main thread, also while it waits."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


def _send_later(number: int) -> None:
    """Send a signal after a moment: one that arrives just before the main thread waits does not end the wait."""
    time.sleep(0.05)
    _send(number)


def _exit_code(command: Callable[[], int], handlers: _Handlers) -> int:
    use_any_locale()
    try:
        try:
            code = command()
            flush_output()
            handlers.check()
            handlers.settle(code)
        except BaseException as error:
            handlers.settle(INTERRUPTED)
            code = _error_exit_code(error)
            handlers.settle(code)
    except KeyboardInterrupt as error:  # arrived just before the exit code was set
        code = _error_exit_code(error)
    with suppress(OSError):
        flush_output()
    return code


def _error_exit_code(error: BaseException) -> int:
    """Print the error that ended a command, and return the exit code."""
    if isinstance(error, SystemExit):
        return _system_exit_code(error)
    if isinstance(error, OutputUnread) or (isinstance(error, BrokenPipeError) and _output_is_unread()):
        return UNREAD
    error = interrupt_behind(error) or error
    if isinstance(error, KeyboardInterrupt):
        return _stop_exit_code(error)
    if tracing():
        traceback.print_exception(error)
    if isinstance(error, Ex4dError):
        code, sentence = FAULT if isinstance(error, ComponentCrashed) else REFUSED, str(error)
    else:
        if isinstance(error, MemoryError):  # free memory for the message
            traceback.clear_frames(error.__traceback__)
        code, sentence = REFUSED if of_the_machine(error) else FAULT, unexpected(error)
    say_error(sentence)
    return code


def _system_exit_code(stop: SystemExit) -> int:
    """Return the exit code of `sys.exit()`, which commands of plugins may call."""
    if isinstance(stop.__context__, BrokenPipeError):  # raised by rich
        return UNREAD
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    say(stop.code, err=True)
    return FAULT


def _stop_exit_code(stop: KeyboardInterrupt) -> int:
    number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
    if number == signal.SIGINT:
        say("interrupted; run the same command again to resume", err=True)
    else:
        say(f"{stop}; run the same command again to resume", err=True)
    return 128 + number


def interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interrupt that a library has converted to this error, or after which it was raised, if any.

    The latter is an error of clean-up, such as a file that could not be written either.
    """
    seen: set[int] = set()
    behind: list[BaseException | None] = [error]
    while behind:
        cause = behind.pop()
        if isinstance(cause, KeyboardInterrupt):
            return cause
        if cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            behind += [cause.__context__, cause.__cause__]
    return None


def _output_is_unread() -> bool:
    """Return whether stdout is a closed pipe; errors of other pipes are real errors."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    return any(events & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, events in poll.poll(0))


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _open_standard_streams() -> None:
    """Open closed descriptors 0 to 2, so that files opened later do not get their numbers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _ignore_last_interrupt() -> None:
    """Ignore Ctrl-C while the interpreter shuts down and has no handlers."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave_threads(code: list[int]) -> None:
    """End the process at once if threads still work: the interpreter would stop them inside of libraries and crash."""
    if code and any(thread.daemon for thread in threading.enumerate()):
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code[0])


def _report_thread_failure(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is None or isinstance(arguments.exc_value, SystemExit):
        return
    if tracing():
        traceback.print_exception(arguments.exc_value)
    say_error(f"in another thread: {unexpected(arguments.exc_value)}")


def _print_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print the first line of a warning of a library, or all lines if tracing."""
    first, *more = str(message).strip().splitlines() or [""]
    say(f"warning: {first}" if not (tracing() and more) else f"warning: {message}", err=True)


def _deliver_again(lost: sys.UnraisableHookArgs) -> None:
    """Raise a stop again that arrived in code that cannot raise exceptions, such as `__del__`."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        _thread.start_new_thread(_send_later, (getattr(lost.exc_value, "number", signal.SIGINT),))
    else:
        sys.__unraisablehook__(lost)
