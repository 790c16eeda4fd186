"""Parts of a command, for the core and for plugins: flags of options, layers of configuration, progress, results."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import attrs
import typer

from ex4d_core.config import Tree, merge, parse_settings, read_config
from ex4d_core.terminal import say, show

if TYPE_CHECKING:  # rich takes longer to import than many commands take
    from ex4d_core.console_reporter import ConsoleReporter

_SET_HELP = "Any option: SECTION.OPTION=VALUE; repeatable."
_CONFIG_HELP = "TOML file with the same sections."

Set = Annotated[list[str] | None, typer.Option("--set", help=_SET_HELP)]
Config = Annotated[Path | None, typer.Option("--config", help=_CONFIG_HELP)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and output paths.")]


@attrs.frozen(kw_only=True)
class Flag:
    """A command-line option that sets one entry of the configuration."""

    name: str
    short: str = ""
    key: str
    """SECTION.OPTION, or the name of an entry outside of sections."""
    panel: str = ""
    """Heading in `--help`."""
    kind: Any
    help: str
    unit: str = ""
    default: Any = None
    """Shown in `--help`; None if it depends on the clip or the component."""
    implies: Mapping[str, Any] = attrs.field(factory=dict)
    """Tables that the flag sets too, unless another flag sets the same entries."""
    value: Any = None
    """What a flag without an argument sets; `kind` is bool."""

    @property
    def parameter(self) -> str:
        """The name as a Python identifier: num_frames."""
        return self.name[2:].replace("-", "_")


def field_flag(name: str, key: str, options: type, *, short: str = "", panel: str = "", help: str = "") -> Flag:
    """Return the flag of an option; type, help, unit and default are those of its field.

    Args:
        name: the flag, such as `--num-frames`.
        key: SECTION.OPTION of the configuration; OPTION is a field of `options`.
        options: attrs class whose fields are declared with `ex4d_core.options.option`.
        short: a second name of one letter, such as `-o`.
        panel: heading in `--help`.
        help: replaces the help of the field.
    """
    option = key.rpartition(".")[2]
    field = attrs.fields_dict(options)[option]
    kind: Any = get_type_hints(options)[option]
    is_plain = field.default is not attrs.NOTHING and not isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]  # a class, declared as a function
    default = field.default if is_plain else None
    if NoneType in get_args(kind):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        kind, default = list[str], None if default is None else list(default)
    return Flag(
        name=name,
        short=short,
        key=key,
        panel=panel,
        kind=kind,
        help=help or field.metadata["help"],
        unit=field.metadata.get("unit", ""),
        default=default,
    )


def layered_tables(
    flags: Sequence[Flag],
    values: Mapping[str, Any],
    *,
    settings: Iterable[str] = (),
    config_file: Path | None = None,
    read_file: Callable[[Path], Tree] = read_config,
) -> Tree:
    """Return the tables of the configuration: flags override `--set`, which overrides the file.

    Args:
        flags: the flags of the command.
        values: their values by `Flag.parameter`; None if not used.
        settings: texts of `--set`.
        config_file: TOML file.
        read_file: returns the tables of the file.

    Raises:
        InvalidConfig: a setting is not SECTION.OPTION=VALUE, or the file is not valid TOML.
        InputNotFound: the file does not exist.
    """
    from_flags: Tree = {}
    implied: Tree = {}
    for flag in flags:
        value = values[flag.parameter]
        if flag.value is not None:
            value = flag.value if value else None
        if value not in (None, []):
            section, _, option = flag.key.rpartition(".")
            plain = str(value) if isinstance(value, Path) else value
            from_flags = merge(from_flags, {section: {option: plain}} if section else {option: plain})
            implied = merge(implied, flag.implies)
    file = read_file(config_file) if config_file else {}
    return merge(file, parse_settings(settings), implied, from_flags)


Expand = Callable[[Sequence[str], Callable[[Sequence[str]], Any]], Any]
"""Returns the argument `config` of a command from the texts of `--set` and a function that makes a configuration."""


def plain(settings: Sequence[str], make: Callable[[Sequence[str]], Any]) -> Any:
    """Return the configuration with all texts of `--set`."""
    return make(settings)


def takes_config(
    make: Callable[[Tree], Any],
    flags: Sequence[Flag],
    *,
    later_flags: Sequence[Flag] = (),
    panel: str = "",
    read_file: Callable[[Path], Tree] = read_config,
    add_defaults: Callable[[Tree, Path | None], Tree] = lambda tables, file: tables,
    expand: Expand = plain,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds flags, `--set` and `--config` to a command, which receives the argument `config`.

    `--help` lists required options of the command, `flags`, other options of the command, then `later_flags`.

    Args:
        make: turns the merged tables into the configuration; raises InvalidConfig.
        flags: the flags of the command.
        later_flags: flags that follow the options of the command.
        panel: heading of `--set` and `--config` in `--help`.
        read_file: as for `layered_tables`.
        add_defaults: returns the merged tables on top of defaults of the user; its second argument is the file of
            `--config`, if any.
        expand: returns the argument `config`, by default the configuration.
    """
    flags_of_both = (*flags, *later_flags)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = _own_parameters(command)
        layers = [
            _option("settings", list[str], ["--set"], help=_SET_HELP, panel=panel),
            _option("config_file", Path, ["--config"], help=_CONFIG_HELP, panel=panel),
        ]
        added = {parameter.name for parameter in (*map(_parameter, flags_of_both), *layers)}

        @functools.wraps(command)
        def wrapper(ctx: typer.Context, **values: Any) -> None:
            used = {name: values[name] if _is_used(ctx, name) else None for name in added}
            settings, config_file = used.pop("settings"), used.pop("config_file")
            own_values = {name: value for name, value in values.items() if name not in added}

            def configuration(texts: Sequence[str]) -> Any:
                tables = layered_tables(
                    flags_of_both, used, settings=texts, config_file=config_file, read_file=read_file
                )
                return make(add_defaults(tables, config_file))

            command(**own_values, config=expand(settings or (), configuration))

        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        required = [parameter for parameter in own if parameter.default is inspect.Parameter.empty]
        optional = [parameter for parameter in own if parameter not in required]
        first, later = map(_parameter, flags), map(_parameter, later_flags)
        signature = inspect.Signature([context, *required, *first, *optional, *later, *layers])
        wrapper.__signature__ = signature  # type: ignore[attr-defined]  # typer reads it
        wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return wrapper

    return decorate


