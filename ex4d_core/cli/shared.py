"""Shared parts of the `ex4d` commands: flags, arguments, sessions and exit codes."""

import os
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeGuard

import typer
from typer.core import TyperCommand

from ex4d_core.cli.flags import DEPTH, FLAGS, FORMER_NAMES, OUTPUT, PATH, RUN, add_user_config, read_file
from ex4d_core.cli.kit import Expand, takes_config
from ex4d_core.cli.several_values import one_value
from ex4d_core.config.run_config import make_config
from ex4d_core.terminal import can_ask, confirm, printable, say, say_error, show

if TYPE_CHECKING:
    from ex4d_core.config.run_config import RunConfig
    from ex4d_core.pipeline.session import Session
    from ex4d_core.plugins.offers import Offer
    from ex4d_core.runs.batch import Outcome

EXAMPLES = """Examples:

ex4d run clip.mp4 --depth-file depth.npz --cam 60

ex4d run clip.mp4 --depth-file depth.npz --cam 30 --cam "orbit:yaw=45 then dolly"

ex4d run clip.mp4 --depth-file depth.npz --cam 30 --set mesh.min_angle=1,2.5,8

ex4d run --config outputs/clip/config.toml"""
"""Printed below the help of `ex4d run`."""

LONGEST_USAGE_ERROR = 800
"""Characters; a value on the command line may be longer."""


class FlagsCommand(TyperCommand):
    """A command that `takes_flags`: it accepts their former names, and `--help` is listed last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = {name.lstrip("-") for parameter in self.params for name in parameter.opts}
        renamed = {former: name for former, name in FORMER_NAMES.items() if name in own}
        self.context_settings["token_normalize_func"] = lambda name: renamed.get(name, name)

    def get_help_option(self, ctx: Any) -> Any:
        """Return `--help` as an option of the last panel."""
        option: Any = super().get_help_option(ctx)
        option.rich_help_panel = RUN
        return option


def takes_flags(*names: str, expand: Expand = one_value) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add these flags (all by default), `--set` and `--config` to a command, which receives the argument `config`."""
    flags = [flag for flag in FLAGS if not names or flag.name in names]
    return takes_config(
        make_config,
        [flag for flag in flags if flag.panel in (PATH, DEPTH)],
        later_flags=[flag for flag in flags if flag.panel not in (PATH, DEPTH)],
        panel=RUN,
        read_file=read_file,
        add_defaults=add_user_config,
        expand=expand,
    )


OutputDir = Annotated[
    Path | None,
    typer.Option(
        "--output-dir",
        "-o",
        help="Output folder.",
        show_default="outputs, or that of --config",
        rich_help_panel=OUTPUT,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only warnings and output paths.", rich_help_panel=OUTPUT)
]
JsonOutput = Annotated[bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=OUTPUT)]
SaveMesh = Annotated[
    Literal["first", "all"] | None,
    typer.Option(help="Write the mesh of the first frame or of all frames.", rich_help_panel=OUTPUT),
]
MeshFormat = Annotated[Literal["ply", "glb"], typer.Option(help="File format of meshes.", rich_help_panel=OUTPUT)]


class DepthFileFormat(StrEnum):
    """Choices of `ex4d depth --format`; Typer accepts lists of enums, but not of literals."""

    NPZ = "npz"
    PNG = "png"
    EXR = "exr"


def parent_of_outputs(config: "RunConfig", output_dir: Path | None) -> Path:
    """Return the folder of the run folders, after checking that it can be written to."""
    own = config.run_folder
    parent = output_dir or (Path(own).parent if own else Path("outputs"))
    check_output(parent)
    return parent


def output_folders(config: "RunConfig", clips: "list[Path]", given: object, output_dir: Path | None) -> "list[Path]":
    """Return the run folder of each clip: that of the configuration if the clip is from there too.

    Args:
        config: the configuration.
        clips: the clips.
        given: the clips of the command line, if any.
        output_dir: the output folder of the command line.
    """
    from ex4d_core.runs.batch import run_folders

    if not given and not output_dir and config.run_folder and len(clips) == 1:
        return [Path(config.run_folder)]
    return run_folders(clips, parent_of_outputs(config, output_dir))


