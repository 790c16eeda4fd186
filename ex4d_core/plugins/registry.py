"""Components by role and name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import attrs

from ex4d_core.errors import ComponentNotFound, InvalidConfig, PluginFailed, nearest
from ex4d_core.plugins.discovery import Plugins, find_plugins
from ex4d_core.plugins.offers import Offer
from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
from ex4d_core.roles import ROLES

MORE = "see 'Available plugins' in docs/plugins.md for others and how to install them"
"""What to do where a component is not installed."""


@attrs.frozen(kw_only=True)
class Choice:
    """What `auto` took."""

    offer: Offer
    rejected: tuple[str, ...] = ()
    """What would have been better, each with the reason why it was not taken."""


def _full_names(name: str, offers: Iterable[Offer]) -> str:
    return " or ".join(f"{name}@{offer.source.distribution}" for offer in offers)


class Registry:
    """The components that are installed, found once, when first asked for."""

    def __init__(self, plugins: Plugins | None = None) -> None:
        self._given = plugins

    @cached_property
    def plugins(self) -> Plugins:
        """What was found."""
        return self._given or find_plugins()

    def offers(self, role: str) -> list[Offer]:
        """Return the offers for a role."""
        assert role in ROLES, role
        return [offer for offer in self.plugins.offers if offer.role == role]

    def find(self, role: str, name: str) -> Offer:
        """Return the offer of a name or alias, or of `name@distribution` where two plugins use one name.

        The plain name of a built-in component stays its own, whatever is installed, and names win over aliases.

        Raises:
            ComponentNotFound: nothing of that name is installed.
            PluginFailed: the plugin of that name is installed and broken.
            InvalidConfig: several plugins offer the name.
        """
        wanted, _, distribution = name.partition("@")
        found = self._named(role, wanted, distribution)
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidConfig(f"several plugins offer the {role} {wanted!r}; say {_full_names(wanted, found)}")
        self._refuse_broken(wanted)
        names = sorted({o.name for o in self.offers(role)})
        aliases = [alias for o in self.offers(role) for alias in o.spec.aliases]
        raise ComponentNotFound(
            f"there is no {role} {name!r}{nearest(wanted, [*names, *aliases])}; "
            f"installed: {', '.join(names) or 'none'}; {MORE}"
        )

    def find_anywhere(self, name: str) -> Offer:
        """Return the offer of a name whatever its role, or of `role.name` where two roles use one name.

        Raises:
            ComponentNotFound: nothing of that name is installed.
            PluginFailed: the plugin of that name is installed and broken.
            InvalidConfig: several components have the name.
        """
        role, dot, rest = name.partition(".")
        if dot and role in ROLES:
            return self.find(role, rest)
        wanted = name.partition("@")[0]
        roles = sorted({offer.role for offer in self.plugins.offers if offer.name == wanted})
        if len(roles) == 1:
            return self.find(roles[0], name)
        if roles:
            raise InvalidConfig(f"several roles have a {wanted!r}; say {' or '.join(f'{r}.{name}' for r in roles)}")
        self._refuse_broken(wanted)
        names = {offer.name for offer in self.plugins.offers}
        raise ComponentNotFound(
            f"there is no component {name!r}{nearest(wanted, names)}; see ex4d plugins list; {MORE}"
        )

    def auto_names(self, role: str) -> list[str]:
        """Return the names that `auto` tries, the highest priority first, then in alphabetical order."""
        priorities: dict[str, int] = {}
        for offer in self.offers(role):
            # Where a name is a built-in component's, the priority of another of that name does not count.
            if offer.spec.auto is not None and offer in self._named(role, offer.name):
                priorities[offer.name] = max(offer.spec.auto, priorities.get(offer.name, offer.spec.auto))
        return sorted(priorities, key=lambda name: (-priorities[name], name))

    def choose(
        self, role: str, device_type: str, *, lacks_weights: Callable[[Offer], bool] = lambda offer: False
    ) -> Choice:
        """Return the offer of highest priority that works for a role on a kind of device (`cpu`, `cuda`, `mps`).

        Where all that would do lack their weights, the best of them: using it says how to get them.

        Raises:
            ComponentNotFound: nothing that is installed will do.
        """
        better: list[str] = []
        unfetched: list[Offer] = []
        for name in self.auto_names(role):
            found = self._named(role, name)
            if len(found) > 1:
                better.append(f"{name} is offered by several plugins (say {_full_names(name, found)})")
            if len(found) != 1:
                continue
            offer = found[0]
            if unavailable_reason := offer.unavailable_reason(device_type):
                better.append(f"{offer.name} {unavailable_reason}")
            elif lacks_weights(offer):
                better.append(f"{offer.name} has no weights on this machine (ex4d fetch {offer.name})")
                unfetched.append(offer)
            else:
                return Choice(offer=offer, rejected=tuple(better))
        if unfetched:
            return Choice(offer=unfetched[0])
        names = ", ".join(sorted({o.name for o in self.offers(role)})) or "none is installed"
        alternative = ROLES[role].alternative and f"give {ROLES[role].alternative}, or "
        raise ComponentNotFound(
            f"no {role} can be chosen on its own here; {alternative}name one with --{role}: {names}"
        )

    def _named(self, role: str, name: str, distribution: str = "") -> list[Offer]:
        """Return what a name means: a built-in component's plain name is its own, whatever is installed."""
        offers = [o for o in self.offers(role) if distribution in ("", o.source.distribution)]
        found = [o for o in offers if o.name == name]
        if not found and ROLES[role].in_cam:
            found = [o for o in offers if name in o.spec.aliases]
        return [o for o in found if o.builtin] or found

    def _refuse_broken(self, name: str) -> None:
        for problem in self.plugins.broken:
            if name in (problem.source.plugin, problem.source.distribution):
                raise PluginFailed(problem.sentence())

    def make(self, offer: Offer, options: object, *, device: Any) -> Any:
        """Import the component of an offer and make it."""
        component = offer.load()
        with redirect_stdout_to_stderr():
            return component(options, device=device)
