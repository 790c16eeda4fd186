"""The command `ex4d eval`; the modules that do the work are imported when a sub-command is called."""

from pathlib import Path
from typing import Annotated

import typer

from ex4d_core.cli.kit import Json, Quiet, make_reporter, print_result

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Evaluate methods on videos.")

Folder = Annotated[Path, typer.Argument(help="Evaluation folder, with results/METHOD/CLIP__CAMERA.mp4.")]


@app.command()
def score(
    folder: Folder,
    method: Annotated[list[str] | None, typer.Option(help="Method to score, repeatable; all by default.")] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Score the videos of all methods; write scores.json and table.md."""
    from ex4d_evaluation.scoring import score as run
    from ex4d_evaluation.tables import table

    scores = run(folder, methods=method, reporter=make_reporter(quiet=quiet or json_))
    print_result(
        as_json=scores.as_json,
        paths=lambda: folder / "table.md",
        as_text=lambda: table(scores),
        json_=json_,
        quiet=quiet,
    )
