"""The description of a component or command that a plugin offers, before it is imported."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

NAME = r"[a-z][a-z0-9_-]*"
"""Pattern of names: lower-case letters, digits, `-`, `_`."""

_is_setting = attrs.validators.in_(("prompt", "seed"))

OptionSets = Mapping[str, Mapping[str, Any]]
"""Named sets of option values of a component."""


def _is_options_class(instance: object, attribute: attrs.Attribute[type], value: type) -> None:
    if not (isinstance(value, type) and attrs.has(value)):
        raise ValueError(f"options must be an attrs class, not {value!r}")


def _has_known_options(instance: Provider, attribute: attrs.Attribute[OptionSets], value: OptionSets) -> None:
    known = {field.name for field in attrs.fields(instance.options)}
    for name, options in value.items():
        if unknown := [key for key in options if key not in known]:
            raise ValueError(f"{attribute.name}: {name!r} sets {unknown[0]!r}, which is not one of its options")


def _has_words(instance: object, attribute: attrs.Attribute[OptionSets], value: OptionSets) -> None:
    if wrong := [word for word in value if not re.fullmatch(rf"{NAME}|-?\d+", word)]:
        raise ValueError(f"{attribute.name}: {wrong[0]!r} must be lower-case letters, digits, '-' and '_'")


def _are_known_options(instance: Provider, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    known = {field.name for field in attrs.fields(instance.options)}
    if unknown := [name for name in value if name not in known]:
        raise ValueError(f"{attribute.name}: {unknown[0]!r} is not one of its options")


def _is_import_path(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    module, colon, name = value.partition(":")
    if not (module and colon and name.isidentifier()):
        raise ValueError(f"{attribute.name} must read 'package.module:name', not {value!r}")


def _is_priority(instance: object, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and type(value) is not int:
        raise ValueError(f"auto must be a whole number or None, not {value!r}")


def _are_seconds(instance: object, attribute: attrs.Attribute[Any], value: Mapping[str, Seconds]) -> None:
    for device, seconds in value.items():
        if device not in ("cpu", "cuda", "mps") or not isinstance(seconds, Seconds):
            raise ValueError(f"typical_seconds must have Seconds by kind of device, not {device!r}: {seconds!r}")


def _has_weights(instance: Provider, attribute: attrs.Attribute[Any], value: Download | None) -> None:
    if value is not None and not instance.weights:
        raise ValueError("offer_download describes weights, and the field weights does not list any")


def _is_import_path_or_empty(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value:
        _is_import_path(instance, attribute, value)


@attrs.frozen(kw_only=True)
class Download:
    """A small download that commands offer in a terminal, as the question describes it."""

    title: str = attrs.field(validator=attrs.validators.min_len(1))
    """What it is, such as `Depth Anything V2 Small`."""

    license: str = attrs.field(validator=attrs.validators.min_len(1))
    """SPDX identifier or a short sentence."""

    size: int = attrs.field(validator=[attrs.validators.instance_of(int), attrs.validators.gt(0)])
    """In bytes."""

    def __str__(self) -> str:
        size = f"{self.size / 1e9:.1f} GB" if self.size >= 1e9 else f"{max(1, round(self.size / 1e6))} MB"
        return f"{self.title}, {self.license}, {size}"


@attrs.frozen(kw_only=True)
class Seconds:
    """The typical time of a component: the sum of both parts, for each frame."""

    per_frame: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    """Of work that does not depend on the size of the frame, such as that of a network with a fixed input size."""

    per_megapixel: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    """For a million pixels of a frame."""

    def of(self, frames: int, pixels: int) -> float:
        """Return the seconds for frames with so many pixels each."""
        return frames * (self.per_frame + self.per_megapixel * pixels / 1e6)


@attrs.frozen(kw_only=True)
class Provider:
    """The declaration of a component; its module is imported on first use."""

    name: str = attrs.field(validator=attrs.validators.matches_re(NAME))
    """The name that users type: lower-case letters, digits, `-`, `_`."""

    summary: str = attrs.field(validator=attrs.validators.min_len(1))
    """One-line description."""

    license: str = attrs.field(validator=attrs.validators.min_len(1))
    """SPDX identifier or a short sentence, including the license of the weights."""

    usage_terms: str = ""
    """One sentence on terms that restrict the use of results, printed once in a run, or ''."""

    component: str = attrs.field(validator=_is_import_path)
    """Path of the class, `"package.module:Class"`; instances are created as `Class(options, device=device)`."""

    options: type = attrs.field(validator=_is_options_class)
    """The attrs class of the options; its module must import nothing heavy."""

    presets: OptionSets = attrs.field(factory=dict, validator=_has_known_options, hash=False)
    """Options that `--compat NAME` sets, by that name, such as `{"ex4d": {"far": 10000.0}}`."""

    aliases: OptionSets = attrs.field(factory=dict, validator=[_has_words, _has_known_options], hash=False)
    """Further names of a trajectory generator in `--cam`, each with the options that it sets, such as
    `{"pan_left": {"amount": -25}}`; options of the user replace them."""

    angle_options: tuple[str, ...] = attrs.field(default=(), validator=_are_known_options)
    """Options of a trajectory generator that plain angles in `--cam` set: one for `30`, two for `-90..90`. A whole
    number in `aliases`, such as `"180"`, takes precedence."""

    devices: tuple[str, ...] = ("cpu", "cuda", "mps")
    """Kinds of device on which `auto` may select the component."""

    auto: int | None = attrs.field(default=None, validator=_is_priority)
    """Priority for automatic selection; higher is tried first, None is never selected."""

    ignores: tuple[str, ...] = attrs.field(default=(), validator=attrs.validators.deep_iterable(_is_setting))
    """Settings of the run that a backbone does not read, of `("prompt", "seed")`. Its results are reused when they
    change, and a run that sets one prints a warning."""

    expects: OptionSets = attrs.field(factory=dict, hash=False)
    """Options of other sections, `guidance` and `mesh`, for which a backbone was made, such as
    `{"guidance": {"background": "none"}}`. They replace defaults; those of the user take precedence, and a mesh builder
    without such an option disregards it."""

    requires: tuple[str, ...] = ()
    """Required modules, such as `("open3d",)`."""

    install_hint: tuple[str, ...] = ()
    """Commands that install the required modules, if `pip install MODULE` does not."""

    weights: str = attrs.field(default="", validator=_is_import_path_or_empty)
    """Path of a function that lists the weights, `"package.module:function"`, or ''. It takes the options and returns a
    list of `ex4d_core.hub.HubRepo`, local folders included; its module must import nothing heavy."""

    preview: bool = False
    """Whether results stand in for those of a model: guessed depth, or holes filled without a generative model."""

    gpu_memory: float = attrs.field(default=0, validator=attrs.validators.ge(0))
    """Minimum GPU memory with the most economical options, in GiB; 0 if no GPU is required."""

    typical_seconds: Mapping[str, Seconds] = attrs.field(factory=dict, validator=_are_seconds, hash=False)
    """Typical time by kind of device, such as `{"cpu": Seconds(per_megapixel=0.08)}`. A run states how long it takes
    before it starts; after the first run on a machine, the time measured there counts."""

    offer_download: Download | None = attrs.field(
        default=None, validator=[attrs.validators.optional(attrs.validators.instance_of(Download)), _has_weights]
    )
    """The weights of the default options, if a command may offer to download them when they are missing."""

    gpu_hints: str = attrs.field(default="", validator=_is_import_path_or_empty)
    """Path of a function that returns hints for a GPU, `"package.module:function"`, or ''. It takes the GPU memory in
    bytes and returns sentences, such as which options fit and how long a run takes; `ex4d doctor` prints them for each
    GPU. Its module must import nothing heavy."""

    contract: str = attrs.field(default="", validator=_is_import_path_or_empty)
    """Path of the contract tests, `"package.module:Class"`, or '' for those of the role. The class derives from the
    contract of the role (`ex4d_core.testing.contracts`) and adds claims of the component; `ex4d plugins check` runs it.
    Its module is imported by tests only."""

    def seconds_for(self, options: object, device_type: str) -> Seconds | None:
        """Return the typical time; a method `typical_seconds(device_type)` of the options replaces the field."""
        own: Callable[[str], Seconds | None] | None = getattr(options, "typical_seconds", None)
        return self.typical_seconds.get(device_type) if own is None else own(device_type)

    def usage_terms_for(self, options: object) -> str:
        """Return the terms of use; a method `usage_terms() -> str` of the options replaces the field."""
        own: Callable[[], str] | None = getattr(options, "usage_terms", None)
        return self.usage_terms if own is None else own()


@attrs.frozen(kw_only=True)
class Command:
    """The declaration of a sub-command of `ex4d`; its module is imported when it is called."""

    name: str = attrs.field(validator=attrs.validators.matches_re(NAME))
    """The name that users type after `ex4d`: lower-case letters, digits, `-`, `_`."""

    summary: str = attrs.field(validator=attrs.validators.min_len(1))
    """One-line description, shown by `ex4d --help`."""

    app: str = attrs.field(validator=_is_import_path)
    """Path of a Typer app, or of a function with arguments that Typer can read, `"package.module:name"`."""

    license: str = ""
    """SPDX identifier or a short sentence, including the license of the weights."""

    requires: tuple[str, ...] = ()
    """Required modules, such as `("viser",)`."""

    install_hint: tuple[str, ...] = ()
    """Commands that install the required modules, if `pip install MODULE` does not."""

    weights: str = attrs.field(default="", validator=_is_import_path_or_empty)
    """Path of a function without arguments that lists the weights that `ex4d fetch NAME` downloads, or ''. It returns
    a list of `ex4d_core.hub.HubRepo`; its module must import nothing heavy."""
