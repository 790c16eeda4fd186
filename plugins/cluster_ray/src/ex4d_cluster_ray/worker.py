"""The actor of a Ray data set: it processes the items of its rows by a function that is made once."""

from __future__ import annotations

import os
from typing import Any

import numpy

from ex4d_core.errors import Ex4dError
from ex4d_core.jobs.worker_process import Make, process_item

Batch = dict[str, Any]

GROUP, DONE = "group", "done"
"""Columns of the rows that an actor receives, and of those that it returns."""


class Worker:
    """Processes the items of one group for each row."""

    def __init__(self, make: Make[Any, Any]) -> None:
        """Make the function.

        An error of ex4d is returned with the first row, since Ray would report it as the death of an actor.
        """
        self._stop: Ex4dError | None = None
        self._is_spent = False
        try:
            self._act = make(0)  # Ray has selected the GPU
        except Ex4dError as error:
            self._stop = error

    def __call__(self, batch: Batch) -> Batch:
        """Return a row for each item: a `Done`, or the error that stops all work."""
        if self._is_spent:
            os._exit(1)  # Ray starts another process, and repeats this row
        return {DONE: _objects([done for group in batch[GROUP] for done in self._results(group)])}

    def _results(self, group: Any) -> list[Any]:
        results: list[Any] = []
        try:
            for item in group:
                if self._stop:
                    raise self._stop
                done = process_item(self._act, item)
                self._is_spent |= done.is_last
                results.append(done)
        except Ex4dError as error:
            results.append(error)
        return results


def _objects(values: list[Any]) -> Any:
    """Return a column of objects."""
    column = numpy.empty(len(values), dtype=object)
    column[:] = values
    return column
