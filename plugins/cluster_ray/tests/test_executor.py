"""Items go to a process that drives the cluster; its death is a sentence, and what it prints is not shown."""

import multiprocessing

import pytest

from ex4d_cluster_ray import executor
from ex4d_cluster_ray.plugin import ex4d_job_executors
from ex4d_core.errors import InvalidConfig, PluginFailed
from ex4d_core.jobs.worker_process import Done
from tests.helpers.forked import forking

DRIVER = """
import os

from ex4d_core.errors import InvalidConfig
from ex4d_core.jobs.worker_process import Done


def make_driver(number, *, groups, make, target, workers):
    if target == "nowhere":
        raise InvalidConfig("no cluster answers")

    def results():
        for group in groups:
            for item in group:
                if item == "bug":
                    raise KeyError(item)
                if item == "lost":
                    os._exit(1)  # as Ray does
                yield Done(item=item, result=make(item))

    found = results()
    return lambda _: next(found, None)
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run groups of items by a driver without a cluster; return their results."""
    (tmp_path / "driver_without_cluster.py").write_text(DRIVER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("ex4d_core.processes._CONTEXT", forking())
    monkeypatch.setattr(executor, "make_driver", __import__("driver_without_cluster").make_driver)

    def process(*groups, target="auto"):
        yield from executor.process_groups(groups, str.upper, target=target)

    return process


def test_each_item_is_returned_when_it_is_done(run):
    assert list(run(["a", "b"], [], ["c"])) == [Done(item=item, result=item.upper()) for item in "abc"]


def test_a_lost_cluster_is_a_sentence_after_the_finished_items(run):
    results = run(["a"], ["lost"], ["b"])
    assert next(results).result == "A"
    with pytest.raises(PluginFailed) as error:
        next(results)
    assert str(error.value) == (
        "the Ray cluster at 'auto' was lost (the process that drove it ended with exit code 1); start it again and "
        "run the same command to resume"
    )


def test_errors_of_the_driver_are_raised(run):
    with pytest.raises(InvalidConfig, match="no cluster answers"):
        next(run(["a"], target="nowhere"))
    with pytest.raises(PluginFailed, match=r"the Ray cluster failed \(unexpected KeyError: 'bug'.*to resume"):
        next(run(["bug"]))


def test_results_that_are_not_wanted_end_the_driver(run):
    results = run(["a"], ["b"])
    next(results)
    results.close()
    assert not [process for process in multiprocessing.active_children() if process.name == "ex4d-0"]


def test_without_items_no_cluster_is_started():
    assert list(executor.process_groups([], str.upper, target="nowhere")) == []


def test_the_plugin_offers_the_executor():
    (offer,) = ex4d_job_executors()
    assert (offer.name, offer.app) == ("ray", "ex4d_cluster_ray.executor:process_groups")
