"""The command `ex4d eval`; the modules that do the work are imported when a sub-command is called."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from ex4d_core.cli.kit import Flag, Json, Quiet, field_flag, make_reporter, print_result, takes_config
from ex4d_core.config import RunConfig, make_config
from ex4d_core.shell import quote

if TYPE_CHECKING:
    from ex4d_evaluation.running import Made

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Evaluate methods on videos.")

Folder = Annotated[Path, typer.Argument(help="Evaluation folder, with results/METHOD/CLIP__CAMERA.mp4.")]


VIDEO: Any = get_type_hints(RunConfig)["video"]
FLAGS = (
    Flag(name="--depth", key="depth.name", kind=str, help="Depth estimator, for data without depth.", default="auto"),
    Flag(name="--backbone", key="backbone.name", kind=str, help="Video model.", default="auto"),
    field_flag("--seed", "seed", RunConfig),
    field_flag("--compat", "compat", RunConfig),
    field_flag("--num-frames", "video.num_frames", VIDEO),
    field_flag("--size", "video.size", VIDEO),
    field_flag("--device", "device", RunConfig),
)

ESTIMATOR_FLAGS = (
    Flag(name="--depth", key="depth.name", kind=str, help="Depth estimator, best one with poses.", default="auto"),
    field_flag("--device", "device", RunConfig),
)


def _ready(done: int, what: str, failed: int, folder: Path, then: str = "") -> str:
    """Return the outcome and the next command, by default that of scores."""
    then = then or f"ex4d eval score {quote(str(folder))}"
    return f"ready: {done} {what}, {failed} failed" + (f"; next: {then}" if done else "")


def sentences(failed: Mapping[str, str]) -> list[str]:
    """Return each error once, with the names of what failed with it."""
    names: dict[str, list[str]] = {}
    for name, error in failed.items():
        names.setdefault(error, []).append(name)
    return [
        f"{first}{f' and {len(others)} more' if others else ''}: {error}" for error, (first, *others) in names.items()
    ]


@app.command()
@takes_config(make_config, FLAGS)
def run(
    config: RunConfig,
    data: Annotated[Path, typer.Argument(help="Folder of clips or of a data set, or synthetic.")],
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="Evaluation folder.")],
    protocol: Annotated[
        Literal["ranges", "truth"],
        typer.Option(help="ranges: clips at 0-30, 0-60, 0-90 and -90..90 degrees; truth: pairs of a data set."),
    ] = "ranges",
    data_set: Annotated[str | None, typer.Option(help="Layout of the data; recognized by default.")] = None,
    method: Annotated[str | None, typer.Option(help="Name of the results; by default the backbone.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, counted from --seed.")] = 1,
    shard: Annotated[str, typer.Option(help="Part of the clips, INDEX/COUNT, counted from 0.")] = "0/1",
    manifest: Annotated[
        Path | None,
        typer.Option(help="Prepare only; write this CSV file, for `ex4d batch run` and `ex4d eval collect`."),
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Make the videos of a protocol with a backbone. Run the same command again to resume."""
    from functools import partial

    from ex4d_core.jobs.shards import Shard
    from ex4d_evaluation.batching import make_manifest
    from ex4d_evaluation.running import make_videos

    make = partial(make_manifest, manifest) if manifest else make_videos
    made = make(
        data,
        output_dir,
        protocol=protocol,
        config=config,
        method=method,
        data_set=data_set,
        seeds=seeds,
        shard=Shard.parse(shard),
        reporter=make_reporter(quiet=quiet or json_),
    )
    then = f"ex4d batch run {quote(str(manifest))} -o BATCH; ex4d eval collect {quote(str(output_dir))} BATCH"
    _finish(
        made,
        f"rows for {made.method}" if manifest else f"videos of {made.method}",
        then if manifest else "",
        json_,
        quiet,
    )


