"""What components and commands of plugins have in common: where they come from, what they need, importing them."""

from __future__ import annotations

import abc
import importlib
import importlib.util
from typing import Any

import attrs

from ex4d_core.distributions import upgrade_command
from ex4d_core.errors import PluginFailed, describe
from ex4d_core.plugins.stdout_guard import stray_output
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
    def said(self) -> Provider | Command:
        """What the plugin says of it."""

    @property
    def name(self) -> str:
        """What users type."""
        return self.said.name

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What it is and its name, as in `depth 'file'`."""

    def missing_needs(self) -> tuple[str, ...]:
        """Return the modules that it needs and that cannot be found, without importing them."""
        return tuple(need for need in self.said.needs if not _can_be_found(need))

    def install_commands(self) -> tuple[str, ...]:
        """Return the commands that bring what is missing."""
        return self.said.install or tuple(f"pip install {need}" for need in self.missing_needs())

    def check_needs(self) -> None:
        """Refuse what cannot work here.

        Raises:
            PluginFailed: a module that it needs is missing.
        """
        if missing := self.missing_needs():
            licence = f" (licence: {self.said.licence})" if self.said.licence else ""
            raise PluginFailed(
                f"the {self.title} needs {' and '.join(missing)}, which is not installed{licence}; "
                f"type: {' && '.join(self.install_commands())}"
            )

    def _imported(self, path: str) -> Any:
        module, _, name = path.partition(":")
        try:
            with stray_output():
                return getattr(importlib.import_module(module), name)
        except (Exception, SystemExit) as error:
            raise PluginFailed(
                f"the {self.title} of {self.distribution} {self.version} could not be loaded: "
                f"{describe(error)}; try `{upgrade_command(self.distribution)}`"
            ) from error


def _can_be_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent is missing or broken
        return False
