"""Plugin commands of `ex4d`: listed by their declared summary, imported when they are called."""

import os
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ex4d_core.distributions import upgrade_command
from ex4d_core.errors import ComponentNotFound, InvalidConfig, PluginFailed, one_line
from ex4d_core.shell import command_line
from ex4d_core.terminal import plain_markup, say

if TYPE_CHECKING:
    from ex4d_core.plugins.offers import CommandOffer


class CommandsAndPlugins(TyperGroup):
    """The built-in commands, and plugin commands, which are discovered when no built-in command matches."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, for `--help`."""
        self._look_for_plugins()
        return super().list_commands(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that is called, and its arguments.

        Raises:
            InvalidConfig: a clip is in the place of the command.
        """
        if args[0] not in self.commands:
            self._look_for_plugins(name=args[0])
        if args[0] not in self.commands and os.path.exists(args[0]):
            raise InvalidConfig(f"{args[0]} is not a command; to run a clip: {command_line(('ex4d', 'run', *args))}")
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.loaded() if isinstance(command, _PluginCommand) else command, rest

    def _look_for_plugins(self, name: str | None = None) -> None:
        """Add the commands of plugins; warn of disabled plugins if none has a command `name`.

        Raises:
            ComponentNotFound: a plugin that is not installed has the command.
        """
        from ex4d_core.plugins.discovery import find_plugins
        from ex4d_core.plugins.known import COMMAND, where_to_get
        from ex4d_core.plugins.offers import commands_by_name

        plugins = find_plugins()
        for offered_name, offer in commands_by_name(plugins.commands).items():
            self.commands.setdefault(offered_name, _PluginCommand(offered_name, offer))
        if name is not None and name not in self.commands:
            if sentence := where_to_get(name, COMMAND):
                raise ComponentNotFound(sentence)
            for problem in plugins.broken:
                say(f"warning: {problem.sentence()}", err=True)


class _PluginCommand(TyperCommand):
    """A command of a plugin as `--help` lists it."""

    def __init__(self, name: str, offer: "CommandOffer") -> None:
        super().__init__(name, help=plain_markup(offer.spec.summary), rich_help_panel="Plugin commands")
        self._offer = offer

    def loaded(self) -> Any:
        """Import the Typer app or the function, and return it as a command."""
        found = self._offer.load()
        try:
            if not isinstance(found, typer.Typer):
                function, found = found, typer.Typer()
                found.command()(function)
            command = typer.main.get_command(found)
        except Exception as error:
            raise PluginFailed(
                f"the command {self.name!r} is neither a Typer app nor a function that Typer can read: "
                f"{one_line(error)}; try `{upgrade_command(self._offer.source.distribution)}`"
            ) from error
        command.params = [p for p in command.params if p.name not in ("install_completion", "show_completion")]
        return command
