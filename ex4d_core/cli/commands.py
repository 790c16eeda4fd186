"""The commands of `ex4d`. Each parses, calls the library and prints; heavy imports wait until it is called."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ex4d_core.cli.flags import FILL_FLAGS, FLAGS, PATH_FLAGS
from ex4d_core.cli.plugin_commands import CommandsAndPlugins
from ex4d_core.cli.shared import (
    RECON_ROLES,
    Json,
    MeshFormat,
    OutputDir,
    Quiet,
    SaveMesh,
    check_output,
    clips_of,
    finish,
    is_usage_error,
    make_session,
    mesh_choice,
    show_usage_error,
    takes_flags,
)
from ex4d_core.terminal import say, show

if TYPE_CHECKING:
    from ex4d_core.config.run_config import RunConfig

app = typer.Typer(
    name="ex4d",
    cls=CommandsAndPlugins,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn one ordinary video into a video seen from somewhere else.",
)
plugins_app = typer.Typer(no_args_is_help=True, help="What is installed, and its options.")
app.add_typer(plugins_app, name="plugins")
cam_app = typer.Typer(no_args_is_help=True, help="Camera paths as files.")
app.add_typer(cam_app, name="cam")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from ex4d_core.version import __version__

        say(f"ex4d {__version__}")
        raise typer.Exit


@app.command()
@takes_flags()
def run(
    config: "RunConfig",
    clips: Annotated[list[str] | None, typer.Argument(help="Videos, folders, or patterns.", show_default=False)] = None,
    output_dir: OutputDir = Path("outputs"),
    save_mesh: SaveMesh = None,
    mesh_format: MeshFormat = "ply",
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Turn clips into videos seen from another camera path: the whole way."""
    from ex4d_core.runs.batch import find_clips, run_batch, run_folders

    found = find_clips(clips or clips_of(config))
    check_output(output_dir)
    session = make_session(config, quiet or json_, (*RECON_ROLES, "backbone"))
    outcomes = run_batch(session, found, run_folders(found, output_dir), **mesh_choice(save_mesh, mesh_format))
    finish(outcomes, quiet, json_)


