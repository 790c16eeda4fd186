"""`ex4d train`: parsing and printing; the work is in the modules that are imported when it is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

_SHOW: dict[str, Any] = {"show_default": False}


def train(
    config: Annotated[Path | None, typer.Option(help="TOML file, such as ex4d_base.toml.", **_SHOW)] = None,
    data_path: Annotated[Path | None, typer.Option(help="Folder that `ex4d data prepare` made.", **_SHOW)] = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="Folder for the adapter; outputs/train.", **_SHOW)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Clips at a time on each GPU; 1.", **_SHOW)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of AdamW; 3e-5.", **_SHOW)] = None,
    steps: Annotated[int | None, typer.Option(help="Steps in all; 10000.", **_SHOW)] = None,
    num_gpus: Annotated[int | None, typer.Option(help="GPUs of this machine; 1.", **_SHOW)] = None,
    seed: Annotated[int | None, typer.Option(help="Of order, noise and first values; 42.", **_SHOW)] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1.", **_SHOW)] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="SECTION.OPTION=VALUE; sections: model, data, learning, machine, output."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and the adapter.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train EX-4D's adapter on latents of ordinary videos under simulated masks.

    Flags win over --set, and that over the file. A folder that a run was stopped in is gone on with from its last
    checkpoint, exactly; a larger --steps goes on from a finished one.
    """
    from ex4d_core.cli.console import ConsoleReporter
    from ex4d_core.config import merge, parse_settings, read_config
    from ex4d_core.terminal import say
    from ex4d_training.config import make_train_config

    flags: dict[str, dict[str, Any]] = {
        "data": {"path": data_path and str(data_path), "batch_size": batch_size},
        "learning": {"rate": learning_rate, "steps": steps, "seed": seed},
        "machine": {"num_gpus": num_gpus, "device": device},
        "output": {"dir": output_dir and str(output_dir)},
    }
    given = {section: {k: v for k, v in table.items() if v is not None} for section, table in flags.items()}
    asked = make_train_config(merge(read_config(config) if config else {}, parse_settings(settings or ()), given))

    from ex4d_training.metrics import read_metrics
    from ex4d_training.run import train as run

    silent = quiet or json_
    adapter = run(asked, reporter=ConsoleReporter(quiet=silent), quiet=silent)
    if json_:
        last = (read_metrics(adapter.parent) or [{}])[-1]
        say(json.dumps({"adapter": str(adapter), **last}, indent=2))
    elif quiet:
        say(adapter)
    else:
        say(f"ready: {adapter}; next: ex4d run CLIP --set backbone.adapter={adapter}")
