"""What a log says of work on its way."""

import io

import pytest
from rich.console import Console

from ex4d_core.console_reporter import ConsoleReporter


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands where it is set."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def said():
    return io.StringIO()


@pytest.fixture
def reporter(said):
    return ConsoleReporter(console=Console(file=said, soft_wrap=True))


def tell(reporter, clock, events, total):
    with reporter.stage("result") as progress:
        for seconds, done in events:
            clock[0] = seconds
            progress(done, total)


def test_work_that_goes_on_counts_only_what_it_does_now(reporter, clock, said):
    """Loading took 30 s, and 20 of 25 steps were done before."""
    tell(reporter, clock, [(30, 20), (40, 21), (50, 22)], 25)
    assert said.getvalue().splitlines() == [
        "result: 21/25, 10.0 s each, 40 s left",
        "result: 22/25, 10.0 s each, 30 s left",
        "result: 22/25 in 50.0 s",
    ]


def test_fast_work_says_how_many_a_second(reporter, clock, said):
    tell(reporter, clock, [(0, 0), (2, 10), (10, 50)], 100)
    assert said.getvalue().splitlines()[0] == "result: 50/100, 5.0/s, 10 s left"
