"""Components and commands that installed plugins offer, imported on first use."""

from __future__ import annotations

import importlib
import importlib.util
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from ex4d_core.distributions import CORE_DISTRIBUTION, upgrade_command
from ex4d_core.errors import Ex4dError, PluginFailed, import_failed_by_variable, one_line, unexpected
from ex4d_core.hub.local import HubRepo
from ex4d_core.imports import without_collections
from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
from ex4d_core.provider import Command, Provider
from ex4d_core.shell import in_order

Spec = TypeVar("Spec", Provider, Command)

BUILTIN_COMMANDS = (
    *("run", "recon", "depth", "preview", "masks", "cam", "generate", "fetch", "clean", "batch", "doctor", "plugins"),
)
"""Commands of the core; a plugin command of the same name is called by its full name."""


@attrs.frozen(kw_only=True)
class Source:
    """An installed plugin, not necessarily imported."""

    plugin: str
    """Name of the entry point."""
    module: str
    distribution: str
    version: str
    core_requirement: str = ""
    """Required version of the core, such as `ex4d-core>=0.1`, or ''."""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@attrs.frozen(kw_only=True)
class Offered(Generic[Spec]):
    """A component or command, as its plugin declares it."""

    source: Source
    spec: Spec

    @property
    def name(self) -> str:
        """The name that users type."""
        return self.spec.name

    @property
    def full_name(self) -> str:
        """The name that users type if several plugins use `name`."""
        return f"{self.name}@{self.source.distribution}"

    @property
    def kind(self) -> str:
        """The role of a component, or `command`."""
        return "command"

    @property
    def title(self) -> str:
        """Kind and name, such as `depth 'file'`."""
        return f"{self.kind} {self.name!r}"

    def missing_requirements(self) -> tuple[str, ...]:
        """Return the required modules that are not installed, without importing any."""
        return tuple(module for module in self.spec.requires if not _is_installed(module))

    def install_commands(self) -> tuple[str, ...]:
        """Return the commands that install the missing requirements."""
        return self.spec.install_hint or tuple(f"pip install {module}" for module in self.missing_requirements())

    def check_requirements(self) -> None:
        """Check that all required modules are installed.

        Raises:
            PluginFailed: one is not.
        """
        if missing := self.missing_requirements():
            terms = f" (license: {self.spec.license})" if self.spec.license else ""
            raise PluginFailed(
                f"the {self.title} requires {' and '.join(missing)}, which is not installed{terms}; "
                f"run: {in_order(self.install_commands())}"
            )

    def default_weights(self) -> list[HubRepo]:
        """Return the files on the hub that are needed with default options.

        Raises:
            PluginFailed: the function that lists them cannot be imported, or failed.
        """
        return self._weights()

    def _weights(self, *options: object) -> list[HubRepo]:
        if not self.spec.weights:
            return []
        list_weights = self._import(self.spec.weights)
        try:
            return [files for files in list_weights(*options) if files.folder() is None]
        except Ex4dError:
            raise
        except Exception as error:
            raise PluginFailed(f"the {self.title} cannot list its weights: {unexpected(error)}") from error

    def _import(self, path: str) -> Any:
        module, _, name = path.partition(":")
        try:
            with redirect_stdout_to_stderr(), without_collections():
                return getattr(importlib.import_module(module), name)
        except (Exception, SystemExit) as error:
            raise PluginFailed(
                f"the {self.title} of {self.source} could not be loaded: "
                + (
                    import_failed_by_variable(error)
                    or f"{one_line(error)}; try `{upgrade_command(self.source.distribution)}`"
                )
            ) from error


@attrs.frozen(kw_only=True)
class CommandOffer(Offered[Command]):
    """A sub-command of `ex4d`."""

    def load(self) -> Any:
        """Import and return the Typer app or the function.

        Raises:
            PluginFailed: a required module is missing, or the import failed.
        """
        self.check_requirements()
        return self._import(self.spec.app)


@attrs.frozen(kw_only=True)
class ExecutorOffer(CommandOffer):
    """A way to run the jobs of `ex4d batch run` on other machines."""

    @property
    def kind(self) -> str:
        """`executor`."""
        return "executor"


@attrs.frozen(kw_only=True)
class Offer(Offered[Provider]):
    """A component."""

    role: str

    @property
    def kind(self) -> str:
        """The role."""
        return self.role

    @property
    def builtin(self) -> bool:
        """Whether the component belongs to the core."""
        return self.source.distribution == CORE_DISTRIBUTION

    def unavailable_reason(self, device_type: str) -> str:
        """Return why `auto` cannot select the component on a kind of device, or ''."""
        if device_type not in self.spec.devices:
            return f"is for {' or '.join(self.spec.devices)}"
        if missing := self.missing_requirements():
            return f"requires {' and '.join(missing)} ({in_order(self.install_commands())})"
        return ""

    def load(self) -> type:
        """Import and return the class of the component.

        Raises:
            PluginFailed: a required module is missing, or the import failed.
        """
        self.check_requirements()
        component: type = self._import(self.spec.component)
        return component

    def weights(self, options: object) -> list[HubRepo]:
        """Return the files on the hub that the component needs with these options, without local folders.

        Raises:
            PluginFailed: the function that lists them cannot be imported, or failed.
        """
        return self._weights(options)

    def default_weights(self) -> list[HubRepo]:
        """Return the files on the hub that the component needs with default options.

        Raises:
            PluginFailed: the function that lists them cannot be imported, or failed.
        """
        return self._weights(self.spec.options()) if self.spec.weights else []

    def alias_options(self, word: str) -> Mapping[str, Any]:
        """Return the options that a word of `--cam` stands for: none for the name of the component."""
        return self.spec.aliases.get(word.partition("@")[0], {})

    def contract(self) -> type | None:
        """Return the contract tests that the plugin declares for the component, or None; requires pytest.

        Raises:
            PluginFailed: the import failed.
        """
        return self._import(self.spec.contract) if self.spec.contract else None

    def gpu_hints(self, gpu_bytes: int) -> list[str]:
        """Return hints on running the component on a GPU with so much memory.

        Raises:
            PluginFailed: the function that returns them cannot be imported, or failed.
        """
        if not self.spec.gpu_hints:
            return []
        hints = self._import(self.spec.gpu_hints)
        try:
            return [str(sentence) for sentence in hints(gpu_bytes)]
        except Exception as error:
            raise PluginFailed(f"the {self.title} has no hints for this GPU: {one_line(error)}") from error


def commands_by_name(commands: Iterable[CommandOffer]) -> dict[str, CommandOffer]:
    """Return the commands by the name that users type: `NAME@DISTRIBUTION` if the plain name is ambiguous."""
    offers = list(commands)
    uses = Counter([*BUILTIN_COMMANDS, *(offer.name for offer in offers)])
    return {offer.name if uses[offer.name] == 1 else offer.full_name: offer for offer in offers}


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent is missing or broken
        return False
