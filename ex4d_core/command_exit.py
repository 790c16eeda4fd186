"""End each command of `ex4d` with one sentence and a meaningful exit code.

| exit code | what happened |
|---|---|
| 0 | all went well |
| 1 | some of several clips failed, a check failed, or a program has a bug |
| 2 | an input, an option, an output or the machine |
| 129, 130, 141, 143 | SIGHUP, Ctrl-C, the reader of the output has ended, SIGTERM |
"""

from __future__ import annotations

import _thread
import atexit
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

from ex4d_core.errors import Ex4dError, of_the_machine, tracing, unexpected
from ex4d_core.terminal import OutputUnread, flush_output, say, say_error, use_any_locale

FAULT = 1
"""Exit code where a program has a bug."""

REFUSED = 2
"""Exit code where an input, an option, an output or the machine is the reason."""

INTERRUPTED = 130
"""Exit code of Ctrl-C; of other signals it is 128 and their number too."""

UNREAD = 141
"""Exit code where the program that reads the output has ended, as `head` does: that of SIGPIPE."""

LONGEST_IMPORT = 3.0
"""Seconds that a signal waits for the import of a module to end, at most."""

_STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end; cleanup after Ctrl-C covers it too."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def run_process(command: Callable[[], int]) -> NoReturn:
    """Run the command that this process was started for and end the process with its exit code.

    Once the exit code is settled, the first signal has no effect and the second ends the process at once.
    """
    _open_standard_streams()
    atexit.register(_ignore_last_interrupt)  # the first to be registered is the last to be called
    threading.excepthook = _say_thread_failed
    warnings.showwarning = _say_warning
    sys.unraisablehook = _deliver_again
    sys.exit(_exit_code(command, _Handlers()))


def exit_code(command: Callable[[], int]) -> int:
    """Run a command in a process that has other things to do too, and return the exit code."""
    handlers, before = _Handlers(), (sys.unraisablehook, warnings.showwarning)
    sys.unraisablehook, warnings.showwarning = _deliver_again, _say_warning
    try:
        return _exit_code(command, handlers)
    finally:
        sys.unraisablehook, warnings.showwarning = before
        handlers.restore()


@contextmanager
def no_stop_is_lost() -> Iterator[Callable[[], None]]:
    """Raise again, at the end of the block, a Ctrl-C or other stop that was swallowed inside.

    Yields:
        A function that raises it before the end.
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
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
    check()


class _Handlers:
    """The handlers of the signals that stop a command.

    A signal waits while a module is imported, and is sent again until that has ended; a second one does not wait.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._settled: int | None = None
        self._put_off: int | None = None
        self._deadline = 0.0
        self._is_sent_again = False
        self._before: dict[int, Any] = {}
        for number in _STOPPING if _in_main_thread() else ():
            # Ignored signals stay ignored: SIGHUP under nohup, SIGINT in the background of a script.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)

    def settle(self, code: int) -> None:
        """Let signals no longer stop anything: the exit code is known."""
        self._settled = code

    def check(self) -> None:
        """Raise the stop that waits for an import to end."""
        if self._put_off is not None:
            raise Stopped(self._put_off)

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process and number != signal.SIGINT:  # a copy of this process that a library made
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        sent_again, self._is_sent_again = self._is_sent_again, False
        if self._settled is not None:
            code = self._settled
            signal.signal(number, lambda *_: os._exit(code))
        elif _is_delivering(frame):  # what is raised there is lost
            _thread.start_new_thread(self._send_again, (number,))
        elif _is_importing(frame) and (self._put_off is None or (sent_again and time.monotonic() < self._deadline)):
            if self._put_off is None:
                self._deadline = time.monotonic() + LONGEST_IMPORT
            self._put_off = number
            _thread.start_new_thread(self._send_again, (number,))
        else:
            self._put_off = None
            raise Stopped(number)

    def _send_again(self, number: int) -> None:
        time.sleep(0.005)
        self._is_sent_again = True
        _send(number)


def _is_delivering(frame: FrameType | None) -> bool:
    """Return whether `_deliver_again` is at work at this moment."""
    while frame is not None and frame.f_code is not _deliver_again.__code__:
        frame = frame.f_back
    return frame is not None


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether the command imports a module at this moment.

    Libraries take an import that was interrupted for one that is not possible, and continue without it; one that is
    interrupted in C++ ends the process by an abort.
    """
    while frame is not None and frame.f_code is not _exit_code.__code__:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _send(number: int) -> None:
    """Send a signal to the main thread, which may wait for something."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


def _send_later(number: int) -> None:
    """Send a signal once the main thread has gone on: one that comes right before it waits does not end the wait."""
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
            code = _told(error)
            handlers.settle(code)
    except KeyboardInterrupt as error:  # it came in the moment before it had no effect any more
        code = _told(error)
    with suppress(OSError):
        flush_output()
    return code


def _told(error: BaseException) -> int:
    """Print a sentence on what ended a command, and return the exit code."""
    if isinstance(error, SystemExit):
        return _told_exit(error)
    if isinstance(error, OutputUnread) or (isinstance(error, BrokenPipeError) and _output_is_unread()):
        return UNREAD
    error = interrupt_behind(error) or error
    if isinstance(error, KeyboardInterrupt):
        return _told_stop(error)
    if tracing():
        traceback.print_exception(error)
    if isinstance(error, Ex4dError):
        code, sentence = REFUSED, str(error)
    else:
        if isinstance(error, MemoryError):  # free that of the frames, to have some for the sentence
            traceback.clear_frames(error.__traceback__)
        code, sentence = REFUSED if of_the_machine(error) else FAULT, unexpected(error)
    say_error(sentence)
    return code


def _told_exit(stop: SystemExit) -> int:
    """Return the exit code of `sys.exit()`, which commands of plugins may call."""
    if isinstance(stop.__context__, BrokenPipeError):  # rich makes one of the other
        return UNREAD
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    say(stop.code, err=True)
    return FAULT


def _told_stop(stop: KeyboardInterrupt) -> int:
    number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
    if number == signal.SIGINT:
        say("interrupted; run the same command again to resume", err=True)
    else:
        say(f"{stop}; run the same command again to resume", err=True)
    return 128 + number


def interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interrupt that a library has turned into this error, if there is one."""
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        if isinstance(behind, KeyboardInterrupt):
            return behind
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__
    return None


def _output_is_unread() -> bool:
    """Return whether nobody reads standard output: other pipes break too, and that is an error."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    return any(events & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, events in poll.poll(0))


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _open_standard_streams() -> None:
    """Open descriptors 0 to 2 where they are closed, lest a file that is opened later be taken for one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _ignore_last_interrupt() -> None:
    """Let Ctrl-C have no effect on an interpreter that is being taken apart, which has no handlers any more."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _say_thread_failed(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is None or isinstance(arguments.exc_value, SystemExit):
        return
    if tracing():
        traceback.print_exception(arguments.exc_value)
    say_error(f"in another thread: {unexpected(arguments.exc_value)}")


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print the first line of a library's warning; the others are for its developers."""
    first, *more = str(message).strip().splitlines() or [""]
    say(f"warning: {first}" if not (tracing() and more) else f"warning: {message}", err=True)


def _deliver_again(lost: sys.UnraisableHookArgs) -> None:
    """Raise a stop again that came while Python called something that can raise nothing, such as `__del__`."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        _thread.start_new_thread(_send_later, (getattr(lost.exc_value, "number", signal.SIGINT),))
    else:
        sys.__unraisablehook__(lost)
