"""The description of a component or command that a plugin offers, before it is imported."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

NAME = r"[a-z][a-z0-9_-]*"
"""What users type: lower-case letters, digits, `-`, `_`."""

OptionSets = Mapping[str, Mapping[str, Any]]
"""Values of some options of a component, by a name for them."""


def _is_options_class(instance: object, attribute: attrs.Attribute[type], value: type) -> None:
    if not (isinstance(value, type) and attrs.has(value)):
        raise ValueError(f"options must be an attrs class, not {value!r}")


def _has_known_options(instance: Provider, attribute: attrs.Attribute[OptionSets], value: OptionSets) -> None:
    known = {field.name for field in attrs.fields(instance.options)}
    for name, options in value.items():
        if unknown := [key for key in options if key not in known]:
            raise ValueError(f"{attribute.name}: {name!r} sets {unknown[0]!r}, which is not one of its options")


def _has_words(instance: object, attribute: attrs.Attribute[OptionSets], value: OptionSets) -> None:
    if wrong := [word for word in value if not re.fullmatch(NAME, word)]:
        raise ValueError(f"{attribute.name}: {wrong[0]!r} must be lower-case letters, digits, '-' and '_'")


def _is_import_path(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    module, colon, name = value.partition(":")
    if not (module and colon and name.isidentifier()):
        raise ValueError(f"{attribute.name} must read 'package.module:name', not {value!r}")


def _is_priority(instance: object, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and type(value) is not int:
        raise ValueError(f"auto must be a whole number or None, not {value!r}")


def _is_import_path_or_empty(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value:
        _is_import_path(instance, attribute, value)


@attrs.frozen(kw_only=True)
class Provider:
    """An offer of a component, light enough to list: nothing is imported until it is used."""

    name: str = attrs.field(validator=attrs.validators.matches_re(NAME))
    """What users type: lower-case letters, digits, `-`, `_`."""

    summary: str = attrs.field(validator=attrs.validators.min_len(1))
    """One line that says what it does."""

    license: str = attrs.field(validator=attrs.validators.min_len(1))
    """SPDX identifier or a short sentence, of the weights too where there are any."""

    usage_terms: str = ""
    """One sentence about terms that restrict what its results may be used for, said once in a run, or ''."""

    component: str = attrs.field(validator=_is_import_path)
    """Where the class is, `"package.module:Class"`; it is made as `Class(options, device=device)`."""

    options: type = attrs.field(validator=_is_options_class)
    """The attrs class of its options; its module must be cheap to import."""

    presets: OptionSets = attrs.field(factory=dict, validator=_has_known_options, hash=False)
    """Options that `--compat NAME` changes, by that name, such as `{"ex4d": {"far": 10000.0}}`."""

    aliases: OptionSets = attrs.field(factory=dict, validator=[_has_words, _has_known_options], hash=False)
    """Other words for a trajectory generator in `--cam`, each with the options that it stands for, such as
    `{"pan_left": {"by": -25}}`; options that the user gives replace them."""

    devices: tuple[str, ...] = ("cpu", "cuda", "mps")
    """Kinds of device that it is worth choosing on without being asked for."""

    auto: int | None = attrs.field(default=None, validator=_is_priority)
    """Priority when nobody names a component for the role; higher is tried first, and None is never chosen."""

    requires: tuple[str, ...] = ()
    """Modules that must be importable before it can be used, such as `("open3d",)`."""

    install_hint: tuple[str, ...] = ()
    """Commands that bring what it needs, where `pip install` of the needs' own names would not."""

    weights: str = attrs.field(default="", validator=_is_import_path_or_empty)
    """The function that names its weights, `"package.module:function"`, or ''. It takes the options and returns a
    list of `ex4d_core.hub.local.HubRepo`, folders of the user's included; its module must be cheap to import."""

    gpu_hints: str = attrs.field(default="", validator=_is_import_path_or_empty)
    """The function that says what a GPU will do for it, `"package.module:function"`, or ''. It takes the bytes of the
    GPU's memory and returns sentences, such as which options fit and how long it will take; `ex4d doctor` shows them
    for each GPU. Its module must be cheap to import."""

    contract: str = attrs.field(default="", validator=_is_import_path_or_empty)
    """The class of its contract, `"package.module:Class"`, or '' for that of its role. It derives from that one
    (`ex4d_core.testing.contracts`), and says what the component claims beyond it; `ex4d plugins check` runs it. Its
    module is imported by tests only."""

    def usage_terms_for(self, options: object) -> str:
        """Return the terms of use; options with a method `usage_terms() -> str` may depend on their values."""
        own: Callable[[], str] | None = getattr(options, "usage_terms", None)
        return self.usage_terms if own is None else own()


@attrs.frozen(kw_only=True)
class Command:
    """An offer of a sub-command of `ex4d`, light enough to list: nothing is imported until it is called."""

    name: str = attrs.field(validator=attrs.validators.matches_re(NAME))
    """What users type after `ex4d`: lower-case letters, digits, `-`, `_`."""

    summary: str = attrs.field(validator=attrs.validators.min_len(1))
    """One line that says what it does, shown by `ex4d --help`."""

    app: str = attrs.field(validator=_is_import_path)
    """Where it is, `"package.module:name"`: a Typer app, or a function whose arguments Typer can read."""

    license: str = ""
    """SPDX identifier or a short sentence."""

    requires: tuple[str, ...] = ()
    """Modules that must be importable before it can be called, such as `("viser",)`."""

    install_hint: tuple[str, ...] = ()
    """Commands that bring what it needs, where `pip install` of the needs' own names would not."""
