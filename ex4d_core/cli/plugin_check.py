"""`ex4d plugins check`: run the contract tests of installed components."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from rich.console import RenderableType
from rich.table import Table

from ex4d_core.cli.tables import named, problem_facts
from ex4d_core.config.run_config import make_options
from ex4d_core.errors import ComponentNotFound, Ex4dError, InputNotFound, InvalidConfig, PluginFailed
from ex4d_core.hub.local import find_in_cache
from ex4d_core.plugins.discovery import Plugins, Problem
from ex4d_core.plugins.offers import Offer
from ex4d_core.progress import Progress, silent, track
from ex4d_core.terminal import as_text
from ex4d_core.testing.runner import ContractReport, run_contract


@attrs.frozen(kw_only=True)
class Check:
    """The result of checking one component."""

    offer: Offer
    report: ContractReport | None
    """The results of its tests, or None if they could not be run."""
    unavailable_reason: str = ""
    """Why the tests could not be run, and what to do."""

    @property
    def state(self) -> str:
        """`passed`, `failed`, or `not checked`."""
        if self.report is None:
            return "not checked"
        return "failed" if self.report.count("failed") else "passed"


@attrs.frozen(kw_only=True)
class Checks:
    """The results of checking several components, and the problems of plugins among them."""

    checks: tuple[Check, ...]
    problems: tuple[Problem, ...]

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return not self.problems and all(check.state != "failed" for check in self.checks)


def check_plugins(
    plugins: Plugins, name: str | None = None, settings: Mapping[str, Mapping[str, Any]] | None = None,
    *, device: str = "cpu", progress: Progress = silent,
) -> Checks:  # fmt: skip
    """Run the contract tests of components. Components with missing requirements are skipped, and reported.

    Args:
        plugins: the installed plugins.
        name: name of a component, plugin or distribution; all components by default.
        settings: options by role, as parsed from `--set`.
        device: device of the components, such as `cuda`.
        progress: called with the number of finished components.

    Raises:
        InvalidConfig: the device is not available.
        ComponentNotFound: no component or disabled plugin has that name.
        PluginFailed: pytest is not installed.
    """
    selected = plugins if name is None else named(plugins, name)
    if not selected.offers and not selected.problems:
        raise ComponentNotFound(f"{name!r} offers commands only, which have no contract tests")
    _check_device(device)
    given = settings or {}
    done = [_check(offer, given.get(offer.role), device) for offer in track(selected.offers, progress)]
    return Checks(checks=tuple(done), problems=selected.problems)


def _check_device(name: str) -> None:
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InvalidConfig(f"device {name!r} is not available; use cpu, cuda or mps") from error


def _check(offer: Offer, settings: Mapping[str, Any] | None, device: str) -> Check:
    try:
        offer.check_requirements()
        if settings or offer.spec.weights or not offer.spec.contract:  # a contract may set its own options
            _check_weights(offer, make_options(offer.spec.options, settings or {}, offer.role))
    except Ex4dError as error:
        return Check(offer=offer, report=None, unavailable_reason=str(error))
    return Check(offer=offer, report=run_contract(offer, settings=settings, claims={"device": device}))


def _check_weights(offer: Offer, options: object) -> None:
    for files in offer.weights(options):
        if find_in_cache(files) is None:
            raise InputNotFound(f"the weights {files.repo} are not downloaded; run: ex4d fetch {offer.name}")


def check_tables(checks: Checks) -> Iterator[RenderableType]:
    """Yield what failed, one row for each cause, and then a table of all components."""
    for problem in checks.problems:
        yield as_text(problem.sentence())
    failures = [(check.offer.name, *failure) for check in checks.checks for failure in _failures(check)]
    if failures:
        failed = Table("name", "check", "failure", title="failed", title_justify="left")
        for failure in failures:
            failed.add_row(*map(as_text, failure))
        yield failed
    table = Table("role", "name", "state", "tests", "reason", title="contracts", title_justify="left")
    for check in sorted(checks.checks, key=lambda check: check.state != "failed"):
        counts = "" if check.report is None else f"{check.report.count('passed')} of {len(check.report.outcomes)}"
        color = {"passed": "green", "failed": "red"}.get(check.state, "yellow")
        name, reason = map(as_text, (check.offer.name, check.unavailable_reason or _skips(check)))
        table.add_row(check.offer.role, name, as_text(check.state, style=color), counts, reason)
    if checks.checks:
        yield table


def _failures(check: Check) -> list[tuple[str, str]]:
    """Return test and reason of each failure; tests that fail for the same reason are one, named by the first."""
    tests: dict[str, list[str]] = {}
    for outcome in () if check.report is None else check.report.outcomes:
        if outcome.state == "failed":
            tests.setdefault(outcome.reason, []).append(_as_fact(outcome.test))
    return [(f"{first}; also {len(more)} more" if more else first, reason) for reason, (first, *more) in tests.items()]


def _as_fact(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")


def _skips(check: Check) -> str:
    """Return the reasons for skipped tests, each once."""
    outcomes = () if check.report is None else check.report.outcomes
    return "; ".join(dict.fromkeys(o.reason for o in outcomes if o.state == "skipped"))


def check_json(checks: Checks) -> str:
    """Return the results as JSON."""
    components = [
        {
            "role": check.offer.role,
            "name": check.offer.name,
            "distribution": check.offer.source.distribution,
            "version": check.offer.source.version,
            "state": check.state,
            "obstacle": check.unavailable_reason,
            "tests": [] if check.report is None else [attrs.asdict(outcome) for outcome in check.report.outcomes],
        }
        for check in checks.checks
    ]
    problems = list(map(problem_facts, checks.problems))
    return json.dumps({"good": checks.good, "components": components, "problems": problems}, indent=2)


def refuse_unchecked(checks: Checks) -> None:
    """Raise an error if nothing could be checked.

    Raises:
        PluginFailed: no tests were run, and no plugin is disabled.
    """
    if not checks.problems and all(check.report is None for check in checks.checks):
        raise PluginFailed(f"nothing could be checked: {checks.checks[0].unavailable_reason}")
