"""Runs the contract of a component that is installed, outside of its own tests."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs

from ex4d_core.command_exit import no_stop_is_lost
from ex4d_core.errors import PluginFailed
from ex4d_core.plugins.offers import Offer

State = Literal["passed", "failed", "skipped"]


@attrs.frozen(kw_only=True)
class TestOutcome:
    """What came of one test."""

    __test__ = False  # pytest would take its name for that of a test

    test: str
    """Name of the test, its parameters behind it in brackets."""
    state: State
    reason: str
    """Why it failed or was skipped, in one line, or ''."""


@attrs.frozen(kw_only=True)
class ContractReport:
    """What came of all tests of one component."""

    offer: Offer
    outcomes: tuple[TestOutcome, ...]

    def count(self, state: State) -> int:
        """Return how many tests ended so."""
        return sum(outcome.state == state for outcome in self.outcomes)


def run_contract(
    offer: Offer, *, settings: Mapping[str, Any] | None = None, claims: Mapping[str, Any] | None = None
) -> ContractReport:
    """Run the tests that a component's plugin has for it, or else those of its role.

    Args:
        offer: the component.
        settings: its options, as a TOML file has them; None leaves them to its contract.
        claims: what is set on the contract class, such as `{"accuracy": 0.05}` or `{"device": "cuda"}`.

    Raises:
        PluginFailed: pytest is not installed, or the tests could not be run.
        KeyboardInterrupt: Ctrl-C, or another signal, asked for the end.
    """
    try:
        import pytest
    except ImportError as error:
        raise PluginFailed("checks need pytest, which is not installed; pip install pytest") from error
    with no_stop_is_lost() as check_stop:  # pytest takes Ctrl-C for itself, and a component may swallow it
        collected = _Outcomes(check_stop)
        with _test_module(partial(_contract_class, offer, settings, dict(claims or {}), collected)) as path, _quiet():
            options = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:capture", "-c", os.devnull]
            options += [f"--rootdir={path.parent}", "--import-mode=importlib"]
            code = pytest.main([*options, str(path)], [collected])
    if collected.interrupt is not None:
        raise collected.interrupt
    report = ContractReport(offer=offer, outcomes=tuple(collected.found.values()))
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not report.count("failed"):
        raise PluginFailed(f"the contract of {offer.role} {offer.name!r} could not be run: pytest ended with {code!r}")
    return report


class _Outcomes:
    """A pytest plugin that keeps what came of each test, and starts no other after Ctrl-C."""

    def __init__(self, check_stop: Callable[[], None]) -> None:
        self.found: dict[str, TestOutcome] = {}
        self.interrupt: BaseException | None = None
        self._check_stop = check_stop

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        import pytest

        # pytest raises the others itself, where the tests cannot be collected for one.
        if not isinstance(excinfo.value, pytest.Session.Interrupted | pytest.exit.Exception):
            self.interrupt = excinfo.value

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._check_stop()
        test = report.nodeid.rpartition("::")[2]
        if report.when == "call" or not report.passed:
            self.found[test] = TestOutcome(test=test, state=report.outcome, reason=_reason(report))


def _reason(report: Any) -> str:
    if report.passed:
        return ""
    if report.skipped:
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = str(report.longrepr if crash is None else crash.message).strip().splitlines()
    return _PREFIX.sub("", lines[0]) if lines else "it failed without a word"


_PREFIX = re.compile(r"^(AssertionError|Failed): ")
"""What pytest puts before the sentence of a test."""


@contextlib.contextmanager
def _test_module(make: Callable[[], type]) -> Iterator[Path]:
    """Give a file of tests in which there is the class that `make` returns."""
    # Each file has a name of its own: pytest takes a module that it has by name as it is.
    own = f"ex4d_check_{uuid.uuid4().hex}"
    handover = types.ModuleType(_HANDOVER)
    handover.make = make  # type: ignore[attr-defined]
    sys.modules[_HANDOVER] = handover
    try:
        with tempfile.TemporaryDirectory(prefix="ex4d-check-") as folder:
            path = Path(folder) / f"{own}.py"
            path.write_text(f"import {_HANDOVER}\n\nTestContract = {_HANDOVER}.make()\n")
            yield path
    finally:
        for name in (_HANDOVER, own):
            sys.modules.pop(name, None)


_HANDOVER = "_ex4d_contract_under_test"
"""Module by which the class reaches the file that pytest reads."""


def _contract_class(
    offer: Offer, settings: Mapping[str, Any] | None, claims: dict[str, Any], collected: _Outcomes
) -> type:
    """Return the tests of one component; pytest has begun, for it rewrites the asserts of what is imported later."""
    import pytest

    given: dict[str, Any] = {"offer": pytest.fixture(lambda self: offer)}
    if settings is not None:
        given["settings"] = pytest.fixture(lambda self: dict(settings))
    try:
        contract = _contract_of(offer)
    except PluginFailed as error:
        test = "test_its_contract_can_be_run"
        collected.found[test] = TestOutcome(test=test, state="failed", reason=str(error))
        raise
    return type("TestContract", (contract,), {"name": offer.name, **claims, **given})


def _contract_of(offer: Offer) -> type:
    from ex4d_core.testing.contracts import CONTRACTS

    of_role, own = CONTRACTS[offer.role], offer.contract()
    if own is not None and not (isinstance(own, type) and issubclass(own, of_role)):
        raise PluginFailed(f"{offer.spec.contract} must be a class that derives from {of_role.__name__}")
    return own or of_role


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep pytest from reading the user's settings for it, and what tests print from standard output."""
    before = dict(os.environ)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
