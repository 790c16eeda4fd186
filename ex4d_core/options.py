"""Declare the options of a component: an attrs class whose fields carry help, unit and bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from ex4d_core.bounds import Bounds
from ex4d_core.errors import InvalidConfig

Change = Callable[[str], str]

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], Any]


def option(
    default: Any = attrs.NOTHING,
    *,
    help: str,
    unit: str = "",
    affects_output: bool = True,
    validator: Validator | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    pixel: bool | str = False,
    path: bool | Callable[[str, Change], str] = False,
    former: str = "",
    former_values: Mapping[str, str] | None = None,
) -> Any:
    """Declare a field of an options class.

    Args:
        default: default value; without it the option is required.
        help: one sentence for the command line; the bounds are added.
        unit: unit of the number, such as "degrees", or "".
        affects_output: whether the result depends on the option; if not, cached artifacts stay valid when it changes.
        validator: an attrs validator.
        at_least: lower bound, inclusive; of each number if there are several.
        above: lower bound, exclusive.
        at_most: upper bound, inclusive.
        below: upper bound, exclusive.
        pixel: whether a text option accepts the two numbers of a pixel, [320, 180]; a text joins them, else a comma.
        path: whether the value is a path, which a configuration file states relative to itself. For a text that
            contains paths: a function of the text and of a function that it applies to each path.
        former: former name of the option, still accepted in `--cam`, `--set` and configuration files.
        former_values: former values, still accepted under the former name, and their current equivalents.
    """
    bounds = Bounds(at_least=at_least, above=above, at_most=at_most, below=below)
    checks = [check for check in (_within(bounds, unit) if str(bounds) else None, validator) if check is not None]
    return attrs.field(
        default=default,
        validator=_all(checks) if checks else None,
        metadata={
            "help": _with_bounds(help, bounds),
            "unit": unit,
            "affects_output": affects_output,
            "pixel": pixel,
            "path": path,
            "former": former,
            "former_values": former_values or {},
        },
        kw_only=True,
    )


def with_current_names(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of options with former names and values replaced by the current ones.

    Raises:
        InvalidConfig: an option is set under both names.
    """
    current = dict(values)
    for field in attrs.fields(cls):
        former = field.metadata.get("former")
        if not former or former not in values:
            continue
        if field.name in values:
            raise InvalidConfig(f"{former} is the former name of {field.name}; set only {field.name}", option=former)
        value, equivalents = current.pop(former), field.metadata["former_values"]
        current[field.name] = equivalents.get(value, value) if isinstance(value, str) else value
    return current


def changed_paths(cls: type, values: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Return the values of options with a function applied to each path, see `option`."""
    changed = dict(values)
    for field in attrs.fields(cls):
        path, value = field.metadata.get("path"), values.get(field.name)
        if path and isinstance(value, str) and value:
            changed[field.name] = change(value) if path is True else path(value, change)
    return changed


def _all(checks: Sequence[Validator]) -> Validator:
    """Return a validator that makes all checks, and raises errors that carry the name of the option."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        for each in checks:
            try:
                each(instance, attribute, value)
            except (ValueError, TypeError) as error:
                # attrs writes "'stride' must be >= 1: 0" and "'fit' must be in ('crop', 'pad') (got 'x')", with the
                # attribute and more behind the message in args
                message = re.sub(r"^'(\w+)' (must .*): (\S+)$", r"\1 \2, not \3", str(error.args[0]))
                if listed := re.fullmatch(r"'(\w+)' must be in \((.*?),?\) \(got (.*)\)", message, re.DOTALL):
                    choices = listed[2].replace("'", "")
                    message = f"{listed[1]} must be one of {choices}, not {listed[3]}"
                raise InvalidConfig(message, option=attribute.name) from error

    return check


def _within(bounds: Bounds, unit: str) -> Validator:
    """Return a validator that rejects numbers outside of the bounds; None is valid."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and (fault := bounds.fault(attribute.name, number, unit)):
                raise InvalidConfig(fault)

    return check


def _with_bounds(help: str, bounds: Bounds) -> str:
    words = str(bounds)
    if not words:
        return help
    sentence, end = (help[:-1], ".") if help.endswith(".") else (help, "")
    return f"{sentence}; {words}{end}"
