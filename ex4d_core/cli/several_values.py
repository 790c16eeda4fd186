"""`--set` texts with several values, such as `mesh.min_angle=1,2.5,8`.

A comma separates values only if the option takes a single number, a switch or a word of a fixed set, and in the name of
a component. In all other options, such as texts, paths, pixels and lists, it is a part of the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from ex4d_core.config.run_config import ComponentConfig, RunConfig
from ex4d_core.errors import InvalidConfig
from ex4d_core.roles import ROLES

if TYPE_CHECKING:  # heavy imports
    from ex4d_core.plugins.registry import Registry


def one_value(settings: Sequence[str], make: Callable[[Sequence[str]], Any]) -> Any:
    """Return the configuration with `--set` texts, for a command without sweeps.

    Raises:
        InvalidConfig: a text has several values.
    """
    if values := expanded(settings)[0][0]:
        names = " and ".join(values)
        raise InvalidConfig(f"this command takes one value of {names}; ex4d run and ex4d recon compare several")
    return make(settings)


def expanded(settings: Sequence[str]) -> list[tuple[dict[str, str], list[str]]]:
    """Return each combination of the values in `--set` texts, and the texts with it; one without values if none sweeps.

    Raises:
        InvalidConfig: a value is empty or given twice.
    """
    from ex4d_core.plugins.registry import Registry
    from ex4d_core.runs.sweep import combinations

    swept: dict[str, list[str]] = {}
    plain: list[str] = []
    registry = Registry() if any("," in text for text in settings) else None
    for text in settings:
        key, _, value = text.partition("=")
        if registry is not None and "," in value and takes_one_value(key.strip(), registry):
            swept[key.strip()] = [each.strip() for each in value.split(",")]
            if "" in swept[key.strip()]:
                raise InvalidConfig(f"--set {text!r} has an empty value; separate values by single commas")
        else:
            swept.pop(key.strip(), None)  # a later text replaces an earlier one
            plain.append(text)
    return [(values, [*plain, *(f"{key}={value}" for key, value in values.items())]) for values in combinations(swept)]


def takes_one_value(key: str, registry: Registry) -> bool:
    """Return whether SECTION.OPTION is a number, a switch, a word of a fixed set, or the name of a component."""
    section, _, option = key.partition(".")
    if section not in ROLES:
        kind: Any = get_type_hints(RunConfig).get(section)
        classes = [kind] if attrs.has(kind) and kind is not ComponentConfig else []
    elif option == "name" and not ROLES[section].in_cam:
        return True
    else:
        classes = [offer.spec.options for offer in registry.offers(section)]
    kinds = [kind for cls in classes for kind in _kinds(cls, option)]
    return bool(kinds) and all(map(_is_scalar, kinds))


def _kinds(cls: type, option: str) -> Iterable[Any]:
    """Yield the type of an option of a class, if it has one of that name or former name."""
    fields = attrs.fields(cls)
    names = [field.name for field in fields if option in (field.name, field.metadata.get("former"))]
    return (get_type_hints(cls)[name] for name in names)


def _is_scalar(kind: Any) -> bool:
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return all(part in (bool, int, float, NoneType) or get_origin(part) is Literal for part in parts)
