"""Finding plugins, and keeping a broken one from spoiling the rest.

There is no global plugin manager: `find_plugins` looks afresh each time and returns a frozen record.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import reprlib
import textwrap
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeVar

import attrs
import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ex4d_core import hookspecs
from ex4d_core.distributions import CORE_DISTRIBUTION, GROUP, upgrade_command
from ex4d_core.errors import Ex4dError, PluginFailed, nearest, one_line, unexpected
from ex4d_core.hub.local import HubRepo
from ex4d_core.plugins.commands import CommandOffer, command_clashes
from ex4d_core.plugins.offers import Offered
from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
from ex4d_core.provider import Command, Provider
from ex4d_core.roles import ROLES
from ex4d_core.version import __version__

BUILTINS = ("ex4d_core.builtin.plugin",)
"""Modules of the core that are plugins like any other."""

COMMANDS = "ex4d_commands"
"""The hook that offers sub-commands."""

HOOKS = (*(role.hook for role in ROLES.values()), COMMANDS)

_Kind = TypeVar("_Kind", Provider, Command)

SLOW = 1.0
"""Seconds that asking one plugin may take before people are told who makes them wait."""


class _OtherCore(PluginFailed):
    """The plugin and this version of the core do not fit."""


@attrs.frozen(kw_only=True)
class Offer(Offered):
    """A component that an installed plugin provides."""

    role: str
    provider: Provider

    @property
    def spec(self) -> Provider:
        """What the plugin says of it."""
        return self.provider

    @property
    def title(self) -> str:
        """Its role and name."""
        return f"{self.role} {self.name!r}"

    @property
    def builtin(self) -> bool:
        """Whether it came with the core."""
        return self.distribution == CORE_DISTRIBUTION

    def unavailable_reason(self, device_type: str) -> str:
        """Return why it is not worth choosing on a kind of device, or ''."""
        if device_type not in self.provider.devices:
            return f"is for {' or '.join(self.provider.devices)}"
        if missing := self.missing_requirements():
            return f"needs {' and '.join(missing)} ({' && '.join(self.install_commands())})"
        return ""

    def load(self) -> type:
        """Import and return the component's class.

        Raises:
            PluginFailed: a module that it needs is missing, or importing it failed.
        """
        self.check_requirements()
        component: type = self._imported(self.provider.component)
        return component

    def weights(self, options: object) -> list[HubRepo]:
        """Return the files on the hub that it needs with these options; folders of the user's are left out.

        Raises:
            PluginFailed: the function that names them could not be imported or failed.
        """
        if not self.provider.weights:
            return []
        name_files = self._imported(self.provider.weights)
        try:
            return [files for files in name_files(options) if files.folder() is None]
        except Ex4dError:
            raise
        except Exception as error:
            raise PluginFailed(f"the {self.title} cannot name its weights: {unexpected(error)}") from error

    def alias_options(self, word: str) -> Mapping[str, Any]:
        """Return the options that a word of `--cam` stands for: none for its own name."""
        return self.provider.aliases.get(word.partition("@")[0], {})

    def contract(self) -> type | None:
        """Return the class of tests that its plugin has for it, or None; pytest must be there.

        Raises:
            PluginFailed: importing it failed.
        """
        return self._imported(self.provider.contract) if self.provider.contract else None

    def gpu_hints(self, gpu_bytes: int) -> list[str]:
        """Return sentences on what it will do on a GPU with so much memory.

        Raises:
            PluginFailed: the function that says so could not be imported or failed.
        """
        if not self.provider.gpu_hints:
            return []
        advise = self._imported(self.provider.gpu_hints)
        try:
            return [str(sentence) for sentence in advise(gpu_bytes)]
        except Exception as error:
            raise PluginFailed(f"the {self.title} has no advice for this GPU: {one_line(error)}") from error


@attrs.frozen(kw_only=True)
class Problem:
    """Something wrong with a plugin that is installed."""

    plugin: str
    distribution: str
    version: str
    wants: str
    """What it asks of the core, such as `ex4d-core>=0.1`, or ''."""
    error: str
    next_step: str
    """The command to type next."""
    disabled: bool = True
    """Whether nothing of the plugin can be used; otherwise it works and could do better."""

    def sentence(self) -> str:
        """Return one line for a warning."""
        who = f"plugin {self.plugin!r} ({self.distribution} {self.version})"
        return (
            f"{who} {'is disabled' if self.disabled else 'works with a warning'}: {self.error}; try: {self.next_step}"
        )


@attrs.frozen(kw_only=True)
class Plugins:
    """What is installed: the components and commands that work, and what is wrong with plugins."""

    offers: tuple[Offer, ...]
    problems: tuple[Problem, ...]
    commands: tuple[CommandOffer, ...] = ()

    @property
    def broken(self) -> tuple[Problem, ...]:
        """The plugins that are left out."""
        return tuple(problem for problem in self.problems if problem.disabled)


@attrs.frozen(kw_only=True)
class _Source:
    """One plugin, not imported yet."""

    plugin: str
    module: str
    distribution: str
    version: str
    wants: str


def find_plugins(disabled: Iterable[str] | None = None) -> Plugins:
    """Return everything that is installed.

    Args:
        disabled: names of plugins or distributions to leave out; by default those in
            `EX4D_DISABLE_PLUGINS`, separated by commas.
    """
    if disabled is None:
        disabled = filter(None, os.environ.get("EX4D_DISABLE_PLUGINS", "").split(","))
    unwanted = {name.strip() for name in disabled}
    offers: list[Offer] = []
    commands: list[CommandOffer] = []
    problems: list[Problem] = []
    for source in _sources():
        if unwanted & {source.plugin, source.distribution}:
            continue
        started = time.perf_counter()
        with redirect_stdout_to_stderr() as heard:
            try:
                its_offers, its_commands = _ask(source)
            except KeyboardInterrupt:  # the user's own Ctrl-C
                raise
            except BaseException as error:  # a plugin may do anything while it is imported, sys.exit() included
                problems.append(_problem(source, error))
            else:
                offers += its_offers
                commands += its_commands
                problems += _remarks(source, time.perf_counter() - started, heard.text)
    problems += [*_clashes(offers), *_command_clashes(commands)]
    return Plugins(offers=tuple(offers), commands=tuple(commands), problems=tuple(problems))


def _sources() -> Iterator[_Source]:
    for module in BUILTINS:
        yield _Source(plugin="builtin", module=module, distribution=CORE_DISTRIBUTION, version=__version__, wants="")
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        dist = entry.dist
        yield _Source(
            plugin=entry.name,
            module=entry.value,
            distribution="unknown" if dist is None else dist.name,
            version="unknown" if dist is None else dist.version,
            wants=next(filter(_is_about_core, (dist and dist.requires) or ()), ""),
        )


def _is_about_core(requirement: str) -> bool:
    try:
        asked = Requirement(requirement)
    except InvalidRequirement:  # pip already warns of it, and the plugin may work all the same
        return False
    holds_here = asked.marker is None or asked.marker.evaluate({"extra": ""})
    return canonicalize_name(asked.name) == CORE_DISTRIBUTION and holds_here


def _ask(source: _Source) -> tuple[list[Offer], list[CommandOffer]]:
    """Import one plugin and ask it for its offers, in a manager of its own."""
    _check_core_version(source.wants)
    module = importlib.import_module(source.module)
    _check_api(module)
    manager = pluggy.PluginManager("ex4d")
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=source.plugin)
    _check_hooks(manager, module)
    origin = {"plugin": source.plugin, "distribution": source.distribution, "version": source.version}
    offers = [
        Offer(role=role.name, provider=provider, **origin)
        for role in ROLES.values()
        for providers in getattr(manager.hook, role.hook)()
        for provider in _checked(providers, role.hook, Provider)
    ]
    commands = [
        CommandOffer(command=command, **origin)
        for offered in getattr(manager.hook, COMMANDS)()
        for command in _checked(offered, COMMANDS, Command)
    ]
    return offers, commands


def _check_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    implemented = [caller.name for caller in manager.get_hookcallers(module) or ()]
    if unknown := sorted(set(implemented) - set(HOOKS)):
        raise PluginFailed(f"there is no hook {unknown[0]!r}{nearest(unknown[0], HOOKS)}")
    if not implemented:
        raise PluginFailed(f"{module.__name__} offers nothing: it has no function marked with @hookimpl")


def _checked(offered: object, hook: str, kind: type[_Kind]) -> list[_Kind]:
    if not isinstance(offered, list) or not all(isinstance(one, kind) for one in offered):
        raise TypeError(f"{hook} must return a list of {kind.__name__}, not {reprlib.repr(offered)}")
    names = [one.name for one in offered]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PluginFailed(f"{hook} offers {twice[0]!r} more than once")
    return offered


def _check_core_version(wants: str) -> None:
    if wants and not Requirement(wants).specifier.contains(__version__, prereleases=True):
        raise _OtherCore(f"it asks for {wants}, and this is {CORE_DISTRIBUTION} {__version__}")


def _check_api(module: ModuleType) -> None:
    """Refuse a plugin for a later API, and one for an earlier where that cannot work any more."""
    written_for = getattr(module, "EX4D_API", 1)
    if type(written_for) is not int or written_for < 1:
        raise PluginFailed(f"EX4D_API must be a whole number from 1, not {written_for!r}")
    current = hookspecs.PLUGIN_API
    if written_for > current:
        raise _OtherCore(f"it is written for plugin API {written_for}, and this core has {current}")
    if changes := [what for api, what in sorted(hookspecs.CHANGES.items()) if api > written_for]:
        raise PluginFailed(
            f"it is written for plugin API {written_for}, and this core has {current}; its authors must change: "
            + "; ".join(changes)
        )


def _problem(source: _Source, error: BaseException) -> Problem:
    ours = isinstance(error, PluginFailed)
    return _about(source, error=str(error) if ours else one_line(error), next_step=_next_step(source, error))


def _next_step(source: _Source, error: BaseException) -> str:
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if isinstance(error, _OtherCore) or missing == "ex4d_core":
        return upgrade_command(source.distribution, CORE_DISTRIBUTION)  # pip finds versions that fit together
    if missing and missing != source.module.partition(".")[0]:
        return f"pip install {missing}"
    return upgrade_command(source.distribution)


def _about(source: _Source, *, error: str, next_step: str, disabled: bool = True) -> Problem:
    return Problem(
        plugin=source.plugin,
        distribution=source.distribution,
        version=source.version,
        wants=source.wants,
        error=error,
        next_step=next_step,
        disabled=disabled,
    )


def _remarks(source: _Source, seconds: float, printed: str) -> Iterator[Problem]:
    """Yield what a plugin that works could do better."""
    errors = []
    if seconds > SLOW:
        errors.append(f"asking what it offers took {seconds:.1f} s, and every command waits for it")
    if printed.strip():
        text = textwrap.shorten(printed, 60, placeholder=" ...")
        errors.append(f"it prints when it is imported: {text!r}")
    for error in errors:
        yield _about(source, error=error, next_step=upgrade_command(source.distribution), disabled=False)


def _clashes(offers: Iterable[Offer]) -> Iterator[Problem]:
    """Yield each plugin whose component shares its name or an alias with another's; both stay."""
    named = defaultdict(list)
    for offer in offers:
        for name in (offer.name, *offer.provider.aliases):
            named[offer.role, name].append(offer)
    for (role, name), clashing in named.items():
        other = clashing[0].distribution
        for offer in clashing[1:]:
            yield Problem(
                plugin=offer.plugin,
                distribution=offer.distribution,
                version=offer.version,
                wants="",
                error=f"{other} has a {role} {name!r} too; call this one {name}@{offer.distribution}",
                next_step=f"ex4d plugins show {offer.name}",
                disabled=False,
            )


def _command_clashes(commands: Iterable[CommandOffer]) -> Iterator[Problem]:
    """Yield each plugin whose command's name is taken; it is called by its full name."""
    for offer, other in command_clashes(commands):
        yield Problem(
            plugin=offer.plugin,
            distribution=offer.distribution,
            version=offer.version,
            wants="",
            error=f"{other} has a command {offer.name!r} too; call this one {offer.full_name}",
            next_step=f"ex4d {offer.full_name} --help",
            disabled=False,
        )
