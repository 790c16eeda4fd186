"""Jobs run one after another, report progress, and stop when they are canceled."""

from __future__ import annotations

import threading

import pytest

from ex4d_core.errors import InvalidInput
from ex4d_web import texts
from ex4d_web.job_queue import JobQueue


@pytest.fixture
def queue():
    found = JobQueue(waiting=2, minutes=10)
    yield found
    found.close()


class Gate:
    """Work that reports progress until it may finish."""

    def __init__(self):
        self.started, self.open = threading.Event(), threading.Event()

    def __call__(self, job):
        with job.stage("depth") as progress:
            self.started.set()
            done = 0
            while not self.open.wait(0.005):
                done += 1
                progress(done, 1000)


def test_jobs_run_in_order_and_say_how_many_are_before_them(queue, until):
    gate, order = Gate(), []
    first = queue.submit("a", "Depth", gate)
    second = queue.submit("b", "Depth", lambda job: order.append("b"))
    third = queue.submit("c", "Depth", lambda job: order.append("c"))
    assert gate.started.wait(10)
    assert [queue.status(job).ahead for job in (first, second, third)] == [0, 1, 2]
    assert "2 jobs before yours" in texts.status(queue.status(third))
    assert queue.status(first).stage == "depth"
    gate.open.set()
    until(lambda: third.is_over, "the end")
    assert order == ["b", "c"]
    assert {queue.status(job).state for job in (first, second, third)} == {"done"}


def test_a_running_job_is_canceled_at_its_next_report(queue, until):
    gate = Gate()
    job = queue.submit("a", "Depth", gate)
    assert gate.started.wait(10)
    job.cancel()
    until(lambda: job.is_over, "the end")
    assert queue.status(job).state == "canceled"
    assert "was canceled" in texts.status(queue.status(job))


def test_a_waiting_job_is_canceled_at_once_and_never_runs(queue, until):
    gate, ran = Gate(), []
    first = queue.submit("a", "Depth", gate)
    waiting = queue.submit("b", "Depth", ran.append)
    waiting.cancel()
    assert queue.status(waiting).state == "canceled"
    gate.open.set()
    until(lambda: first.is_over, "the end")
    after = queue.submit("b", "Depth", lambda job: None)
    until(lambda: after.is_over, "the end")
    assert ran == []


def test_a_project_has_one_job_at_a_time_unless_it_replaces_it(queue, until):
    gate = Gate()
    first = queue.submit("a", "Depth", gate)
    with pytest.raises(InvalidInput, match="Depth is not finished; wait for it, or cancel it"):
        queue.submit("a", "Generation", gate)
    second = queue.submit("a", "Preview", lambda job: None, replace=True)
    until(lambda: second.is_over, "the end")
    assert (first.status().state, second.status().state) == ("canceled", "done")


def test_too_many_jobs_are_refused(queue):
    gate = Gate()
    queue.submit("a", "Depth", gate)
    assert gate.started.wait(10)
    for owner in "bc":
        queue.submit(owner, "Depth", gate)
    with pytest.raises(InvalidInput, match="3 jobs are waiting on this server; try again in a few minutes"):
        queue.submit("d", "Depth", gate)


def test_errors_are_one_sentence_and_the_queue_goes_on(queue, until):
    def refuse(job):
        raise InvalidInput("the clip <b> is too dark; use another")

    def crash(job):
        raise KeyError("x")

    jobs = [queue.submit(str(number), "Depth", work) for number, work in enumerate((refuse, crash))]
    until(lambda: all(job.is_over for job in jobs), "the end")
    assert jobs[0].status().error == "the clip <b> is too dark; use another"
    assert "unexpected KeyError" in jobs[1].status().error
    assert "&lt;b&gt;" in texts.status(jobs[0].status())


def test_a_job_that_takes_too_long_is_stopped(until):
    queue = JobQueue(waiting=2, minutes=0.001)
    try:
        job = queue.submit("a", "Depth", Gate())
        until(lambda: job.is_over, "the end")
        assert "took longer than the 0.001 minutes that this server allows" in job.status().error
    finally:
        queue.close()


def test_progress_is_shown_with_the_time_that_is_left(queue, until):
    gate = Gate()
    job = queue.submit("a", "Depth", gate)
    until(lambda: queue.status(job).done > 3, "progress")
    status = queue.status(job)
    assert status.left > 0
    text = texts.status(status)
    assert "Estimating depth" in text
    assert 'max="1000"' in text
    gate.open.set()


def test_messages_name_files_without_the_folders_of_the_server(queue, until):
    secret = "/srv/my app/" + "0f" * 16

    def work(job):
        job.warn(f"{secret}/a b.mp4 is HDR")
        raise InvalidInput(f"{secret}/run/depth.npz and/or '{secret}/a b.mp4' take the disk of {secret}, which is full")

    job = queue.submit("a", "Depth", work)
    until(lambda: job.is_over, "the end")
    assert job.status().error == "depth.npz and/or 'a b.mp4' take the disk of this clip, which is full"
    assert job.status().notes == ("warning: a b.mp4 is HDR",)
