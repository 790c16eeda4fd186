"""Sweeps of `ex4d run` and `recon`: a run folder for each combination of the values in `--set` texts, and a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ex4d_core.cli.several_values import expanded
from ex4d_core.cli.shared import make_session
from ex4d_core.config.run_config import RunConfig, write_config
from ex4d_core.errors import InvalidConfig
from ex4d_core.terminal import say, say_error, show

if TYPE_CHECKING:  # heavy imports
    from ex4d_core.runs.export import Goal
    from ex4d_core.runs.sweep import Variant
    from ex4d_core.runs.sweep_table import Sweep


def variants(settings: Sequence[str], configuration: Callable[[Sequence[str]], RunConfig]) -> list[Variant]:
    """Return the combinations of the values in `--set` texts, each with its configuration.

    Raises:
        InvalidConfig: a value is invalid, or two combinations are equal, as if a flag sets the option too.
    """
    from ex4d_core.runs.sweep import Variant

    found = [Variant(values=values, config=configuration(texts)) for values, texts in expanded(settings)]
    titles: dict[str, str] = {}
    for variant in found:
        title = " ".join(f"{key}={value}" for key, value in variant.values.items())
        same = titles.setdefault(write_config(variant.config), title)
        if same != title:
            raise InvalidConfig(
                f"{same} and {title} are the same run; flags override --set, so leave out the flag of the option"
            )
    return found


def sweep_clips(
    variants: Sequence[Variant],
    clips: Sequence[Path],
    parent: Path,
    folders: Callable[[Path], Sequence[Path]],
    goal: Goal,
    quiet: bool,
    json_: bool,
    **meshes: Any,
) -> None:
    """Run clips with each combination and print the table; exit with 2 if all runs failed, with 1 if some did.

    Args:
        variants: the combinations.
        clips: videos or folders of images.
        parent: parent of the folders of the combinations.
        folders: returns the run folders of the clips below the folder of a combination.
        goal: the last stage.
        quiet: print only warnings and the paths of the tables.
        json_: print JSON.
        meshes: as for `run_sweep`.
    """
    from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
    from ex4d_core.runs.sweep import run_sweep, targets

    session = make_session(variants[0].config, quiet or json_, clips=clips)
    runs = targets(clips, variants[0].config.cam, folders)
    with redirect_stdout_to_stderr():
        sweep = run_sweep(session, variants, runs, parent, goal=goal, **meshes)
    _finish(sweep, quiet, json_)


def _finish(sweep: Sweep, quiet: bool, json_: bool) -> None:
    from ex4d_core.cli.console import sweep_json, sweep_summary

    failed = [row for row in sweep.rows if row.outcome.error is not None]
    if json_:
        say(sweep_json(sweep))
    elif quiet:
        say("\n".join(str(path) for path in sweep.files.values()))
    else:
        show(sweep_summary(sweep))
    for row in failed if json_ or quiet else ():
        say_error(f"{row.title}: {row.outcome.error}")
    if failed:
        raise typer.Exit(2 if len(failed) == len(sweep.rows) else 1)
