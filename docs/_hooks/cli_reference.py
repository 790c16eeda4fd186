"""Write the command-line reference from the Typer app: every command, its arguments, options and defaults."""

import importlib
import re
from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from typer.main import get_command

import typer_cli
from ex4d_core.plugins.discovery import find_plugins
from ex4d_core.plugins.offers import commands_by_name

MARKER = "<!-- cli-reference -->"
OWN_DISTRIBUTIONS = re.compile(r"ex4d-")
GENERAL = "Options"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the marker with the reference."""
    return markdown.replace(MARKER, "\n".join(_reference())) if MARKER in markdown else markdown


def _reference() -> Iterator[str]:
    root = get_command(typer_cli.app)
    for name, command in root.commands.items():
        yield from _command(f"ex4d {name}", command, level=2)
    for name, (distribution, command) in sorted(_plugin_commands().items()):
        yield from _command(f"ex4d {name}", command, level=2, note=f"Provided by the plugin `{distribution}`.")


def _plugin_commands() -> dict[str, tuple[str, Any]]:
    """Return the commands of this repository's plugins; their modules are imported without their heavy requirements."""
    found = {}
    for name, offer in commands_by_name(find_plugins().commands).items():
        if OWN_DISTRIBUTIONS.match(offer.source.distribution):
            module, _, attribute = offer.spec.app.partition(":")
            loaded = getattr(importlib.import_module(module), attribute)
            if not isinstance(loaded, typer.Typer):
                function, loaded = loaded, typer.Typer()
                loaded.command()(function)
            found[name] = (offer.source.distribution, get_command(loaded))
    return found


def _command(title: str, command: Any, *, level: int, note: str = "") -> Iterator[str]:
    """Yield the section of a command, and those of its sub-commands."""
    yield f"{'#' * level} {title}\n"
    yield f"{_prose(command.help or '')}\n"
    if note:
        yield f"{note}\n"
    sub_commands = getattr(command, "commands", None)
    if sub_commands is not None:
        for name, sub_command in sub_commands.items():
            yield from _command(f"{title} {name}", sub_command, level=level + 1)
        return
    usage = " ".join(command.collect_usage_pieces(_context(command)))
    yield f"```text\n{title} {usage}\n```\n"
    yield from _parameters(command)


def _parameters(command: Any) -> Iterator[str]:
    """Yield a table for each panel of options, arguments first."""
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for parameter in command.params:
        if parameter.hidden or parameter.name in ("install_completion", "show_completion"):
            continue
        is_argument = parameter.param_type_name == "argument"
        panel = "Arguments" if is_argument else _text(parameter.rich_help_panel) or GENERAL
        panels.setdefault(panel, []).append(_row(parameter, _context(command)))
    for panel in sorted(panels, key=lambda panel: (panel != "Arguments", panel != GENERAL)):
        yield f"**{panel}**\n"
        yield f"| {'argument' if panel == 'Arguments' else 'option'} | value | description |"
        yield "|---|---|---|"
        for cells in panels[panel]:
            yield f"| {' | '.join(cells)} |"
        yield ""


def _row(parameter: Any, context: Any) -> tuple[str, str, str]:
    names, help_ = parameter.get_help_record(context)
    name, _, value = names.partition(" <")
    name, bracket, choices = name.partition(" [")
    value = f"<{value}" if value else f"{bracket.strip()}{choices}"
    return _code(name), _code(value), _prose(help_)


def _context(command: Any) -> Any:
    return command.make_context(command.name or "", [], resilient_parsing=True)


def _text(value: Any) -> str:
    """Return a text, and '' for the placeholder that stands for a default."""
    return value if isinstance(value, str) else ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _prose(text: str) -> str:
    """Return a help text as Markdown that shows it literally, with commands in backticks left as they are."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([<>*_|\[\]])", r"\\\1", part) for part in parts)
