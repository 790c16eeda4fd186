"""An actor processes groups of items, and returns errors as rows; after an unexpected one, another takes over."""

import os

import pytest

from ex4d_cluster_ray.executor import _connect, _reason, _size, process_groups
from ex4d_cluster_ray.plugin import ex4d_job_executors
from ex4d_cluster_ray.worker import DONE, GROUP, Worker
from ex4d_core.errors import InvalidConfig, OutputFailed, PluginFailed


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


def test_each_gpu_has_one_worker_by_default():
    assert _size({"CPU": 64, "GPU": 8}, None) == (8, 1.0)
    assert _size({"CPU": 64, "GPU": 8}, 16) == (16, 0.5)
    assert _size({"CPU": 4}, None) == (2, 0)
    assert _size({"CPU": 1}, None) == (1, 0)


def test_the_plugin_offers_the_executor():
    (offer,) = ex4d_job_executors()
    assert (offer.name, offer.app) == ("ray", "ex4d_cluster_ray.executor:process_groups")


def test_without_items_no_cluster_is_started():
    assert list(process_groups([], make, target="nowhere")) == []


def test_a_cluster_that_fails_is_one_line_of_the_traceback_that_ray_returns():
    sentence = "the Ray cluster failed (b); run the same command again to resume"
    assert _reason(RuntimeError("a\nb\n")) == sentence
    assert "RuntimeError" in _reason(RuntimeError())


@pytest.mark.parametrize("target", ["auto", "10.0.0.1:6379"])
def test_an_address_without_a_cluster_is_one_sentence(target):
    class Ray:
        """Finds no cluster, as Ray does; a real search may end the process."""

        is_initialized = staticmethod(lambda: False)

        @staticmethod
        def init(address, **_):
            raise ConnectionError(f"Could not find any running Ray instance at {address}.\nMore lines.")

    with pytest.raises(InvalidConfig) as error:
        _connect(Ray, target)
    assert str(error.value).startswith(
        f"there is no Ray cluster at '{target}' (Could not find any running Ray instance"
    )
    assert str(error.value).endswith("start one with: ray start --head, or use --ray local")


def test_a_cluster_that_does_not_start_in_time_is_tried_again():
    class Ray:
        """Fails twice, as Ray does on a busy machine."""

        tries = 0
        is_initialized = staticmethod(lambda: Ray.tries > 2)
        shutdown = staticmethod(lambda: None)

        class data:  # noqa: N801  # named as in Ray
            class DataContext:
                get_current = staticmethod(lambda: Ray)

        @staticmethod
        def init(**_):
            Ray.tries += 1
            if Ray.tries < 3:
                raise Exception("The current node timed out during startup.")

    _connect(Ray, "local")
    assert Ray.tries == 3
    Ray.tries = -9
    with pytest.raises(PluginFailed, match="Ray cannot start: Exception: The current node timed out during startup"):
        _connect(Ray, "local")
