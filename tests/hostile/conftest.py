"""The option `--many`, and what the tests of hostile inputs share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .calling import Worker, environment_of, obeying_permissions
from .disturbing import Disturbance
from .inputs import make_inputs, remove
from .odd_hub import OddHub
from .table import Bench
from .tally import Tally
from .writers import Stage


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let rounds of chance be asked for: `python -m pytest tests/hostile --many`."""
    parser.addoption("--many", action="store_true", help="also try every hostile input, and many kills and races")
    parser.addoption("--rows", default="", help="with --many, a regular expression: the hostile inputs to try")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes unless it is asked for."""
    if config.getoption("--many", default=False):
        return
    left_out = [item for item in items if item.get_closest_marker("many")]
    items[:] = [item for item in items if not item.get_closest_marker("many")]
    config.hook.pytest_deselected(items=left_out)


TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[TALLY] = Tally()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how much was tried and how much of it was wrong."""
    if config.getoption("--many", default=False):
        for line in config.stash[TALLY].lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """Counts what is tried."""
    return pytestconfig.stash.setdefault(TALLY, Tally())


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, tiny_wan) -> Iterator[Path]:
    """The hostile inputs; nobody may change them."""
    folder = tmp_path_factory.mktemp("hostile")
    yield make_inputs(folder / "in", tiny_wan)
    remove(folder)


@pytest.fixture(scope="session")
def odd_hub(inputs) -> Iterator[OddHub]:
    """A hub on this machine."""
    hub = OddHub(inputs / "victim.txt")
    yield hub
    hub.close()


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, inputs, odd_hub) -> Iterator[Bench]:
    """A process to try hostile inputs with."""
    try:
        obeying_permissions()
    except FileNotFoundError:
        pytest.skip("permissions do not hold for root, and setpriv is not installed")
    folder = tmp_path_factory.mktemp("bench")
    (folder / "scratch").mkdir()
    worker = Worker(environment_of(folder / "home", odd_hub.url), folder / "scratch")
    bench = Bench(inputs=inputs, folder=folder, hub=odd_hub, worker=worker)
    try:
        bench.begin()
        yield bench
    finally:
        worker.close()


@pytest.fixture(scope="session")
def disturbance(tmp_path_factory: pytest.TempPathFactory, inputs, odd_hub) -> Disturbance:
    """Commands that write, to be disturbed."""
    return Disturbance(Stage(inputs, odd_hub.url), tmp_path_factory.mktemp("disturbed"))
