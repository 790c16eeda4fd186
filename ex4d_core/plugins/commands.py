"""Sub-commands of `ex4d` that plugins bring, and the names by which they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from ex4d_core.plugins.offers import Offered
from ex4d_core.provider import Command

BUILTIN_COMMANDS = ("run", "recon", "depth", "preview", "masks", "cam", "generate", "fetch", "doctor", "plugins")
"""Names that stay those of the `ex4d` command's own, whatever is installed."""


@attrs.frozen(kw_only=True)
class CommandOffer(Offered):
    """A sub-command that an installed plugin provides."""

    command: Command

    @property
    def full_name(self) -> str:
        """What users type where its name is another's too."""
        return f"{self.name}@{self.distribution}"

    @property
    def spec(self) -> Command:
        """What the plugin says of it."""
        return self.command

    @property
    def title(self) -> str:
        """What it is and its name."""
        return f"command {self.name!r}"

    def load(self) -> Any:
        """Import and return the Typer app or the function.

        Raises:
            PluginFailed: a module that it needs is missing, or importing it failed.
        """
        self.check_requirements()
        return self._imported(self.command.app)


def commands_by_name(commands: Iterable[CommandOffer]) -> dict[str, CommandOffer]:
    """Return each command by what users type: its name, or `NAME@DISTRIBUTION` where the name is another's too."""
    offers = list(commands)
    uses = Counter(offer.name for offer in offers)
    plain = {offer.name for offer in offers if uses[offer.name] == 1} - set(BUILTIN_COMMANDS)
    return {offer.name if offer.name in plain else offer.full_name: offer for offer in offers}


def command_clashes(commands: Iterable[CommandOffer]) -> Iterator[tuple[CommandOffer, str]]:
    """Yield each command whose name is taken, with who has it: `ex4d` itself or another distribution."""
    owners = dict.fromkeys(BUILTIN_COMMANDS, "ex4d")
    for offer in commands:
        if offer.name in owners:
            yield offer, owners[offer.name]
        owners.setdefault(offer.name, offer.distribution)
