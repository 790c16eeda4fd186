"""One process of the worker pool: how it receives items and returns their results."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import attrs

from ex4d_core.errors import Ex4dError, PluginFailed, tracing, unexpected
from ex4d_core.processes import end_with_parent, start_process

Item = TypeVar("Item")
Result = TypeVar("Result")

Make = Callable[[int], Callable[[Item], Result]]
"""Makes the function that processes items in a process, from the number of the process."""


@attrs.frozen(kw_only=True)
class Done(Generic[Item, Result]):
    """An item with its result or error."""

    item: Item
    result: Result | None = None
    error: str = ""
    """One sentence, or '' on success."""
    is_crash: bool = False
    """Whether its process died each time."""
    is_last: bool = False
    """Whether its process must not be used again, as after an unexpected error, which can spoil the state of a GPU."""


class LastResult(Exception):
    """Raised with the result of an item after which the process must not be used again."""

    def __init__(self, result: Any) -> None:
        super().__init__(result)
        self.result = result


def process_item(act: Callable[[Item], Result], item: Item) -> Done[Item, Result]:
    """Return the result of an item, or its unexpected error.

    Raises:
        Ex4dError: of the function; it concerns all items.
    """
    try:
        return Done(item=item, result=act(item))
    except Ex4dError:
        raise
    except LastResult as last:
        return Done(item=item, result=last.result, is_last=True)
    except Exception as error:
        return Done(item=item, error=_sentence(error), is_last=True)


def start_worker(number: int) -> tuple[BaseProcess, Connection]:
    """Start a worker process and return it with the connection on which it expects `make`, then items."""
    return start_process(_serve, number, name=f"ex4d-{number}")


def _serve(connection: Connection, number: int) -> None:
    """Receive `make`, then process items until the connection is closed or an item fails."""
    end_with_parent()
    try:
        act = connection.recv()(number)  # importing its modules can take long
        connection.send(None)
        healthy = True
        while healthy:
            done = process_item(act, connection.recv())
            connection.send(done)
            healthy = not done.is_last
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        is_ours = isinstance(error, Ex4dError)
        connection.send(error if is_ours else PluginFailed(f"a worker process cannot start: {_sentence(error)}"))


def _sentence(error: Exception) -> str:
    """Describe an unexpected error in one sentence; print its traceback if tracing."""
    if tracing():
        traceback.print_exception(error)
    return unexpected(error)
