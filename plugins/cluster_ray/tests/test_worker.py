"""An actor processes groups of items, and returns errors as rows; after an unexpected one, another takes over."""

import os

import pytest

from ex4d_cluster_ray.worker import DONE, GROUP, Worker
from ex4d_core.errors import OutputFailed, PluginFailed


def make(number):
    def act(item):
        if item == "full":
            raise OutputFailed("the disk is full")
        if item == "bug":
            raise KeyError(item)
        return item.upper()

    return act


def test_an_actor_returns_a_row_for_each_item():
    rows = Worker(make)({GROUP: [["a", "b"], ["c"]]})[DONE]
    assert [(done.item, done.result) for done in rows] == [("a", "A"), ("b", "B"), ("c", "C")]


def test_an_error_that_concerns_all_items_is_a_row():
    done, error = Worker(make)({GROUP: [["a", "full", "b"]]})[DONE]
    assert (done.result, str(error)) == ("A", "the disk is full")


def test_an_actor_that_cannot_start_returns_its_error():
    def refuse(number):
        raise PluginFailed("the node n has ex4d-core 2 instead of 1")

    (error,) = Worker(refuse)({GROUP: [["a"]]})[DONE]
    assert isinstance(error, PluginFailed)


def test_after_an_unexpected_error_another_process_takes_over(monkeypatch):
    class Ended(BaseException):
        """Instead of the end of this process."""

    def end(code):
        raise Ended

    monkeypatch.setattr(os, "_exit", end)
    worker = Worker(make)
    (done,) = worker({GROUP: [["bug"]]})[DONE]
    assert done.error.startswith("unexpected KeyError: 'bug'")
    with pytest.raises(Ended):
        worker({GROUP: [["a"]]})
