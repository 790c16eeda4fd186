"""Write the table of what this repository's plugins provide into docs/plugins.md, from what the plugins say themselves.

All plugins must be installed, as `make test` does. Run it as `.venv/bin/python tools/plugin_table.py`.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from ex4d_core.distributions import CORE_DISTRIBUTION
from ex4d_core.plugins import Offer, find_plugins

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "plugins.md"
PLACE = re.compile(r"(<!-- table: .*? -->\n).*?(<!-- end of table -->)", re.DOTALL)


def distributions() -> set[str]:
    """Return the names of the core and of all plugins in this repository."""
    projects = [tomllib.loads(file.read_text())["project"] for file in ROOT.glob("plugins/*/pyproject.toml")]
    return {CORE_DISTRIBUTION, *(project["name"] for project in projects)}


def needs(offer: Offer) -> str:
    """Return what must be there before a component works."""
    provider = offer.spec
    gpu = ["a CUDA GPU (for `auto`)"] if provider.devices == ("cuda",) else []
    weights = [f"weights (`ex4d fetch {offer.name}`)"] if provider.weights else []
    return ", ".join([*gpu, *(f"`{need}`" for need in provider.requires), *weights]) or "nothing"


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the table's rows."""
    yield "plugin", "role", "component", "what it does", "license", "needs"
    yield ("---",) * 6
    ours = distributions()
    plugins = find_plugins(disabled=())
    for offer in plugins.offers:
        if offer.source.distribution in ours:
            provider = offer.spec
            yield (
                f"`{offer.source.distribution}`",
                offer.role,
                f"`{offer.name}`",
                provider.summary,
                provider.license,
                needs(offer),
            )
    for command in (*plugins.commands, *plugins.executors):
        if command.source.distribution in ours:
            spec = command.spec
            weights = [f"optional weights (`ex4d fetch {spec.name}`)"] if spec.weights else []
            need = ", ".join([*(f"`{need}`" for need in spec.requires), *weights]) or "nothing"
            yield f"`{command.source.distribution}`", command.kind, f"`{spec.name}`", spec.summary, spec.license, need


def with_table(page: str) -> str:
    """Return the page with its table made anew."""
    table = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows())
    return PLACE.sub(lambda place: f"{place[1]}{table}{place[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
