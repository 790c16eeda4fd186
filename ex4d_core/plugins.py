"""Finding plugins, and keeping a broken one from spoiling the rest.

There is no global plugin manager: `find_plugins` looks afresh each time and returns a frozen record.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import pluggy
from packaging.requirements import InvalidRequirement, Requirement

import ex4d_core
from ex4d_core import hookspecs
from ex4d_core.errors import PluginFailed
from ex4d_core.hub import HubFiles
from ex4d_core.provider import Provider

BUILTINS = ("ex4d_core.builtin.plugin",)
"""Modules of the core that are plugins like any other."""

GROUP = "ex4d"
"""The entry-point group that plugins register in."""

CORE_DISTRIBUTION = "ex4d-core"

ROLES = {
    "depth": "ex4d_depth_estimators",
    "mesh": "ex4d_mesh_builders",
    "trajectory": "ex4d_trajectory_generators",
    "renderer": "ex4d_renderers",
    "backbone": "ex4d_backbones",
}
"""Each role and the hook that offers components for it."""


@attrs.frozen(kw_only=True)
class Offer:
    """A component that an installed plugin provides."""

    role: str
    provider: Provider
    plugin: str
    """Name of the entry point."""
    distribution: str
    version: str

    @property
    def name(self) -> str:
        """What users type."""
        return self.provider.name

    @property
    def builtin(self) -> bool:
        """Whether it came with the core."""
        return self.distribution == CORE_DISTRIBUTION

    def missing_needs(self) -> tuple[str, ...]:
        """Return the modules that it needs and that cannot be found, without importing them."""
        return tuple(need for need in self.provider.needs if not _can_be_found(need))

    def install_commands(self) -> tuple[str, ...]:
        """Return the commands that bring what is missing."""
        return self.provider.install or tuple(f"pip install {need}" for need in self.missing_needs())

    def check_needs(self) -> None:
        """Refuse a component that cannot work here.

        Raises:
            PluginFailed: a module that it needs is missing.
        """
        if missing := self.missing_needs():
            raise PluginFailed(
                f"the {self.role} {self.name!r} needs {' and '.join(missing)}, which is not installed "
                f"(licence: {self.provider.licence}); type: {' && '.join(self.install_commands())}"
            )

    def obstacle(self, device_type: str) -> str:
        """Return why it is not worth choosing on a kind of device, or ''."""
        if device_type not in self.provider.devices:
            return f"is for {' or '.join(self.provider.devices)}"
        if missing := self.missing_needs():
            return f"needs {' and '.join(missing)} ({' && '.join(self.install_commands())})"
        return ""

    def load(self) -> type:
        """Import and return the component's class.

        Raises:
            PluginFailed: a module that it needs is missing, or importing it failed.
        """
        self.check_needs()
        component: type = self._imported(self.provider.component)
        return component

    def weights(self, options: object) -> list[HubFiles]:
        """Return the files on the hub that it needs with these options; folders of the user's are left out.

        Raises:
            PluginFailed: importing the function that names them failed.
        """
        if not self.provider.weights:
            return []
        return [files for files in self._imported(self.provider.weights)(options) if files.folder() is None]

    def advice(self, gpu_bytes: int) -> list[str]:
        """Return sentences on what it will do on a GPU with so much memory.

        Raises:
            PluginFailed: the function that says so could not be imported or failed.
        """
        if not self.provider.advice:
            return []
        advise = self._imported(self.provider.advice)
        try:
            return [str(sentence) for sentence in advise(gpu_bytes)]
        except Exception as error:
            raise PluginFailed(
                f"the {self.role} {self.name!r} has no advice for this GPU: {describe(error)}"
            ) from error

    def _imported(self, path: str) -> Any:
        module, _, name = path.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except Exception as error:
            raise PluginFailed(
                f"the {self.role} {self.name!r} of {self.distribution} {self.version} could not be loaded: "
                f"{describe(error)}; try `pip install --upgrade {self.distribution}`"
            ) from error


@attrs.frozen(kw_only=True)
class Problem:
    """A plugin that is installed and does not work."""

    plugin: str
    distribution: str
    version: str
    wants: str
    """What it asks of the core, such as `ex4d-core>=0.1`, or ''."""
    error: str
    next_step: str
    """The command to type next."""

    def sentence(self) -> str:
        """Return one line for a warning."""
        who = f"plugin {self.plugin!r} ({self.distribution} {self.version})"
        return f"{who} is left out: {self.error}; try: {self.next_step}"


@attrs.frozen(kw_only=True)
class Plugins:
    """What is installed: the components that work, and the plugins that do not."""

    offers: tuple[Offer, ...]
    problems: tuple[Problem, ...]


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
    problems: list[Problem] = []
    for source in _sources():
        if unwanted & {source.plugin, source.distribution}:
            continue
        try:
            offers += _ask(source)
        # A plugin may do anything while it is imported, sys.exit() included; only the user's own Ctrl-C gets through.
        except (Exception, SystemExit) as error:
            problems.append(_problem(source, error))
    return Plugins(offers=tuple(offers), problems=tuple(problems))


def _can_be_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent is missing or broken
        return False


def describe(error: BaseException) -> str:
    """Return an error as one line of bounded length: its class and its message."""
    text = textwrap.shorten(str(error), 300, placeholder=" ...")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _sources() -> Iterator[_Source]:
    for module in BUILTINS:
        yield _Source(
            plugin="builtin", module=module, distribution=CORE_DISTRIBUTION, version=ex4d_core.__version__, wants=""
        )
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        dist = entry.dist
        wants = "" if dist is None else next((r for r in dist.requires or [] if _is_about_core(r)), "")
        yield _Source(
            plugin=entry.name,
            module=entry.value,
            distribution="unknown" if dist is None else dist.name,
            version="unknown" if dist is None else dist.version,
            wants=wants,
        )


def _is_about_core(requirement: str) -> bool:
    return re.match(r"ex4d[-_.]core\b", requirement, re.IGNORECASE) is not None


def _ask(source: _Source) -> list[Offer]:
    """Import one plugin and ask it for its offers, in a manager of its own."""
    _check_core_version(source.wants)
    manager = pluggy.PluginManager("ex4d")
    manager.add_hookspecs(hookspecs)
    # What a plugin prints must not end up in output that a machine reads.
    with contextlib.redirect_stdout(sys.stderr):
        manager.register(importlib.import_module(source.module), name=source.plugin)
        manager.check_pending()
        return [
            Offer(
                role=role,
                provider=provider,
                plugin=source.plugin,
                distribution=source.distribution,
                version=source.version,
            )
            for role, hook in ROLES.items()
            for providers in getattr(manager.hook, hook)()
            for provider in _checked(providers, hook)
        ]


def _checked(providers: object, hook: str) -> list[Provider]:
    if not isinstance(providers, list) or not all(isinstance(provider, Provider) for provider in providers):
        raise TypeError(f"{hook} must return a list of Provider, not {providers!r:.80}")
    return providers


def _check_core_version(wants: str) -> None:
    try:
        fits = not wants or Requirement(wants).specifier.contains(ex4d_core.__version__, prereleases=True)
    except InvalidRequirement:
        fits = True  # pip already warns of it, and the plugin may work all the same
    if not fits:
        raise PluginFailed(f"it asks for {wants}, and this is {CORE_DISTRIBUTION} {ex4d_core.__version__}")


def _problem(source: _Source, error: BaseException) -> Problem:
    upgrade = CORE_DISTRIBUTION if isinstance(error, PluginFailed) else source.distribution
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    own = source.module.partition(".")[0]
    if missing and missing.partition(".")[0] != own:
        next_step = f"pip install {missing.partition('.')[0]}"
    else:
        next_step = f"pip install --upgrade {upgrade}"
    return Problem(
        plugin=source.plugin,
        distribution=source.distribution,
        version=source.version,
        wants=source.wants,
        error=str(error) if isinstance(error, PluginFailed) else describe(error),
        next_step=next_step,
    )
