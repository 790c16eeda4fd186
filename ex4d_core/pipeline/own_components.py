"""Objects of the caller in place of installed components."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

import attrs

from ex4d_core.bounds import shown
from ex4d_core.errors import InvalidConfig
from ex4d_core.plugins.offers import Offer, Source
from ex4d_core.provider import Provider
from ex4d_core.roles import ROLES, Role


@attrs.frozen
class NoOptions:
    """An object of the caller has no options."""


def objects_among(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of roles that are objects, neither names nor tables.

    Raises:
        InvalidConfig: an object lacks a method of its role, or is a class.
    """
    named = [role for role in ROLES.values() if not role.in_cam and role.name in settings]
    objects = {role.name: settings[role.name] for role in named if not isinstance(settings[role.name], str | Mapping)}
    for name, value in objects.items():
        _check(ROLES[name], value)
    return objects


def offer_of(role: str, value: Any) -> Offer:
    """Return an offer that stands for an object; results are keyed by its class and its attribute `version`.

    Without a version, results are not shared with other objects.
    """
    cls = type(value)
    name = re.sub(r"[^a-z0-9_-]", "", cls.__name__.lower()).lstrip("_-0123456789") or "own"
    version = getattr(value, "version", None)
    return Offer(
        role=role,
        source=Source(
            plugin=name,
            module=cls.__module__,
            distribution=f"{cls.__module__}.{cls.__qualname__}",
            version=f"unversioned-{uuid.uuid4().hex}" if version is None else str(version),
        ),
        spec=Provider(
            name=name,
            summary="an object of the caller",
            license="unknown",
            component="builtins:object",  # never imported: the object exists
            options=NoOptions,
        ),
    )


_HINTS = {"depth": '; pass depth itself to run(), and a file as depth={"name": "file", "path": ...}'}
"""Where values go that are often passed for a role."""


def _check(role: Role, value: Any) -> None:
    methods = [name for name in vars(role.protocol) if not name.startswith("_")]
    title = f"a {role.title} is a name, a table of options, or an object with the method {' and '.join(methods)}"
    if isinstance(value, type):
        raise InvalidConfig(f"{title}, not a class; pass an instance, as in {role.name}={value.__name__}()")
    if not all(callable(getattr(value, name, None)) for name in methods):
        raise InvalidConfig(f"{title}, not {shown(value)}{_HINTS.get(role.name, '')}")