def check_output(folder: Path) -> None:
    """Check that the outputs can be written, before any work."""
    from ex4d_core.errors import OutputFailed
    from ex4d_core.files import missing_folders, remove_empty, temporary_folder

    if folder.exists() and not folder.is_dir():
        raise OutputFailed(f"{folder} cannot be written: it is not a folder; choose another --output-dir")
    created = missing_folders(folder)
    try:
        with temporary_folder(folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputFailed(f"{folder} cannot be written: {reason}; choose another --output-dir") from error
    finally:
        remove_empty(created)  # the run may fail


def clips_of(config: "RunConfig") -> tuple[str, ...]:
    """Return the clips of a configuration, for a command line without clips."""
    if not config.clips:
        raise typer.BadParameter("no clip given; pass a video, a folder of images, or a pattern such as 'clips/*.mp4'")
    return config.clips


def make_session(
    config: "RunConfig",
    quiet: bool,
    *,
    goal: str = "",
    roles: Sequence[str] = (),
    clips: Sequence[Path] = (),
    finished: "Callable[[Session], Session | None]" = lambda session: None,
) -> "Session":
    """Return a session that reports to the terminal, after checking its components.

    Args:
        config: names the components.
        quiet: whether only warnings are printed.
        goal: the stage that the command ends with; the roles up to it are checked.
        roles: the roles to check, if the command runs no stages in order.
        clips: the clips; if none exists, nothing is downloaded for them.
        finished: returns a session, whose components need no check, if nothing is left to do.
    """
    from ex4d_core.config.user_config import user_config_file
    from ex4d_core.console_reporter import ConsoleReporter
    from ex4d_core.pipeline.ignored import ignored_settings
    from ex4d_core.pipeline.session import Session
    from ex4d_core.pipeline.stage_order import roles_for
    from ex4d_core.runs.estimator_start import start_estimator

    reporter = ConsoleReporter(quiet=quiet)
    may_ask = not quiet and any(map(os.path.exists, clips))
    session = Session(config, reporter=reporter, consent=ask_to_download if may_ask else None)
    if (file := user_config_file()) and file.exists():
        reporter.note(f"defaults: {file}")
    for problem in session.registry.plugins.broken:
        reporter.warn(problem.sentence())
    roles = roles_for(goal) if goal else roles
    if done := finished(session):
        session = done
    else:
        if goal == "result":
            start_estimator(session)
        session.check(*roles)
    for sentence in ignored_settings(session, roles):
        reporter.warn(sentence)
    return session


def ask_to_download(offer: "Offer") -> bool:
    """Ask in a terminal whether the weights of a component may be downloaded; elsewhere they are not.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    return can_ask() and confirm(f"{offer.spec.offer_download}. Download now?")


def finish(
    outcomes: "list[Outcome]", quiet: bool, json_: bool, *, as_json: "Callable[[list[Outcome]], str] | None" = None
) -> None:
    """Print the outcomes; exit with 2 if all runs failed, with 1 if some did."""
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
    """Return whether an error is a usage error of Typer, by its attributes: the class moves between versions."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def show_usage_error(error: typer.BadParameter) -> None:
    """Print the usage of the command and the error, as Typer does."""
    # Typer's validator says "Input should be a valid number, unable to parse string as a number".
    message = re.sub(r"^Input should be (a )?valid (.*?)(,.*)?$", r"must be a valid \2", error.message, flags=re.DOTALL)
    message = printable(message.removeprefix("Value error, "))
    if len(message) > LONGEST_USAGE_ERROR:
        half = LONGEST_USAGE_ERROR // 2
        message = f"{message[:half]} [...] {message[-half:]}"
    error.message = message
    try:
        from typer.rich_utils import rich_format_error
    except ImportError:  # Typer works without rich too
        error.show()
    else:
        rich_format_error(error)
