"""Discovery of plugins. Each is loaded on its own, so that one that fails does not affect the others."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import reprlib
import textwrap
import time
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import TypeVar

import attrs
import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ex4d_core import hookspecs
from ex4d_core.distributions import CORE_DISTRIBUTION, GROUP, upgrade_command
from ex4d_core.errors import PluginFailed, nearest, one_line
from ex4d_core.plugins.offers import BUILTIN_COMMANDS, CommandOffer, ExecutorOffer, Offer, Source
from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
from ex4d_core.provider import Command, Provider
from ex4d_core.roles import ROLES
from ex4d_core.version import __version__

BUILTINS = ("ex4d_core.builtin.plugin",)
"""Modules of the core that are plugins."""

COMMANDS = "ex4d_commands"
"""The hook that offers sub-commands."""

EXECUTORS = "ex4d_job_executors"
"""The hook that offers ways to run jobs on other machines."""

HOOKS = (*(role.hook for role in ROLES.values()), COMMANDS, EXECUTORS)

SLOW = 1.0
"""Seconds after which loading a plugin is reported as slow."""

_Spec = TypeVar("_Spec", Provider, Command)


@attrs.frozen(kw_only=True)
class Problem:
    """A problem of an installed plugin."""

    source: Source
    error: str
    next_step: str
    """The command that fixes the problem or shows details."""
    disabled: bool = True
    """Whether nothing of the plugin can be used; otherwise it works, with a warning."""

    def sentence(self) -> str:
        """Return one line for a warning."""
        state = "is disabled" if self.disabled else "works with a warning"
        return f"plugin {self.source.plugin!r} ({self.source}) {state}: {self.error}; try: {self.next_step}"


@attrs.frozen(kw_only=True)
class Plugins:
    """The components and commands of installed plugins, and the problems of these plugins."""

    offers: tuple[Offer, ...]
    problems: tuple[Problem, ...]
    commands: tuple[CommandOffer, ...] = ()
    executors: tuple[ExecutorOffer, ...] = ()

    @property
    def broken(self) -> tuple[Problem, ...]:
        """The problems of disabled plugins."""
        return tuple(problem for problem in self.problems if problem.disabled)


def find_plugins(disabled: Iterable[str] | None = None) -> Plugins:
    """Load all installed plugins.

    Args:
        disabled: names of plugins or distributions to skip; by default those in `EX4D_DISABLE_PLUGINS`,
            separated by commas.
    """
    if disabled is None:
        disabled = filter(None, os.environ.get("EX4D_DISABLE_PLUGINS", "").split(","))
    skipped = {name.strip() for name in disabled}
    offers: list[Offer] = []
    commands: list[CommandOffer] = []
    executors: list[ExecutorOffer] = []
    problems: list[Problem] = []
    for source in _sources():
        if skipped & {source.plugin, source.distribution}:
            continue
        started = time.perf_counter()
        with redirect_stdout_to_stderr() as captured:
            try:
                _check_core_version(source)
                found, found_commands, found_executors = _load(source)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # an import can raise anything, SystemExit included
                problems.append(_problem(source, error))
            else:
                offers += found
                commands += found_commands
                executors += found_executors
                problems += _warnings(source, time.perf_counter() - started, captured.text)
    problems += _clashes([*offers, *commands, *executors])
    return Plugins(offers=tuple(offers), commands=tuple(commands), executors=tuple(executors), problems=tuple(problems))


def _sources() -> Iterator[Source]:
    for module in BUILTINS:
        yield Source(plugin="builtin", module=module, distribution=CORE_DISTRIBUTION, version=__version__)
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        dist = entry.dist
        facts = None if dist is None else dist.metadata  # read once; each property of a distribution reads it again
        requires = None if dist is None or facts is None else facts.get_all("Requires-Dist") or dist.requires
        yield Source(
            plugin=entry.name,
            module=entry.value,
            distribution="unknown" if facts is None else facts["Name"],
            version="unknown" if facts is None else facts["Version"],
            core_requirement=next(filter(_is_of_core, requires or ()), ""),
        )


def _is_of_core(text: str) -> bool:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:  # pip reports it, and the plugin may work nevertheless
        return False
    applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    return canonicalize_name(requirement.name) == CORE_DISTRIBUTION and applies


class _OtherCore(PluginFailed):
    """The plugin requires another version of the core."""


def _check_core_version(source: Source) -> None:
    required = source.core_requirement
    if required and not Requirement(required).specifier.contains(__version__, prereleases=True):
        raise _OtherCore(f"it requires {required}, and this is {CORE_DISTRIBUTION} {__version__}")


def _load(source: Source) -> tuple[list[Offer], list[CommandOffer], list[ExecutorOffer]]:
    """Import one plugin and call its hooks, in a plugin manager of its own."""
    module = importlib.import_module(source.module)
    manager = pluggy.PluginManager("ex4d")
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=source.plugin)
    _check_hooks(manager, module)
    offers = [
        Offer(role=role.name, spec=provider, source=source)
        for role in ROLES.values()
        for provider in _results(manager, role.hook, Provider)
    ]
    commands = [CommandOffer(spec=command, source=source) for command in _results(manager, COMMANDS, Command)]
    executors = [ExecutorOffer(spec=command, source=source) for command in _results(manager, EXECUTORS, Command)]
    return offers, commands, executors


def _check_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    implemented = [caller.name for caller in manager.get_hookcallers(module) or ()]
    if unknown := sorted(set(implemented) - set(HOOKS)):
        raise PluginFailed(f"unknown hook {unknown[0]!r}{nearest(unknown[0], HOOKS)}")
    if not implemented:
        raise PluginFailed(f"{module.__name__} has no function marked with @hookimpl")


def _results(manager: pluggy.PluginManager, hook: str, spec: type[_Spec]) -> Iterator[_Spec]:
    """Call a hook and yield the providers or commands that it returns, after checking them."""
    for returned in getattr(manager.hook, hook)():
        if not isinstance(returned, list) or not all(isinstance(entry, spec) for entry in returned):
            raise TypeError(f"{hook} must return a list of {spec.__name__}, not {reprlib.repr(returned)}")
        names = [entry.name for entry in returned]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise PluginFailed(f"{hook} offers {repeated[0]!r} more than once")
        yield from returned


def _problem(source: Source, error: BaseException) -> Problem:
    text = str(error) if isinstance(error, PluginFailed) else one_line(error)
    return Problem(source=source, error=text, next_step=_next_step(source, error))


def _next_step(source: Source, error: BaseException) -> str:
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if isinstance(error, _OtherCore) or missing == "ex4d_core":
        return upgrade_command(source.distribution, CORE_DISTRIBUTION)  # pip finds compatible versions
    if missing and missing != source.module.partition(".")[0]:
        return f"pip install {missing}"
    return upgrade_command(source.distribution)


def _warnings(source: Source, seconds: float, printed: str) -> Iterator[Problem]:
    """Yield the warnings on a plugin that works."""
    errors = []
    if seconds > SLOW:
        errors.append(f"its import takes {seconds:.1f} s and delays every command")
    if printed.strip():
        errors.append(f"it prints when it is imported: {textwrap.shorten(printed, 60, placeholder=' ...')!r}")
    for error in errors:
        yield Problem(source=source, error=error, next_step=upgrade_command(source.distribution), disabled=False)


def _clashes(offers: Iterable[Offer | CommandOffer]) -> Iterator[Problem]:
    """Yield a warning for each name or alias that another component of the role, or another command, has too."""
    owners = {("command", name): "ex4d" for name in BUILTIN_COMMANDS}
    for offer in offers:
        aliases = offer.spec.aliases if isinstance(offer, Offer) else ()
        for name in (offer.name, *aliases):
            if owner := owners.get((offer.kind, name)):
                error = f"{owner} has a {offer.kind} {name!r} too; use the name {name}@{offer.source.distribution}"
                next_step = f"ex4d plugins show {offer.name}"
                yield Problem(source=offer.source, error=error, next_step=next_step, disabled=False)
            owners.setdefault((offer.kind, name), offer.source.distribution)
