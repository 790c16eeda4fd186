"""The command `ex4d train`; the modules that do the work are imported when it is called."""

from typing import Any

from ex4d_core.cli.kit import Json, Quiet, field_flag, make_reporter, print_result, takes_config
from ex4d_training.config import SECTIONS, TrainConfig, make_train_config


def _flag(name: str, key: str, *, short: str = "") -> Any:
    section = key.partition(".")[0]
    return field_flag(name, key, SECTIONS[section], short=short)


FLAGS = (
    _flag("--data-path", "data.path"),
    _flag("--output-dir", "output.dir", short="-o"),
    _flag("--batch-size", "data.batch_size"),
    _flag("--learning-rate", "learning.rate"),
    _flag("--steps", "learning.steps"),
    _flag("--num-gpus", "machine.num_gpus"),
    _flag("--seed", "learning.seed"),
    _flag("--device", "machine.device"),
)


@takes_config(make_train_config, FLAGS)
def train(config: TrainConfig, quiet: Quiet = False, json_: Json = False) -> None:
    """Train the EX-4D adapter on prepared clips with simulated masks.

    Flags override --set, which overrides the file of --config. If the output folder holds an interrupted run, training
    resumes exactly from its last checkpoint; raise --steps to extend a finished one.
    """
    from ex4d_training.metrics import read_metrics
    from ex4d_training.run import train as run

    silent = quiet or json_
    adapter = run(config, reporter=make_reporter(quiet=silent), quiet=silent)
    print_result(
        as_json=lambda: {"adapter": str(adapter), **(read_metrics(adapter.parent) or [{}])[-1]},
        paths=lambda: adapter,
        as_text=lambda: f"ready: {adapter}; next: ex4d run CLIP --set backbone.adapter={adapter}",
        json_=json_,
        quiet=quiet,
    )