@app.command()
def collect(
    folder: Folder,
    batch: Annotated[Path, typer.Argument(help="Output folder of `ex4d batch run`.")],
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Copy the videos of a batch to its evaluation folder; unfinished jobs are named."""
    from ex4d_evaluation.batching import collect as run

    made = run(folder, batch)
    _finish(made, f"videos of {made.method}" if made.done else "videos", "", json_, quiet)


def _finish(made: "Made", what: str, then: str, json_: bool, quiet: bool) -> None:
    """Print the outcome and the errors; exit with 2 if all cases failed, with 1 if some did."""
    import attrs

    from ex4d_core.terminal import say_error

    print_result(
        as_json=lambda: {**attrs.asdict(made), "folder": str(made.folder)},
        paths=lambda: made.folder,
        as_text=lambda: _ready(len(made.done), what, len(made.failed), made.folder, then=then),
        json_=json_,
        quiet=quiet,
    )
    for error in sentences(made.failed):
        say_error(error)
    if made.failed:
        raise typer.Exit(1 if made.done else 2)


@app.command()
def score(
    folder: Folder,
    method: Annotated[list[str] | None, typer.Option(help="Method to score, repeatable; all by default.")] = None,
    export: Annotated[
        Literal["vbench"] | None, typer.Option(help="Write the videos and a script for a library that runs elsewhere.")
    ] = None,
    import_: Annotated[
        tuple[str, Path] | None, typer.Option("--import", help="Add results of such a library: vbench FILE.")
    ] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Score the videos of all methods; write scores.json, table.md and report.html."""
    from ex4d_core.terminal import say
    from ex4d_evaluation.layout import Evaluation
    from ex4d_evaluation.scoring import score as run
    from ex4d_evaluation.tables import table
    from ex4d_evaluation.vbench import export_videos, import_results

    if import_ is not None and import_[0] != "vbench":
        raise typer.BadParameter("--import takes vbench and a file")
    if export is not None:
        say(
            f"{export_videos(Evaluation(folder))} evaluates the videos; then: "
            f"ex4d eval score {quote(str(folder))} --import vbench {quote(str(folder / 'vbench/results'))}",
            err=True,
        )
    if import_ is not None:
        import_results(Evaluation(folder), import_[1])
    scores = run(folder, methods=method, reporter=make_reporter(quiet=quiet or json_))
    print_result(
        as_json=scores.as_json,
        paths=lambda: folder / "table.md",
        as_text=lambda: table(scores),
        json_=json_,
        quiet=quiet,
    )


@app.command()
@takes_config(make_config, ESTIMATOR_FLAGS)
def cameras(
    config: RunConfig,
    folder: Folder,
    method: Annotated[list[str] | None, typer.Option(help="Method to estimate, repeatable; all by default.")] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Estimate the camera paths of all videos with a depth estimator, for camera errors."""
    import attrs

    from ex4d_core.terminal import say_error
    from ex4d_evaluation.estimating import estimate_cameras

    found = estimate_cameras(folder, config=config, methods=method, reporter=make_reporter(quiet=quiet or json_))
    print_result(
        as_json=lambda: {**attrs.asdict(found), "folder": str(found.folder)},
        paths=lambda: found.folder / "cameras",
        as_text=lambda: _ready(found.done, f"camera paths of {found.estimator}", len(found.failed), folder),
        json_=json_,
        quiet=quiet,
    )
    for error in sentences(found.failed):
        say_error(error)
    if found.failed:
        raise typer.Exit(1 if found.done else 2)


@app.command()
def study(
    folder: Folder,
    method: Annotated[list[str] | None, typer.Option(help="Method to compare, repeatable; all by default.")] = None,
) -> None:
    """Write user_study/index.html, a page of blind pairs that saves answers as CSV."""
    from ex4d_core.terminal import say
    from ex4d_evaluation.user_study import KEY, write_study

    say(write_study(folder, methods=method))
    say(f"{folder / KEY} identifies the videos; do not give it to participants", err=True)


@app.command()
def preferences(
    folder: Folder,
    answers: Annotated[list[Path], typer.Argument(help="CSV files of answers.")],
    json_: Json = False,
) -> None:
    """Turn the answers of a user study into a table of preferences."""
    import attrs

    from ex4d_evaluation.user_study import preference_table
    from ex4d_evaluation.user_study import preferences as read

    found = read(folder, answers)
    print_result(
        as_json=lambda: [{**attrs.asdict(each), "rate": each.rate} for each in found],
        paths=lambda: "",
        as_text=lambda: preference_table(found),
        json_=json_,
    )
