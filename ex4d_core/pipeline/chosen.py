"""The selected component of a role, or the moves of a camera path, with their checked options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ex4d_core.cameras.language import FILE
from ex4d_core.config.presets import preset_options
from ex4d_core.config.run_config import Tree, make_options, merge, refuse_unknown
from ex4d_core.options import with_current_names
from ex4d_core.plugins.offers import Offer


def options_of(
    offer: Offer,
    given: Mapping[str, Any],
    *,
    compat: str | None,
    expected: Mapping[str, Any] | None = None,
    prefix: str | None = None,
) -> Any:
    """Return the options of a component: those of the preset, replaced by those of the user.

    Args:
        offer: the component.
        given: options of the user.
        compat: name of the preset.
        expected: options that the backbone expects, replaced by those of the preset; others than those of the component
            are disregarded.
        prefix: section of the options in messages; by default the role.

    Raises:
        InvalidConfig: an option is unknown, missing or invalid.
    """
    cls, given = offer.spec.options, _known(offer, given)
    expected = {name: value for name, value in (expected or {}).items() if name in attrs.fields_dict(cls)}
    values = merge(expected, preset_options(compat, offer.spec), given)
    return make_options(cls, values, offer.role if prefix is None else prefix)


def check_options_of(offer: Offer, given: Mapping[str, Any], *, compat: str | None) -> None:
    """Check options of the user; a required one may be missing, since what it describes may be passed to a run instead.

    Raises:
        InvalidConfig: an option is unknown, or has an invalid value.
    """
    values = merge(preset_options(compat, offer.spec), _known(offer, given))
    if all(field.default is not attrs.NOTHING or field.name in values for field in attrs.fields(offer.spec.options)):
        make_options(offer.spec.options, values, offer.role)


def _known(offer: Offer, given: Mapping[str, Any]) -> Tree:
    """Return options under their current names; refuse those that the component does not have."""
    current = with_current_names(offer.spec.options, given)
    refuse_unknown(current, [*attrs.fields_dict(offer.spec.options)], offer.role, component=offer.name)
    return current


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
