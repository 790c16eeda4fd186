"""Components by role and name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.errors import ComponentNotFound, InvalidConfig, PluginFailed, nearest
from ex4d_core.hub.untrusted_weights import one_at_a_time
from ex4d_core.plugins.crashes import named_crash
from ex4d_core.plugins.discovery import Plugins, find_plugins
from ex4d_core.plugins.known import known_names, where_to_get, where_to_get_models
from ex4d_core.plugins.offers import Offer
from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
from ex4d_core.roles import ROLES

MORE = "docs/plugins.md lists others and how to install them"
"""Hint for a component that is not installed."""


@attrs.frozen(kw_only=True)
class Choice:
    """The component that `auto` selects."""

    offer: Offer
    rejected: tuple[str, ...] = ()
    """Components of higher priority, each with the reason why it was not selected."""
    unfetched: tuple[Offer, ...] = ()
    """Those of them that lack only their weights."""


def _full_names(name: str, offers: Iterable[Offer]) -> str:
    return " or ".join(f"{name}@{offer.source.distribution}" for offer in offers)


def _without_weights(offer: Offer) -> str:
    """Return why a component without its weights is not selected, with the commands that download them."""
    if download := offer.spec.offer_download:
        return f"{offer.name} requires weights ({download}: type ex4d fetch {offer.name})"
    return f"{offer.name} requires weights (type ex4d fetch {offer.name})"


def _is_file(name: str) -> bool:
    """Return whether the name of a component is that of a file, which may be missing."""
    return Path(name).is_file() or Path(name).suffix.lower() in (".exr", ".mkv", ".mp4", ".npy", ".npz", ".zip")


def _builtin_first(offers: list[Offer]) -> list[Offer]:
    return [offer for offer in offers if offer.builtin] or offers


class Registry:
    """The installed components; plugins are discovered on first use."""

    def __init__(self, plugins: Plugins | None = None) -> None:
        self._given = plugins

    @cached_property
    def plugins(self) -> Plugins:
        """The installed plugins."""
        return self._given or find_plugins()

    def offers(self, role: str) -> list[Offer]:
        """Return the offers for a role."""
        assert role in ROLES, role
        return [offer for offer in self.plugins.offers if offer.role == role]

    def find(self, role: str, name: str, *, angles: int = 0) -> Offer:
        """Return the component with a name or alias, or with `name@distribution` if two plugins use one name.

        The plain name of a built-in component always refers to it, and names take precedence over aliases.

        Args:
            role: role of the component.
            name: name or alias, optionally with `@distribution`.
            angles: number of plain angles that `name` consists of; without such an alias, the component that accepts
                as many is returned.

        Raises:
            ComponentNotFound: no installed component has that name.
            PluginFailed: the plugin of that name is disabled.
            InvalidConfig: several plugins use the name.
        """
        plain_name, _, distribution = name.partition("@")
        found = self._named(role, plain_name, distribution)
        by_angles = angles > 0 and not found
        if by_angles:
            found = _builtin_first([o for o in self.offers(role) if len(o.spec.angle_options) == angles])
        if len(found) == 1:
            return found[0]
        if found:
            full_names = _full_names(found[0].name if by_angles else plain_name, found)
            raise InvalidConfig(f"several plugins offer the {role} {plain_name!r}; use {full_names}")
        self._refuse_broken(plain_name)
        if sentence := where_to_get(plain_name, role):
            raise ComponentNotFound(sentence)
        if (flag := ROLES[role].alternative) and _is_file(name):
            given = f'{flag.replace("FILE", name)}, or in Python {role}={{"name": "file", "path": "{name}"}}'
            raise ComponentNotFound(f"{name!r} is a file, not the name of a {ROLES[role].title}; use {given}")
        names = sorted({o.name for o in self.offers(role)})
        aliases = [alias for o in self.offers(role) for alias in o.spec.aliases]
        guess = nearest(
            plain_name,
            [*names, *aliases, *known_names(role)],
            then=f"installed: {', '.join(names) or 'none'}; {MORE}",
        )
        raise ComponentNotFound(f"unknown {ROLES[role].title} {name!r}{guess}")

    def find_anywhere(self, name: str) -> Offer:
        """Return the component with a name, whatever its role, or with `role.name` if two roles use one name.

        Raises:
            ComponentNotFound: no installed component has that name.
            PluginFailed: the plugin of that name is disabled.
            InvalidConfig: several components have the name.
        """
        role, dot, rest = name.partition(".")
        if dot and role in ROLES:
            return self.find(role, rest)
        plain_name = name.partition("@")[0]
        roles = sorted({offer.role for offer in self.plugins.offers if offer.name == plain_name})
        if len(roles) == 1:
            return self.find(roles[0], name)
        if roles:
            full_names = " or ".join(f"{role}.{name}" for role in roles)
            raise InvalidConfig(f"several roles have a component {plain_name!r}; use {full_names}")
        self._refuse_broken(plain_name)
        if sentence := where_to_get(plain_name, *ROLES):
            raise ComponentNotFound(sentence)
        names = {offer.name for offer in self.plugins.offers}
        guess = nearest(plain_name, names, then=f"list all with ex4d plugins list; {MORE}")
        raise ComponentNotFound(f"unknown component {name!r}{guess}")

    def auto_names(self, role: str) -> list[str]:
        """Return the names that `auto` tries, the highest priority first, then in alphabetical order."""
        priorities: dict[str, int] = {}
        for offer in self.offers(role):
            # The priority of a plugin component does not count if a built-in component has its name.
            if offer.spec.auto is not None and offer in self._named(role, offer.name):
                priorities[offer.name] = max(offer.spec.auto, priorities.get(offer.name, offer.spec.auto))
        return sorted(priorities, key=lambda name: (-priorities[name], name))

    def choose(
        self,
        role: str,
        device_type: str,
        *,
        lacks_weights: Callable[[Offer], bool] = lambda offer: False,
        restricts_use: Callable[[Offer], bool] = lambda offer: False,
    ) -> Choice:
        """Return the component of highest priority that works for a role on a kind of device (`cpu`, `cuda`, `mps`).

        If all of these lack their weights, return the first: the error on use names the command that downloads them.

        Args:
            role: role of the component.
            device_type: kind of device.
            lacks_weights: whether the weights of a component are missing.
            restricts_use: whether a component is skipped because its license restricts the use of results.

        Raises:
            ComponentNotFound: no installed component works.
        """
        better: list[str] = []
        unfetched: list[Offer] = []
        for name in self.auto_names(role):
            found = self._named(role, name)
            if len(found) > 1:
                better.append(f"{name} is offered by several plugins (use {_full_names(name, found)})")
            if len(found) != 1:
                continue
            offer = found[0]
            if unavailable_reason := offer.unavailable_reason(device_type):
                better.append(f"{offer.name} {unavailable_reason}")
            elif restricts_use(offer):
                better.append(f"{offer.name} restricts the use of results")
            elif lacks_weights(offer):
                better.append(_without_weights(offer))
                unfetched.append(offer)
            else:
                if offer.spec.preview and not unfetched:
                    better.extend(where_to_get_models(role, device_type))
                return Choice(offer=offer, rejected=tuple(better), unfetched=tuple(unfetched))
        if unfetched:
            return Choice(offer=unfetched[0], unfetched=tuple(unfetched))
        names = ", ".join(sorted({o.name for o in self.offers(role)})) or "none"
        alternative = ROLES[role].alternative and f"{ROLES[role].alternative} or "
        raise ComponentNotFound(
            f"no {ROLES[role].title} can be selected automatically; "
            f"pass {alternative}--{role} NAME (installed: {names})"
        )

    def _named(self, role: str, name: str, distribution: str = "") -> list[Offer]:
        """Return the components with a name or alias; only the built-in one if there is one."""
        offers = [o for o in self.offers(role) if distribution in ("", o.source.distribution)]
        found = [o for o in offers if o.name == name]
        if not found and ROLES[role].in_cam:
            found = [o for o in offers if name in o.spec.aliases]
        return _builtin_first(found)

    def _refuse_broken(self, name: str) -> None:
        for problem in self.plugins.broken:
            if name in (problem.source.plugin, problem.source.distribution):
                raise PluginFailed(problem.sentence())

    def names_with_option(self, role: str, option: str) -> list[str]:
        """Return the names of the components of a role that have an option."""
        return [offer.name for offer in self.offers(role) if option in attrs.fields_dict(offer.spec.options)]

    def load(self, offer: Offer) -> type:
        """Import the class of a component.

        Raises:
            PluginFailed: a required module is missing, or the import failed.
        """
        with one_at_a_time():
            return offer.load()

    def make(self, offer: Offer, options: object, *, device: Any) -> Any:
        """Import the class of a component and create an instance.

        Raises:
            PluginFailed: a required module is missing, or the import failed.
            ComponentCrashed: the component raised an unexpected error.
        """
        component = self.load(offer)
        with redirect_stdout_to_stderr(), named_crash(component):
            return component(options, device=device)
