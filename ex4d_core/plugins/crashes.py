"""Name the component that raised an unexpected error, and the line of its code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ex4d_core.command_exit import interrupt_behind
from ex4d_core.distributions import CORE_DISTRIBUTION, owners
from ex4d_core.errors import REPORT, ComponentCrashed, Ex4dError, of_the_machine, one_line, place_of, top_module


@contextmanager
def named_crash(component: object) -> Iterator[None]:
    """Turn unexpected errors of a component, or of its class, in the block into `ComponentCrashed`.

    Errors of ex4d, limits of the machine and requests to stop are raised unchanged.
    """
    try:
        yield
    except (Ex4dError, BrokenPipeError):  # the latter from progress bars: the program that reads them has ended
        raise
    except Exception as error:
        if of_the_machine(error) or interrupt_behind(error):
            raise
        cls = component if isinstance(component, type) else type(component)
        raise ComponentCrashed(_sentence(cls, error)) from error


def _sentence(cls: type, error: Exception) -> str:
    """Return owner of the component, last line of its code, and the error."""
    known = owners()
    module = cls.__module__.partition(".")[0]
    owner = known.get(module, cls.__qualname__)

    def owner_of(frame: FrameType) -> str:
        is_own = str(frame.f_globals.get("__name__", "")).partition(".")[0] == module
        return known.get(top_module(frame), owner if is_own else "")

    rows = [(owner_of(frame), frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [row for row in rows if row[0] == owner]
    if owner.startswith(CORE_DISTRIBUTION):  # such as a path of several moves, whose error is that of a move
        own = [row for row in rows if row[0] not in ("", owner)] or own
    report = f"; {REPORT}" if module in known else ""
    if own:
        owner, frame, line = own[-1]
        return f"in {owner}, {_inside(place_of(frame, line))}: {one_line(error)}{report}"
    file = "" if module in known else f", {Path(getattr(sys.modules[cls.__module__], '__file__', None) or '-').name}"
    return f"in {owner}{file}: {one_line(error)}{report}"


def _inside(place: str) -> str:
    """Return a place without the folder of the package."""
    return place.partition("/")[2] or place
