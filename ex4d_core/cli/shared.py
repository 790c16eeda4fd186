"""What the commands of `ex4d` share: flags, arguments, sessions, and how they end."""

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import typer

from ex4d_core.cli.flags import FLAGS, RUN, Flag, configuration
from ex4d_core.terminal import printable, say, say_error, show

if TYPE_CHECKING:
    from ex4d_core.config.run_config import RunConfig
    from ex4d_core.pipeline.session import Session
    from ex4d_core.runs.batch import Outcome

RECON_ROLES = ("depth", "mesh", "trajectory", "renderer")
"""What `recon` uses; `run` adds a backbone."""


def takes_flags(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these flags (all if none is named), `--set` and `--config`, as one argument `config`."""
    flags = [flag for flag in FLAGS if not names or flag.name in names]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command).parameters.values() if p.name != "config"]
        parameters = [_parameter(flag) for flag in flags] + [
            _option("settings", list[str], "--set", "SECTION.OPTION=VALUE for any option of any component.", RUN),
            _option("config_file", Path, "--config", "TOML file with the same sections.", RUN),
        ]

        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            given = {parameter.name: values.pop(parameter.name) for parameter in parameters}
            command(**values, config=configuration(flags, given))

        signature = inspect.Signature([*own, *parameters])
        wrapper.__signature__ = signature  # type: ignore[attr-defined]  # what typer reads
        wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return wrapper

    return decorate


def _parameter(flag: Flag) -> inspect.Parameter:
    return _option(flag.parameter, flag.kind, flag.name, flag.help, flag.panel)


def _option(name: str, kind: Any, flag: str, help: str, panel: str) -> inspect.Parameter:
    annotation = Annotated[kind | None, typer.Option(flag, help=help, rich_help_panel=panel, show_default=False)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


OutputDir = Annotated[Path, typer.Option("--output-dir", "-o", help="Where run folders are made.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and the outputs' paths.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
SaveMesh = Annotated[
    str | None, typer.Option(help="Write the mesh as PLY: first frame, or all.", metavar="[first|all]")
]
MeshFormat = Annotated[str, typer.Option(help="How meshes are written: ply or glb.")]


def check_output(folder: Path) -> None:
    """Find out before any work whether the outputs can be written."""
    from ex4d_core.errors import OutputFailed
    from ex4d_core.files import temporary_folder

    try:
        with temporary_folder(folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputFailed(f"{folder} cannot be written: {reason}; choose another --output-dir") from error


def clips_of(config: "RunConfig") -> tuple[str, ...]:
    """Return the clips that a configuration names, where the command line names none."""
    if not config.clips:
        raise typer.BadParameter("name a video, a folder of images, or a pattern such as 'clips/*.mp4'")
    return config.clips


def mesh_choice(save_mesh: str | None, mesh_format: str) -> dict[str, Any]:
    """Return what was said of meshes, checked."""
    if save_mesh not in (None, "first", "all"):
        raise typer.BadParameter(f"--save-mesh takes first or all, not {save_mesh!r}")
    if mesh_format not in ("ply", "glb"):
        raise typer.BadParameter(f"--mesh-format takes ply or glb, not {mesh_format!r}")
    return {"save_mesh": save_mesh, "mesh_format": mesh_format}


def make_session(config: "RunConfig", quiet: bool, roles: Sequence[str]) -> "Session":
    """Return a session that talks to the terminal, with what it needs for these roles found to be there."""
    from ex4d_core.cli.console import ConsoleReporter
    from ex4d_core.pipeline.session import Session

    reporter = ConsoleReporter(quiet=quiet)
    session = Session(config, reporter=reporter)
    for problem in session.registry.plugins.broken:
        reporter.warn(problem.sentence())
    session.check(*roles)
    return session


def finish(
    outcomes: "list[Outcome]", quiet: bool, json_: bool, *, as_json: "Callable[[list[Outcome]], str] | None" = None
) -> None:
    """Print what came out; exit with 2 where the only run failed, 1 where some of several did."""
    from ex4d_core.cli.console import outcomes_json, summary

    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if json_:
        say((as_json or outcomes_json)(outcomes))
    elif len(failed) < len(outcomes):
        if quiet:
            say("\n".join(str(path) for outcome in outcomes for path in outcome.files.values()))
        else:
            show(summary(outcomes))
    if json_ or quiet or len(failed) == len(outcomes):  # else the summary has them
        for outcome in failed:
            who = f"{outcome.title}: " if len(outcomes) > 1 else ""
            say_error(f"{who}{outcome.error}")
    if failed:
        raise typer.Exit(2 if len(failed) == len(outcomes) else 1)


def is_usage_error(error: Exception) -> TypeGuard[typer.BadParameter]:
    """Return whether Typer found something wrong with the command line; its class for that has moved, this has not."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def show_usage_error(error: typer.BadParameter) -> None:
    """Print how the command is used and what is wrong, as Typer does."""
    error.message = printable(error.message)
    try:
        from typer.rich_utils import rich_format_error
    except ImportError:  # Typer works without rich too
        error.show()
    else:
        rich_format_error(error)
