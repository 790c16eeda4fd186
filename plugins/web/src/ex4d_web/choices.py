"""The components that a user can choose from, with the reasons of automatic selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs

from ex4d_core.errors import ComponentNotFound, Ex4dError, InvalidInput
from ex4d_core.pipeline.session import Session
from ex4d_web.settings import FILE


@attrs.frozen(kw_only=True)
class Choices:
    """The components of a role on this server."""

    names: tuple[str, ...]
    """`auto`, and the components that can be used."""
    auto: str = ""
    """The component that `auto` selects, or '' if there is none."""
    summaries: dict[str, str]
    """What each component does, by name."""
    reasons: tuple[str, ...] = ()
    """Why `auto` does not select components of higher priority."""
    unavailable: tuple[str, ...] = ()
    """A sentence for each installed component that cannot be used."""

    def labels(self) -> list[tuple[str, str]]:
        """Return the entries of a menu: the shown text and the name."""
        auto = f"auto: {self.auto}" if self.auto else "auto"
        return [(auto if name == "auto" else f"{name}: {self.summaries[name]}", name) for name in self.names]

    def check(self, name: str, role: str) -> str:
        """Return a name after checking that it is one of the choices.

        Raises:
            InvalidInput: it is not.
        """
        if name not in self.names:
            raise InvalidInput(f"{role} must be one of {', '.join(self.names)}")
        return name


def choices_of(role: str, session: Session) -> Choices:
    """Return the components of a role that work on this machine; `auto` always is a choice."""
    usable, unavailable, summaries = [], [], {}
    for offer in sorted(session.registry.offers(role), key=lambda each: each.name):
        if offer.name == FILE:
            continue
        try:
            reason = offer.unavailable_reason(session.device.type)
            if not reason and session.lacks_weights(offer):
                reason = f"requires weights (ex4d fetch {offer.name} on the server)"
        except Ex4dError as error:
            reason = str(error)
        summaries[offer.name] = offer.spec.summary
        if reason:
            unavailable.append(f"{offer.name} {reason}")
        elif offer.name not in usable:
            usable.append(offer.name)
    auto, reasons = "", tuple[str, ...]()
    try:
        choice = session.choose_automatically(role)
        auto, reasons = choice.offer.name, choice.rejected
    except ComponentNotFound:
        pass
    return Choices(
        names=("auto", *usable), auto=auto, summaries=summaries, reasons=reasons, unavailable=tuple(unavailable)
    )


def option_values(session: Session, role: str, name: str, option: str) -> Sequence[str] | None:
    """Return the values of an option of a component: () for any text, None if it does not have the option."""
    try:
        offer = session.registry.find(role, name)
    except Ex4dError:
        return None
    kind: Any = get_type_hints(offer.spec.options).get(option)
    if kind is None:
        return None
    return get_args(kind) if get_origin(kind) is Literal else ()
