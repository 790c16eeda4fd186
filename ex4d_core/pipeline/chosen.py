"""The selected component of a role, or the moves of a camera path, with their checked options."""

from __future__ import annotations

from typing import Any

import attrs

from ex4d_core.cameras.language import FILE
from ex4d_core.config.run_config import Tree
from ex4d_core.plugins.offers import Offer


@attrs.frozen(kw_only=True)
class Chosen:
    """The selected component of a role, and its checked options."""

    offer: Offer
    options: Any

    @property
    def is_file(self) -> bool:
        """Whether the component reads a depth file."""
        return self.offer.builtin and self.offer.role == "depth" and self.offer.name == "file"

    def identity(self) -> Tree:
        """Return everything that determines its results, as plain values."""
        resolved = getattr(self.options, "resolved", None)
        options = self.options if resolved is None else resolved()
        facts = {
            "name": self.offer.name,
            "distribution": self.offer.source.distribution,
            "version": self.offer.source.version,
            "options": attrs.asdict(options, filter=lambda field, _: field.metadata.get("affects_output", True)),
        }
        # The content of a file counts, not its name.
        fingerprint = getattr(self.options, "fingerprint", None)
        return facts if fingerprint is None else {**facts, "fingerprint": fingerprint()}


@attrs.frozen(kw_only=True)
class ChosenPath:
    """The moves of one `--cam` text."""

    steps: tuple[tuple[tuple[Chosen, str], ...], ...]
    """Segments in order; the moves of a segment run at the same time, each with its easing."""
    weights: tuple[float, ...]
    """Fraction of the path of each segment."""

    @property
    def is_given(self) -> bool:
        """Whether the path comes from a file."""
        return any(chosen.offer.builtin and chosen.offer.name == FILE for step in self.steps for chosen, _ in step)

    @property
    def only(self) -> Chosen | None:
        """The move, if the path is a single one with linear easing."""
        ((chosen, ease), *more), *rest = self.steps
        return None if more or rest or ease != "linear" else chosen

    def identity(self) -> Tree:
        """Return everything that determines the path, as plain values."""
        if self.only is not None:
            return self.only.identity()
        steps = [[{**chosen.identity(), "ease": ease} for chosen, ease in step] for step in self.steps]
        return {"steps": steps, "shares": list(self.weights)}