def make_reporter(*, quiet: bool) -> ConsoleReporter:
    """Return a reporter that shows stages and messages on stderr; only warnings if quiet."""
    from ex4d_core.console_reporter import ConsoleReporter

    return ConsoleReporter(quiet=quiet)


def print_result(
    *,
    as_json: Callable[[], object],
    paths: Callable[[], object],
    as_text: Callable[[], object],
    json_: bool,
    quiet: bool = False,
) -> None:
    """Print the result of a command in one of three forms.

    Args:
        as_json: returns JSON text, or a value to encode, for `--json`.
        paths: returns the output path for `--quiet`.
        as_text: returns a line, or tables and texts with markup to print below each other, in all other cases.
        json_: whether `--json` was used.
        quiet: whether `--quiet` was used.
    """
    if json_:
        facts = as_json()
        say(facts if isinstance(facts, str) else json.dumps(facts, indent=2))
    elif quiet:
        say(paths())
    else:
        text = as_text()
        show(*text) if isinstance(text, Iterable) and not isinstance(text, str) else say(text)


def _is_used(context: typer.Context, name: str) -> bool:
    """Return whether a flag was on the command line: a default must not override the file."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _own_parameters(command: Callable[..., None]) -> list[inspect.Parameter]:
    """Return the parameters of a command except `config`, whose type need not be importable."""
    written = {name: each for name, each in command.__annotations__.items() if name not in ("config", "return")}
    holder: Any = SimpleNamespace(__annotations__=written)
    kinds = get_type_hints(holder, globalns=getattr(command, "__globals__", {}), include_extras=True)
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kinds[parameter.name])
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "config"
    ]


def _parameter(flag: Flag) -> inspect.Parameter:
    is_switch = flag.kind is bool and flag.value is None
    name = f"{flag.name}/--no-{flag.name[2:]}" if is_switch else flag.name
    return _option(
        flag.parameter,
        flag.kind,
        [name, *filter(None, [flag.short])],
        help=flag.help,
        panel=flag.panel,
        default=flag.default,
        metavar=f"<{flag.unit}>" if flag.unit else None,
    )


def _option(
    name: str,
    kind: Any,
    flags: Sequence[str],
    *,
    help: str,
    panel: str,
    default: Any = None,
    metavar: str | None = None,
) -> inspect.Parameter:
    annotation = Annotated[kind | None, typer.Option(*flags, help=help, rich_help_panel=panel or None, metavar=metavar)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
