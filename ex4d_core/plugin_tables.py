"""What `ex4d plugins` and `ex4d doctor` print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import attrs
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from ex4d_core.doctor import Finding
from ex4d_core.errors import ComponentNotFound, nearest
from ex4d_core.plugins import Offer, Plugins, Problem


def listing(plugins: Plugins) -> Iterator[RenderableType]:
    """Yield a table of components and, where there are any, tables of problems."""
    table = Table("role", "name", "what it does", "licence", "from", title="components", title_justify="left")
    for offer in plugins.offers:
        origin = "built in" if offer.builtin else f"{offer.distribution} {offer.version}"
        table.add_row(
            offer.role, offer.name, escape(offer.provider.summary), escape(offer.provider.licence), escape(origin)
        )
    yield table
    for title, left_out in (("left out", True), ("works, but", False)):
        problems = [problem for problem in plugins.problems if problem.left_out is left_out]
        if problems:
            yield _problems_table(title, problems)


def _problems_table(title: str, problems: Iterable[Problem]) -> Table:
    table = Table("plugin", "what is wrong", "type next", title=title, title_justify="left")
    for problem in problems:
        who = f"{problem.plugin} ({problem.distribution} {problem.version})"
        table.add_row(*map(escape, (who, problem.error, problem.next_step)))
    return table


def named(plugins: Plugins, name: str) -> tuple[list[Offer], list[Problem]]:
    """Return what has a name: components, those of a plugin or a distribution, and plugins that do not work.

    Raises:
        ComponentNotFound: nothing has that name.
    """
    offers = [offer for offer in plugins.offers if name in (offer.name, offer.plugin, offer.distribution)]
    problems = [problem for problem in plugins.problems if name in (problem.plugin, problem.distribution)]
    if not offers and not problems:
        known = {o.name for o in plugins.offers} | {p.plugin for p in plugins.problems}
        raise ComponentNotFound(
            f"there is no component or plugin {name!r}{nearest(name, known)}; see ex4d plugins list"
        )
    return offers, problems


def details(plugins: Plugins, name: str) -> Iterator[RenderableType]:
    """Yield everything about the components and plugins of a name.

    Raises:
        ComponentNotFound: nothing has that name.
    """
    offers, problems = named(plugins, name)
    for problem in problems:
        yield escape(problem.sentence())
    for offer in offers:
        yield f"[bold]{offer.role} {offer.name}[/]: {escape(offer.provider.summary)}"
        yield f"licence: {escape(offer.provider.licence)}; from {offer.distribution} {offer.version}"
        if offer.provider.notice:
            yield f"notice: {escape(offer.provider.notice)}"
        if offer.provider.needs:
            missing = offer.missing_needs()
            lack = f", of which {', '.join(missing)} is not installed" if missing else ""
            yield f"needs: {', '.join(offer.provider.needs)}{lack}"
            if missing:
                yield f"type: {escape(' && '.join(offer.install_commands()))}"
        if offer.provider.weights:
            yield f"weights: type ex4d fetch {offer.name}"
        yield _options_table(offer)


def findings_table(findings: Iterable[Finding]) -> Table:
    """Return what the doctor found as a table."""
    table = Table("what", "state", "type next", title="ex4d doctor", title_justify="left")
    for finding in findings:
        table.add_row(*map(escape, (finding.what, finding.state, finding.mend)))
    return table


def as_json(plugins: Plugins) -> str:
    """Return components and problems as JSON."""
    components = [
        {
            "role": offer.role,
            "name": offer.name,
            "summary": offer.provider.summary,
            "licence": offer.provider.licence,
            "notice": offer.provider.notice,
            "distribution": offer.distribution,
            "version": offer.version,
            "missing": list(offer.missing_needs()),
        }
        for offer in plugins.offers
    ]
    problems = [attrs.asdict(problem) for problem in plugins.problems]
    return json.dumps({"components": components, "problems": problems}, indent=2)


def _options_table(offer: Offer) -> RenderableType:
    fields = attrs.fields(offer.provider.options)
    if not fields:
        return "no options"
    table = Table("option", "default", "unit", "what it does")
    for field in fields:
        default = "must be given" if field.default is attrs.NOTHING else str(field.default)
        name = field.name if offer.role == "trajectory" else f"--set {offer.role}.{field.name}=..."
        table.add_row(*map(escape, (name, default, field.metadata.get("unit", ""), field.metadata.get("help", ""))))
    return table
