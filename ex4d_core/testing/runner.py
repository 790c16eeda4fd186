"""Run the contract of an installed component, outside of the test suite of its plugin."""

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
    """The result of one test."""

    __test__ = False  # its name looks like that of a test class to pytest

    test: str
    """Name of the test, followed by its parameters in brackets."""
    state: State
    reason: str
    """Why it failed or was skipped, in one line; empty if it passed."""


@attrs.frozen(kw_only=True)
class ContractReport:
    """The results of all tests of one component."""

    offer: Offer
    outcomes: tuple[TestOutcome, ...]

    def count(self, state: State) -> int:
        """Return the number of tests in a state."""
        return sum(outcome.state == state for outcome in self.outcomes)


def run_contract(
    offer: Offer, *, settings: Mapping[str, Any] | None = None, claims: Mapping[str, Any] | None = None
) -> ContractReport:
    """Run the contract that the plugin declares for a component, or else the one of its role.

    Args:
        offer: the component.
        settings: its options, as in a TOML file; None for those of its contract.
        claims: attributes of the contract class, such as `{"accuracy": 0.05}` or `{"device": "cuda"}`.

    Raises:
        PluginFailed: pytest is not installed, or the tests cannot be run.
        KeyboardInterrupt: the run was stopped by Ctrl-C or a signal.
    """
    try:
        import pytest
    except ImportError as error:
        raise PluginFailed("checks require pytest, which is not installed; run: pip install pytest") from error
    with no_stop_is_lost() as check_stop:  # pytest handles Ctrl-C itself, and a component may swallow it
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
    """A pytest plugin that collects results, and stops after Ctrl-C."""

    def __init__(self, check_stop: Callable[[], None]) -> None:
        self.found: dict[str, TestOutcome] = {}
        self.interrupt: BaseException | None = None
        self._check_stop = check_stop

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        import pytest

        # pytest raises these itself, for instance if collection fails.
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
    if not lines:
        return "it failed without a message"
    if crash is None or _PREFIX.match(lines[0]):
        return _PREFIX.sub("", lines[0])
    return f"{lines[0]} ({Path(crash.path).name}:{crash.lineno})"


_PREFIX = re.compile(r"^(AssertionError|Failed): ")
"""Prefix that pytest adds to the message of a test."""


@contextlib.contextmanager
def _test_module(make: Callable[[], type]) -> Iterator[Path]:
    """Yield a test file that contains the class that `make` returns."""
    # Names are unique, since pytest reuses modules by name.
    name = f"ex4d_check_{uuid.uuid4().hex}"
    handover = types.ModuleType(_HANDOVER)
    handover.make = make  # type: ignore[attr-defined]
    sys.modules[_HANDOVER] = handover
    try:
        with tempfile.TemporaryDirectory(prefix="ex4d-check-") as folder:
            path = Path(folder) / f"{name}.py"
            path.write_text(f"import {_HANDOVER}\n\nTestContract = {_HANDOVER}.make()\n")
            yield path
    finally:
        for module in (_HANDOVER, name):
            sys.modules.pop(module, None)


_HANDOVER = "_ex4d_contract_under_test"
"""Module that passes the class to the file that pytest imports."""


def _contract_class(
    offer: Offer, settings: Mapping[str, Any] | None, claims: dict[str, Any], collected: _Outcomes
) -> type:
    """Return the contract class. Called while pytest runs, since it only rewrites asserts of modules imported then."""
    import pytest

    fixtures: dict[str, Any] = {"offer": pytest.fixture(lambda self: offer)}
    if settings is not None:
        fixtures["settings"] = pytest.fixture(lambda self: dict(settings))
    try:
        contract = _contract_of(offer)
    except PluginFailed as error:
        test = "test_its_contract_can_be_run"
        collected.found[test] = TestOutcome(test=test, state="failed", reason=str(error))
        raise
    return type("TestContract", (contract,), {"name": offer.name, **claims, **fixtures})


def _contract_of(offer: Offer) -> type:
    from ex4d_core.testing.contracts import CONTRACTS

    of_role, own = CONTRACTS[offer.role], offer.contract()
    if own is not None and not (isinstance(own, type) and issubclass(own, of_role)):
        raise PluginFailed(f"{offer.spec.contract} must be a class that derives from {of_role.__name__}")
    return own or of_role


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ignore pytest settings of the user, and redirect output of tests to stderr."""
    before = dict(os.environ)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
