"""Tables and JSON of `ex4d plugins` and `ex4d doctor`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import attrs
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ex4d_core.cli.doctor import Finding
from ex4d_core.errors import ComponentNotFound, nearest
from ex4d_core.plugins.discovery import Plugins, Problem
from ex4d_core.plugins.known import COMMAND, EXECUTOR, where_to_get
from ex4d_core.plugins.offers import CommandOffer, ExecutorOffer, Offer, Source, commands_by_name
from ex4d_core.roles import ROLES
from ex4d_core.terminal import as_text

LICENSES = "docs/licenses.md"
"""The page on the terms of results."""


EXECUTES = "ex4d batch run"
"""The command that runs jobs with the executors of plugins."""


def listing(plugins: Plugins) -> Iterator[RenderableType]:
    """Yield a table of components and, if there are any, tables of commands and of problems."""
    table = Table("role", "name", "description", "license", "from", title="components", title_justify="left")
    for offer in plugins.offers:
        origin = "built in" if offer.builtin else str(offer.source)
        row = (offer.role, offer.name, offer.spec.summary, offer.spec.license, origin)
        table.add_row(*map(as_text, row))
    yield table
    if restricted := [offer.name for offer in plugins.offers if offer.spec.usage_terms]:
        yield as_text(f"these restrict the use of results: {', '.join(restricted)}; see {LICENSES}")
    if plugins.commands or plugins.executors:
        yield _commands_table(plugins.commands, plugins.executors)
    for title, disabled in (("disabled", True), ("warnings", False)):
        problems = [problem for problem in plugins.problems if problem.disabled is disabled]
        if problems:
            yield _problems_table(title, problems)


def _commands_table(commands: Iterable[CommandOffer], executors: Iterable[ExecutorOffer]) -> Table:
    table = Table("command", "description", "license", "from", title="commands", title_justify="left")
    typed = {f"ex4d {name}": offer for name, offer in commands_by_name(commands).items()}
    typed |= {f"{EXECUTES} --{offer.name}": offer for offer in executors}
    for name, offer in typed.items():
        row = (name, offer.spec.summary, offer.spec.license, str(offer.source))
        table.add_row(*map(as_text, row))
    return table


def _problems_table(title: str, problems: Iterable[Problem]) -> Table:
    table = Table("plugin", "problem", "fix", title=title, title_justify="left")
    for problem in problems:
        who = f"{problem.source.plugin} ({problem.source})"
        table.add_row(*map(as_text, (who, problem.error, problem.next_step)))
    return table


def named(plugins: Plugins, name: str) -> Plugins:
    """Return the components, commands and problems of a component, command, plugin or distribution.

    Raises:
        ComponentNotFound: nothing has that name.
    """

    def is_from(source: Source) -> bool:
        return name in (source.plugin, source.distribution)

    offers = tuple(o for o in plugins.offers if name in (o.name, *o.spec.aliases) or is_from(o.source))
    commands = tuple(command for command in plugins.commands if name == command.name or is_from(command.source))
    executors = tuple(each for each in plugins.executors if name == each.name or is_from(each.source))
    problems = tuple(problem for problem in plugins.problems if is_from(problem.source))
    if not (offers or commands or executors or problems):
        if sentence := where_to_get(name, COMMAND, EXECUTOR, *ROLES):
            raise ComponentNotFound(sentence)
        known = {offer.name for offer in plugins.offers} | {command.name for command in plugins.commands}
        known |= {executor.name for executor in plugins.executors}
        known |= {problem.source.plugin for problem in plugins.problems}
        guess = nearest(name, known, then="see ex4d plugins list")
        raise ComponentNotFound(f"unknown component or plugin {name!r}{guess}")
    return Plugins(offers=offers, commands=commands, executors=executors, problems=problems)


def details(plugins: Plugins, name: str) -> Iterator[RenderableType]:
    """Yield everything about the components and plugins of a name.

    Raises:
        ComponentNotFound: nothing has that name.
    """
    found = named(plugins, name)
    for problem in found.problems:
        yield as_text(problem.sentence())
    for offer in found.offers:
        yield _headline(f"{offer.role} {offer.name}", offer.spec.summary)
        yield as_text(f"license: {offer.spec.license}; from {offer.source}")
        if offer.spec.usage_terms:
            yield as_text(f"notice: {offer.spec.usage_terms}")
        yield from _requirements(offer)
        if offer.spec.weights:
            yield as_text(f"weights: run `ex4d fetch {offer.name}`")
        yield from _option_sets(offer)
        yield _options_table(offer)
    typed = [(f"ex4d {name}", command) for name, command in commands_by_name(plugins.commands).items()]
    for words, command in (*typed, *((EXECUTES, executor) for executor in plugins.executors)):
        if command not in (*found.commands, *found.executors):
            continue
        yield _headline(command.title.replace("'", ""), command.spec.summary)
        terms = f"license: {command.spec.license}; " if command.spec.license else ""
        yield as_text(f"{terms}from {command.source}")
        yield from _requirements(command)
        yield as_text(f"options: run `{words} --help`")


def _headline(title: str, summary: str) -> Text:
    return Text.assemble(as_text(title, style="bold"), ": ", as_text(summary))


def _requirements(offer: Offer | CommandOffer) -> Iterator[RenderableType]:
    if offer.spec.requires:
        missing = offer.missing_requirements()
        lack = f", of which {', '.join(missing)} is not installed" if missing else ""
        yield as_text(f"requires: {', '.join(offer.spec.requires)}{lack}")
        if missing:
            yield as_text(f"fix: {' && '.join(offer.install_commands())}")


def _option_sets(offer: Offer) -> Iterator[RenderableType]:
    """Yield the aliases and the presets of a component, with the options that each sets."""
    for title, sets in (("alias", offer.spec.aliases), ("preset", offer.spec.presets)):
        for name, options in sets.items():
            values = ", ".join(f"{option}={value}" for option, value in options.items())
            yield as_text(f"{title} {name}: {values or 'default options'}")


def diagnosis(verdict: Iterable[str], findings: Iterable[Finding], *, show_all: bool) -> Iterator[RenderableType]:
    """Yield the result of `ex4d doctor`: the verdict, a table of findings, and one line for those that are fine.

    Args:
        verdict: the first lines.
        findings: all findings.
        show_all: whether the table has those that are fine too.
    """
    yield from map(as_text, verdict)
    rows: list[Finding] = []
    folded: list[Finding] = []
    for finding in findings:
        (rows if show_all or finding.level != "fine" else folded).append(finding)
    if rows:
        table = Table("item", "state", "fix")
        for finding in rows:
            what = as_text(finding.what, "red" if finding.level == "broken" else "")
            table.add_row(what, *map(as_text, (finding.state, finding.fix)))
        yield table
    if folded:
        yield as_text(f"{len(folded)} checks found nothing to do; ex4d doctor --all lists them")


def diagnosis_json(verdict: Iterable[str], findings: Iterable[Finding]) -> str:
    """Return the result of `ex4d doctor` as JSON."""
    return json.dumps({"verdict": list(verdict), "findings": list(map(attrs.asdict, findings))}, indent=2)


def as_json(plugins: Plugins) -> str:
    """Return components, commands and problems as JSON."""
    components = [
        {
            "role": offer.role,
            "name": offer.name,
            "summary": offer.spec.summary,
            "license": offer.spec.license,
            "notice": offer.spec.usage_terms,
            "distribution": offer.source.distribution,
            "version": offer.source.version,
            "missing": list(offer.missing_requirements()),
        }
        for offer in plugins.offers
    ]
    commands = [
        {
            "name": name,
            "summary": offer.spec.summary,
            "license": offer.spec.license,
            "distribution": offer.source.distribution,
            "version": offer.source.version,
            "missing": list(offer.missing_requirements()),
        }
        for name, offer in (
            *commands_by_name(plugins.commands).items(),
            *((each.name, each) for each in plugins.executors),
        )
    ]
    problems = list(map(problem_facts, plugins.problems))
    return json.dumps({"components": components, "commands": commands, "problems": problems}, indent=2)


def problem_facts(problem: Problem) -> dict[str, str | bool]:
    """Return a problem as it appears in JSON."""
    return {
        "plugin": problem.source.plugin,
        "distribution": problem.source.distribution,
        "version": problem.source.version,
        "error": problem.error,
        "next_step": problem.next_step,
        "disabled": problem.disabled,
    }


def _options_table(offer: Offer) -> RenderableType:
    fields = attrs.fields(offer.spec.options)
    if not fields:
        return "no options"
    table = Table("option", "default", "unit", "description")
    for field in fields:
        default = "required" if field.default is attrs.NOTHING else str(field.default)
        name = field.name if ROLES[offer.role].in_cam else f"--set {offer.role}.{field.name}=..."
        table.add_row(*map(as_text, (name, default, field.metadata.get("unit", ""), field.metadata.get("help", ""))))
    return table