@app.command()
@takes_flags(*(flag.name for flag in FLAGS if flag.name not in FILL_FLAGS))
def recon(
    config: "RunConfig",
    clip: Annotated[str | None, typer.Argument(help="A video or a folder of images.", show_default=False)] = None,
    input_video: Annotated[str | None, typer.Option(hidden=True)] = None,
    output_dir: OutputDir = Path("outputs"),
    save_mesh: SaveMesh = None,
    mesh_format: MeshFormat = "ply",
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Go up to the guidance: color_CAM.mp4, mask_CAM.mp4, camera_CAM.npz, and meshes on request."""
    from ex4d_core.runs.batch import run_batch

    path = Path(clip or input_video or clips_of(config)[0])
    check_output(output_dir)
    session = make_session(config, quiet or json_, RECON_ROLES)
    outcomes = run_batch(session, [path], [output_dir], goal="guidance", **mesh_choice(save_mesh, mesh_format))
    finish(outcomes, quiet, json_)


@app.command()
@takes_flags(*(flag.name for flag in FLAGS if flag.name not in ("--renderer", *PATH_FLAGS, *FILL_FLAGS)))
def depth(
    config: "RunConfig",
    clips: Annotated[list[str] | None, typer.Argument(help="Videos, folders, or patterns.", show_default=False)] = None,
    output_dir: OutputDir = Path("outputs"),
    format: Annotated[list[str] | None, typer.Option(help="Also write png (16-bit) or exr; repeatable.")] = None,
    preview: Annotated[bool, typer.Option(help="Write depth_preview.mp4, the depth in colors.")] = True,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the depth of clips, to look at it, to edit it, and to bring it back by --depth-file."""
    from ex4d_core.runs.batch import depth_batch, find_clips, run_folders

    if unknown := sorted(set(format or ()) - {"npz", "png", "exr"}):
        raise typer.BadParameter(f"--format takes npz, png or exr, not {unknown[0]!r}")
    found = find_clips(clips or clips_of(config))
    check_output(output_dir)
    session = make_session(config, quiet or json_, ("depth",))
    outcomes = depth_batch(session, found, run_folders(found, output_dir), formats=format or (), preview=preview)  # type: ignore[arg-type]  # checked above
    finish(outcomes, quiet, json_)


@app.command()
@takes_flags(*(flag.name for flag in FLAGS if flag.name not in FILL_FLAGS))
def preview(
    config: "RunConfig",
    clip: Annotated[str | None, typer.Argument(help="A video or a folder of images.", show_default=False)] = None,
    output_dir: OutputDir = Path("outputs"),
    frames: Annotated[int, typer.Option(min=1, max=100_000, help="Look at this many frames at most.")] = 25,
    side: Annotated[int, typer.Option(min=64, max=16_384, help="Longer side of these frames, pixels at most.")] = 320,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """See camera paths before paying: what they will know of the clip, where they go, what is wrong with them."""
    from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
    from ex4d_core.preview.making import make_preview, preview_facts
    from ex4d_core.runs.batch import run_folders

    path = Path(clip or clips_of(config)[0])
    check_output(output_dir)
    session = make_session(config, quiet or json_, RECON_ROLES)
    with redirect_stdout_to_stderr():
        made = make_preview(session, path, folder=run_folders([path], output_dir)[0], frames=frames, side=side)
    say(json.dumps(preview_facts(made), indent=2) if json_ else "\n".join(map(str, made.files.values())))


@app.command()
@takes_flags(*(flag.name for flag in FLAGS if flag.name == "--seed" or flag.name not in (*PATH_FLAGS, *FILL_FLAGS)))
def masks(
    config: "RunConfig",
    clips: Annotated[list[str] | None, typer.Argument(help="Videos, folders, or patterns.", show_default=False)] = None,
    kind: Annotated[
        str | None, typer.Option(help="rendering, tracking, or mixed: one of the two by the seed.", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option(help="Number of masks; the seed grows by 1.", min=1, max=10_000)] = 4,
    no_depth: Annotated[bool, typer.Option("--no-depth", help="Tracking masks of random regions alone.")] = False,
    output_dir: OutputDir = Path("outputs"),
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Simulate masks for training and write a sheet of clips, masks and what a model would be shown, to look at."""
    from ex4d_core.cli.console import masks_json
    from ex4d_core.config.run_config import make_options
    from ex4d_core.masks import MaskOptions
    from ex4d_core.runs.batch import find_clips, mask_batch, run_folders

    default = {"kind": "tracking"} if no_depth else {}
    options = make_options(MaskOptions, default | config.masks | ({"kind": kind} if kind else {}), "masks")
    found = find_clips(clips or clips_of(config))
    check_output(output_dir)
    session = make_session(config, quiet or json_, ("mesh", "renderer") if no_depth else ("depth", "mesh", "renderer"))
    folders = run_folders(found, output_dir)
    outcomes = mask_batch(session, found, folders, options=options, count=count, depth=not no_depth)
    finish(outcomes, quiet, json_, as_json=masks_json)


@app.command()
@takes_flags(*FILL_FLAGS, "--device", "--compat")
def generate(
    config: "RunConfig",
    color_video: Annotated[Path, typer.Option(help="What is known, 0 elsewhere.")],
    mask_video: Annotated[Path, typer.Option(help="White where it is known.")],
    output_video: Annotated[Path, typer.Option(help="The video to write.")],
    camera: Annotated[Path | None, typer.Option(help="camera_CAM.npz of the path, for backbones that use it.")] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Fill in what a color and a mask video do not know: the last stage on its own."""
    from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
    from ex4d_core.runs.generate import generate_file, read_guidance

    session = make_session(config, quiet or json_, ("backbone",))
    with redirect_stdout_to_stderr():
        generate_file(session, read_guidance(color_video, mask_video, camera), output_video)
    say(json.dumps({"result": str(output_video)}) if json_ else str(output_video))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Name of a component that has weights.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Options that name other weights.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the download.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded, and stop.")] = False,
    json_: Json = False,
) -> None:
    """Download a component's weights from the Hugging Face hub; what is here already stays."""
    from ex4d_core.cli.console import ConsoleReporter
    from ex4d_core.cli.fetch_tables import plan_json, plan_tables
    from ex4d_core.hub.download import download
    from ex4d_core.plugins.weights import plan_for

    plan = plan_for(name, settings or ())
    if not json_:
        show(*plan_tables(plan))
    folders = None
    if not dry_run:
        plan.check_room()
        if plan.missing and not yes and sys.stdin.isatty():
            typer.confirm("Download?", default=True, abort=True, err=True)
        with ConsoleReporter(quiet=json_ or not plan.missing).transfer("download") as progress:
            folders = download(plan, progress)
    if json_:
        say(plan_json(plan, folders))
    else:
        for folder in folders or ():
            say(f"ready: {folder}")


@cam_app.command("convert")
def cam_convert(
    source: Annotated[Path, typer.Argument(help="A camera file, or a folder of COLMAP's.")],
    target: Annotated[Path, typer.Argument(help="The file, or of COLMAP's the folder, to write.")],
    to: Annotated[str | None, typer.Option(help="Format; by default what the suffix says.")] = None,
    format: Annotated[str | None, typer.Option("--from", help="Format of the source; by default it is seen.")] = None,
    camera: Annotated[str | None, typer.Option(help="Which camera, where the source has several.")] = None,
    convention: Annotated[str | None, typer.Option(help="What bare matrices mean, such as c2w-opencv.")] = None,
    distance: Annotated[float, typer.Option(help="To the subject, for formats that count in it.")] = 1.0,
) -> None:
    """Write a camera path as another tool has it; docs/cameras.md has the formats."""
    from ex4d_core.cameras.files import ReadOptions, convert

    reading = ReadOptions(distance=distance, camera=camera, convention=convention)
    for doubt in convert(source, target, to=to, reading=reading, format=format).warnings:
        say(f"warning: {doubt}", err=True)
    say(str(target))


@plugins_app.command("list")
def plugins_list(json_: Json = False) -> None:
    """List the components that are installed, and the plugins that do not work."""
    from ex4d_core.cli.tables import as_json, listing
    from ex4d_core.plugins.discovery import find_plugins

    found = find_plugins()
    say(as_json(found)) if json_ else show(*listing(found))


@plugins_app.command("show")
def plugins_show(name: Annotated[str, typer.Argument(help="Name of a component or plugin.")]) -> None:
    """Show a component's license, needs and options, or what is wrong with a plugin."""
    from ex4d_core.cli.tables import details
    from ex4d_core.plugins.discovery import find_plugins

    show(*details(find_plugins(), name))


@plugins_app.command("check")
def plugins_check(
    name: Annotated[str | None, typer.Argument(help="Name of a component or plugin; all if left out.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Options to check it with.")] = None,
    device: Annotated[str, typer.Option(help="Where it works: cpu, cuda, cuda:1, mps.")] = "cpu",
    json_: Json = False,
) -> None:
    """Test whether components do what their role asks; exit with 1 where one does not."""
    from ex4d_core.cli.console import ConsoleReporter
    from ex4d_core.cli.plugin_check import check_json, check_plugins, check_tables, refuse_unchecked
    from ex4d_core.config.run_config import parse_settings
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
    name: Annotated[str, typer.Argument(help="What users will type to get the component.")],
    role: Annotated[str, typer.Option(help="depth, mesh, trajectory, renderer or backbone.")],
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="Where its folder is made.")] = Path(),
) -> None:
    """Write a package that offers a component and works as it is, to go on from."""
    from ex4d_core.plugins.discovery import find_plugins
    from ex4d_core.plugins.new import new_plugin

    folder = new_plugin(name, role, output_dir, find_plugins())
    say(folder)
    install, test = shlex.quote(f"{folder}[test]"), shlex.quote(str(folder))
    say(f"try: pip install -e {install} && pytest {test} && ex4d plugins check {name}", err=True)


@app.command()
def doctor(json_: Json = False) -> None:
    """Say what this machine has, what is missing, and the command that mends it."""
    from ex4d_core.cli.doctor import examine
    from ex4d_core.cli.tables import findings_table
    from ex4d_core.plugins.discovery import find_plugins

    findings = list(examine(find_plugins()))
    if json_:
        say(json.dumps([{"what": f.what, "state": f.state, "mend": f.mend} for f in findings], indent=2))
    else:
        show(findings_table(findings))


def normalize_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the reference's spellings made ours.

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
    """Call a command and return its exit code; `Typer.__call__` would hide how it ended."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("ex4d", normalize_arguments(arguments)) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort as error:  # a question was answered with no, or not at all
        raise KeyboardInterrupt from error
    except Exception as error:
        if not is_usage_error(error):
            raise
        show_usage_error(error)
        return int(error.exit_code)
    return 0
