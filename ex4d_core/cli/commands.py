"""The commands of `ex4d`. Each parses, calls the library and prints; heavy imports are deferred to the call."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ex4d_core.cli.batch_command import app as batch_app
from ex4d_core.cli.clean_command import clean
from ex4d_core.cli.flags import FILL_FLAGS, FLAGS, OUTPUT, PATH_FLAGS
from ex4d_core.cli.kit import Json, Set
from ex4d_core.cli.plugin_commands import CommandsAndPlugins
from ex4d_core.cli.shared import (
    EXAMPLES,
    DepthFileFormat,
    FlagsCommand,
    JsonOutput,
    MeshFormat,
    OutputDir,
    Quiet,
    SaveMesh,
    check_output,
    clips_of,
    finish,
    is_usage_error,
    make_session,
    output_folders,
    parent_of_outputs,
    show_usage_error,
    takes_flags,
)
from ex4d_core.cli.sweeps import sweep_clips, variants
from ex4d_core.roles import ROLES
from ex4d_core.shell import command_line, in_order
from ex4d_core.terminal import can_ask, confirm, say, show
from ex4d_core.version import __version__

if TYPE_CHECKING:
    from ex4d_core.config.run_config import RunConfig
    from ex4d_core.runs.sweep import Variant

app = typer.Typer(
    name="ex4d",
    cls=CommandsAndPlugins,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Re-render a monocular video along a new camera trajectory.",
)
plugins_app = typer.Typer(no_args_is_help=True, help="List, check and create plugins.")
app.add_typer(plugins_app, name="plugins")
cam_app = typer.Typer(no_args_is_help=True, help="Convert camera path files.")
app.add_typer(cam_app, name="cam")
app.add_typer(batch_app, name="batch")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        say(f"ex4d {__version__}")
        raise typer.Exit


@app.command(cls=FlagsCommand, epilog=EXAMPLES)
@takes_flags(expand=variants)
def run(
    config: "list[Variant]",
    clips: Annotated[list[str] | None, typer.Argument(help="Videos, folders or patterns.", show_default=False)] = None,
    output_dir: OutputDir = None,
    save_mesh: SaveMesh = None,
    mesh_format: MeshFormat = "ply",
    quiet: Quiet = False,
    json_: JsonOutput = False,
) -> None:
    """Run the full pipeline: depth, mesh, rendering, generation."""
    from ex4d_core.runs.batch import find_clips, run_batch, run_folders
    from ex4d_core.runs.finished import finished_session

    first = config[0].config
    found = find_clips(clips or clips_of(first))
    parent = parent_of_outputs(first, output_dir)
    meshes: Any = {"save_mesh": save_mesh, "mesh_format": mesh_format}
    if config[0].values:
        of_all = partial(run_folders, found, note=lambda text: None)
        return sweep_clips(config, found, parent, of_all, "result", quiet, json_, **meshes)
    folders = output_folders(first, found, clips, output_dir)
    is_done = partial(finished_session, clips=found, folders=folders, **meshes)
    session = make_session(first, quiet or json_, goal="result", clips=found, finished=is_done)
    finish(run_batch(session, found, folders, **meshes), quiet, json_)


@app.command(cls=FlagsCommand)
@takes_flags(*(flag.name for flag in FLAGS if flag.name not in FILL_FLAGS), expand=variants)
def recon(
    config: "list[Variant]",
    clip: Annotated[str | None, typer.Argument(help="A video or a folder of images.", show_default=False)] = None,
    input_video: Annotated[str | None, typer.Option(hidden=True)] = None,
    output_dir: OutputDir = None,
    save_mesh: SaveMesh = None,
    mesh_format: MeshFormat = "ply",
    quiet: Quiet = False,
    json_: JsonOutput = False,
) -> None:
    """Run reconstruction only: write guidance color and mask videos, cameras and, optionally, meshes."""
    from ex4d_core.runs.batch import run_batch
    from ex4d_core.runs.finished import finished_session

    first = config[0].config
    path = Path(clip or input_video or clips_of(first)[0])
    folder = output_dir or Path(first.run_folder or "outputs")
    check_output(folder)
    meshes: Any = {"save_mesh": save_mesh, "mesh_format": mesh_format}
    if config[0].values:
        return sweep_clips(config, [path], folder, lambda one: [one], "guidance", quiet, json_, **meshes)
    given: Any = {"goal": "guidance", **meshes}
    is_done = partial(finished_session, clips=[path], folders=[folder], **given)
    session = make_session(first, quiet or json_, goal="guidance", clips=[path], finished=is_done)
    finish(run_batch(session, [path], [folder], **given), quiet, json_)


@app.command(cls=FlagsCommand)
@takes_flags(
    "--source-cameras", *(flag.name for flag in FLAGS if flag.name not in ("--renderer", *PATH_FLAGS, *FILL_FLAGS))
)
def depth(
    config: "RunConfig",
    clips: Annotated[list[str] | None, typer.Argument(help="Videos, folders or patterns.", show_default=False)] = None,
    output_dir: OutputDir = None,
    format: Annotated[
        list[DepthFileFormat] | None,
        typer.Option(help="Additional format, PNG with 16 bits; repeatable.", rich_help_panel=OUTPUT),
    ] = None,
    preview: Annotated[
        bool, typer.Option(help="Write depth_preview.mp4, the depth in colors.", rich_help_panel=OUTPUT)
    ] = True,
    quiet: Quiet = False,
    json_: JsonOutput = False,
) -> None:
    """Estimate and export depth for inspection or editing; re-import it with --depth-file."""
    from ex4d_core.runs.batch import depth_batch, find_clips

    found = find_clips(clips or clips_of(config))
    parent_of_outputs(config, output_dir)
    session = make_session(config, quiet or json_, goal="depth", clips=found)
    formats: Any = [each.value for each in format or ()]
    folders = output_folders(config, found, clips, output_dir)
    outcomes = depth_batch(session, found, folders, formats=formats, preview=preview)
    finish(outcomes, quiet, json_)


@app.command(cls=FlagsCommand)
@takes_flags(*(flag.name for flag in FLAGS if flag.name not in FILL_FLAGS))
def preview(
    config: "RunConfig",
    clip: Annotated[str | None, typer.Argument(help="A video or a folder of images.", show_default=False)] = None,
    output_dir: OutputDir = None,
    max_frames: Annotated[
        int, typer.Option(min=1, max=100_000, help="Maximum number of frames.", rich_help_panel=OUTPUT)
    ] = 25,
    max_side: Annotated[
        int, typer.Option(min=64, max=16_384, help="Maximum longer side in pixels.", rich_help_panel=OUTPUT)
    ] = 320,
    quiet: Quiet = False,
    json_: JsonOutput = False,
) -> None:
    """Preview camera paths: visible coverage, layout and warnings."""
    from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
    from ex4d_core.preview.build import make_preview, preview_facts

    path = Path(clip or clips_of(config)[0])
    parent_of_outputs(config, output_dir)
    session = make_session(config, quiet or json_, goal="guidance", clips=[path])
    with redirect_stdout_to_stderr():
        folder = output_folders(config, [path], clip, output_dir)[0]
        made = make_preview(session, path, folder=folder, frames=max_frames, side=max_side)
    say(json.dumps(preview_facts(made), indent=2) if json_ else "\n".join(map(str, made.files.values())))


@app.command(cls=FlagsCommand)
@takes_flags(*(flag.name for flag in FLAGS if flag.name == "--seed" or flag.name not in (*PATH_FLAGS, *FILL_FLAGS)))
def masks(
    config: "RunConfig",
    clips: Annotated[list[str] | None, typer.Argument(help="Videos, folders or patterns.", show_default=False)] = None,
    kind: Annotated[
        Literal["rendering", "tracking", "mixed"] | None,
        typer.Option(help="Kind of mask; mixed draws one of the two for each seed, and is the default with depth."),
    ] = None,
    count: Annotated[int, typer.Option(help="Number of masks; each uses the next seed.", min=1, max=10_000)] = 4,
    no_depth: Annotated[bool, typer.Option("--no-depth", help="Tracking masks of random regions only.")] = False,
    output_dir: OutputDir = None,
    quiet: Quiet = False,
    json_: JsonOutput = False,
) -> None:
    """Simulate training masks and write a contact sheet of the clip, the masks and the masked clip."""
    from ex4d_core.cli.console import masks_json
    from ex4d_core.config.run_config import make_options
    from ex4d_core.masks import MaskOptions
    from ex4d_core.runs.batch import find_clips, mask_batch

    default = {"kind": "tracking"} if no_depth else {}
    options = make_options(MaskOptions, default | config.masks | ({"kind": kind} if kind else {}), "masks")
    found = find_clips(clips or clips_of(config))
    parent_of_outputs(config, output_dir)
    roles = ("mesh", "renderer") if no_depth else ("depth", "mesh", "renderer")
    session = make_session(config, quiet or json_, roles=roles, clips=found)
    folders = output_folders(config, found, clips, output_dir)
    outcomes = mask_batch(session, found, folders, options=options, count=count, depth=not no_depth)
    finish(outcomes, quiet, json_, as_json=masks_json)


@app.command(cls=FlagsCommand)
@takes_flags(*FILL_FLAGS, "--device", "--compat")
def generate(
    config: "RunConfig",
    color_video: Annotated[Path, typer.Option(help="Guidance color video, black in holes.")],
    mask_video: Annotated[Path, typer.Option(help="Mask video, white in the visible region.")],
    output_video: Annotated[Path, typer.Option(help="Output video.")],
    camera: Annotated[Path | None, typer.Option(help="Camera path camera_CAM.npz, for backbones that read it.")] = None,
    quiet: Quiet = False,
    json_: JsonOutput = False,
) -> None:
    """Run only the generation stage on a color video and a mask video."""
    from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
    from ex4d_core.runs.generate import generate_from_files

    session = make_session(config, quiet or json_, roles=("backbone",))
    with redirect_stdout_to_stderr():
        generate_from_files(session, color_video, mask_video, camera, output_video)
    say(json.dumps({"result": str(output_video)}) if json_ else str(output_video))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Component or command with weights.")],
    settings: Set = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download without confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the planned download and exit.")] = False,
    json_: Json = False,
) -> None:
    """Download the weights of a component or command, mostly from the Hugging Face Hub; cached files are reused."""
    from ex4d_core.cli.fetch_tables import plan_json, plan_tables
    from ex4d_core.console_reporter import ConsoleReporter
    from ex4d_core.hub.download import download
    from ex4d_core.plugins.weights import plan_for

    plan = plan_for(name, settings or ())
    if not json_:
        show(*plan_tables(plan))
    folders = None
    if not dry_run:
        plan.check_room()
        if plan.missing and not yes and can_ask() and not confirm("Download?"):
            raise KeyboardInterrupt
        with ConsoleReporter(quiet=json_ or not plan.missing).transfer("download") as progress:
            folders = download(plan, progress)
    if json_:
        say(plan_json(plan, folders))
    else:
        for folder in folders or ():
            say(f"ready: {folder}")


app.command()(clean)


@cam_app.command("convert")
def cam_convert(
    source: Annotated[Path, typer.Argument(help="Camera file, or COLMAP folder.")],
    target: Annotated[Path, typer.Argument(help="Output file, or COLMAP folder.")],
    to: Annotated[str | None, typer.Option(help="Output format; by default from the suffix.")] = None,
    format: Annotated[str | None, typer.Option("--from", help="Source format; detected by default.")] = None,
    camera: Annotated[str | None, typer.Option(help="Camera to read from a source with several.")] = None,
    convention: Annotated[str | None, typer.Option(help="Convention of bare matrices, such as c2w-opencv.")] = None,
    distance: Annotated[float, typer.Option(help="Subject distance, for formats in units of it.")] = 1.0,
    elevation: Annotated[float, typer.Option(help="Elevation of the source camera in degrees, for ViewCrafter.")] = 5.0,
    fill: Annotated[bool, typer.Option("--fill", help="Interpolate the poses of missing frames.")] = False,
) -> None:
    """Convert a camera path to the format of another tool; docs/cameras.md lists the formats."""
    from ex4d_core.cameras.files import ReadOptions, convert

    reading = ReadOptions(distance=distance, camera=camera, convention=convention, elevation=elevation)
    file = convert(source, target, to=to, reading=reading, format=format, fill=fill)
    say(f"{source} is read as {file.format}", err=True)
    for warning in file.warnings:
        say(f"warning: {warning}", err=True)
    say(str(target))


@plugins_app.command("list")
def plugins_list(json_: Json = False) -> None:
    """List installed components and commands, and plugins with problems."""
    from ex4d_core.cli.tables import as_json, listing
    from ex4d_core.plugins.discovery import find_plugins

    found = find_plugins()
    say(as_json(found)) if json_ else show(*listing(found))


@plugins_app.command("show")
def plugins_show(name: Annotated[str, typer.Argument(help="Component or plugin.")]) -> None:
    """Show license, requirements and options of a component, or the problem of a plugin."""
    from ex4d_core.cli.tables import details
    from ex4d_core.plugins.discovery import find_plugins

    show(*details(find_plugins(), name))


@plugins_app.command("check")
def plugins_check(
    name: Annotated[str | None, typer.Argument(help="Component or plugin; all by default.")] = None,
    settings: Set = None,
    device: Annotated[str, typer.Option(help="Device: cpu, cuda, cuda:1 or mps.")] = "cpu",
    json_: Json = False,
) -> None:
    """Run the contract tests of components; exit with 1 if one fails."""
    from ex4d_core.cli.plugin_check import check_json, check_plugins, check_tables, refuse_unchecked
    from ex4d_core.config.run_config import parse_settings
    from ex4d_core.console_reporter import ConsoleReporter
    from ex4d_core.plugins.discovery import find_plugins

    with ConsoleReporter(quiet=json_).stage("check") as progress:
        given = parse_settings(settings or ())
        checks = check_plugins(find_plugins(), name, given, device=device, progress=progress)
    refuse_unchecked(checks)
    say(check_json(checks)) if json_ else show(*check_tables(checks))
    if not checks.good:
        raise typer.Exit(1)


@plugins_app.command("new")
def plugins_new(
    name: Annotated[str, typer.Argument(help="Name of the new component.")],
    role: Annotated[str, typer.Option(metavar="<role>", help=f"Role of the component: {', '.join(ROLES)}.")],
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="Parent folder of the package.")] = Path(),
) -> None:
    """Create a working plugin package from a template."""
    from ex4d_core.plugins.discovery import find_plugins
    from ex4d_core.plugins.new import new_plugin

    folder = new_plugin(name, role, output_dir, find_plugins())
    say(folder)
    words = (("pip", "install", "-e", f"{folder}[test]"), ("pytest", str(folder)), ("ex4d", "plugins", "check", name))
    say(f"try: {in_order(map(command_line, words))}", err=True)


@app.command()
def doctor(
    all_: Annotated[bool, typer.Option("--all", "-v", help="Print what is fine too.")] = False, json_: Json = False
) -> None:
    """Check what works on this machine and print the command that fixes each problem; exit with 1 for a defect."""
    from ex4d_core.cli.doctor import Machine, examine
    from ex4d_core.cli.tables import diagnosis, diagnosis_json
    from ex4d_core.cli.verdict import verdict
    from ex4d_core.plugins.discovery import find_plugins

    plugins, machine = find_plugins(), Machine.this()
    lines, findings = verdict(plugins, machine), list(examine(plugins, device_type=machine.device_type))
    say(diagnosis_json(lines, findings)) if json_ else show(*diagnosis(lines, findings, show_all=all_))
    if any(finding.level == "broken" for finding in findings):
        raise typer.Exit(1)


def normalize_arguments(arguments: Sequence[str]) -> list[str]:
    """Convert the spelling of EX-4D arguments to that of ex4d.

    `--output_dir` becomes `--output-dir`, and a bare `--save-mesh` becomes `--save-mesh first`.
    """
    normal: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return [*normal, *arguments[index:]]
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            argument = name.replace("_", "-") + equals + value
        normal.append(argument)
        if argument == "--save-mesh" and (index + 1 == len(arguments) or arguments[index + 1] not in ("first", "all")):
            normal.append("first")
    return normal


def call(arguments: Sequence[str]) -> int:
    """Call a command and return its exit code; `Typer.__call__` hides errors."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("ex4d", normalize_arguments(arguments)) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort as error:  # a confirmation was declined
        raise KeyboardInterrupt from error
    except Exception as error:
        if not is_usage_error(error):
            raise
        show_usage_error(error)
        return int(error.exit_code)
    return 0
