"""Write the table of docs/licenses.md: the terms of results by depth and backbone, from what the plugins declare.

All plugins must be installed, as `make test` does. Run it as `.venv/bin/python tools/license_table.py`.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from ex4d_core.plugins import Offer, find_plugins
from ex4d_depth_anything3.models import DEFAULT as DA3_DEFAULT
from ex4d_depth_anything3.models import MODELS as DA3_MODELS
from ex4d_depth_anything3.video.models import DEFAULT as VDA_DEFAULT
from ex4d_depth_anything3.video.models import MODELS as VDA_MODELS
from ex4d_depth_transformers.model_aliases import DEFAULT, MODELS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licenses.md"
PLACE = re.compile(r"(<!-- table: .*? -->\n).*?(<!-- end of table -->)", re.DOTALL)
BY_MODEL = {
    "transformers": ({name: model.license for name, model in MODELS.items()}, DEFAULT),
    "da3": ({name: model.license for name, model in DA3_MODELS.items()}, DA3_DEFAULT),
    "vda": ({name: model.license for name, model in VDA_MODELS.items()}, VDA_DEFAULT),
}
"""Licenses of the models of estimators whose terms depend on the model, and the default model."""
YES, YES_BUT = "yes", "yes, see (1)"
OURS = ("ex4d-core", "ex4d-backbone", "ex4d-depth", "ex4d-render")


def offers(role: str) -> list[Offer]:
    """Return the components of this repository for a role."""
    return [o for o in find_plugins(disabled=()).offers if o.role == role and o.source.distribution.startswith(OURS)]


def depths() -> Iterator[tuple[str, str, str]]:
    """Yield each choice of depth, its license, and the terms of its results or ''."""
    for offer in offers("depth"):
        if offer.name not in BY_MODEL:
            yield f"`{offer.name}`", offer.spec.license, offer.spec.usage_terms
            continue
        licenses, default = BY_MODEL[offer.name]
        models = sorted(licenses, key=lambda name: (name != default, licenses[name]))
        for license_, names in itertools.groupby(models, key=lambda name: licenses[name]):
            group = list(names)
            terms = offer.spec.usage_terms_for(offer.spec.options(model=group[0]))
            shown = ", ".join(f"`{name}`" for name in group)
            yield f"`{offer.name}`: {shown}", license_, license_ if terms else ""


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the table's rows: what is free first."""
    backbones = offers("backbone")
    yield "depth", *(f"with `{offer.name}`" for offer in backbones), "license of the depth"
    yield ("---",) * (len(backbones) + 2)
    for name, license_, terms in sorted(depths(), key=lambda row: bool(row[2])):
        cells = [terms or offer.spec.usage_terms or marked(offer) for offer in backbones]
        yield name, *("restricted" if cell not in (YES, YES_BUT) else cell for cell in cells), license_


def marked(offer: Offer) -> str:
    """Return `YES`, or the mark of the note if the license is not simply that of ex4d."""
    return YES if offer.spec.license == "Apache-2.0" else YES_BUT


def notes() -> Iterator[str]:
    """Yield the note on backbones, and the terms of renderers."""
    for offer in offers("backbone"):
        if offer.spec.license != "Apache-2.0":
            yield f"(1) `{offer.name}`: {offer.spec.license}."
    for offer in offers("renderer"):
        if offer.spec.usage_terms:
            yield f"Renderer `{offer.name}`, with any of these: {offer.spec.usage_terms}."


def with_table(page: str) -> str:
    """Return the page with its table made anew."""
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows())
    text = "\n\n".join(notes())
    return PLACE.sub(lambda place: f"{place[1]}{table}\n{text}\n{place[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
