"""What components and commands of plugins have in common: where they come from, what they need, importing them."""

from __future__ import annotations

import abc
import importlib
import importlib.util
from typing import Any

import attrs

from ex4d_core.distributions import upgrade_command
from ex4d_core.errors import PluginFailed, one_line
from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
from ex4d_core.provider import Command, Provider


@attrs.frozen(kw_only=True)
class Offered(abc.ABC):
    """Something that an installed plugin offers."""

    plugin: str
    """Name of the entry point."""
    distribution: str
    version: str

    @property
    @abc.abstractmethod
    def spec(self) -> Provider | Command:
        """What the plugin says of it."""

    @property
    def name(self) -> str:
        """What users type."""
        return self.spec.name

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What it is and its name, as in `depth 'file'`."""

    def missing_requirements(self) -> tuple[str, ...]:
        """Return the modules that it needs and that cannot be found, without importing them."""
        return tuple(need for need in self.spec.requires if not _can_be_found(need))

    def install_commands(self) -> tuple[str, ...]:
        """Return the commands that bring what is missing."""
        return self.spec.install_hint or tuple(f"pip install {need}" for need in self.missing_requirements())

    def check_requirements(self) -> None:
        """Refuse what cannot work here.

        Raises:
            PluginFailed: a module that it needs is missing.
        """
        if missing := self.missing_requirements():
            terms = f" (license: {self.spec.license})" if self.spec.license else ""
            raise PluginFailed(
                f"the {self.title} needs {' and '.join(missing)}, which is not installed{terms}; "
                f"type: {' && '.join(self.install_commands())}"
            )

    def _imported(self, path: str) -> Any:
        module, _, name = path.partition(":")
        try:
            with redirect_stdout_to_stderr():
                return getattr(importlib.import_module(module), name)
        except (Exception, SystemExit) as error:
            raise PluginFailed(
                f"the {self.title} of {self.distribution} {self.version} could not be loaded: "
                f"{one_line(error)}; try `{upgrade_command(self.distribution)}`"
            ) from error


def _can_be_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent is missing or broken
        return False
