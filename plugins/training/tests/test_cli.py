"""Facts about `ex4d train`: flags, what is printed, and one sentence where something is wrong."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import ex4d_training
import typer_cli
from ex4d_training import run
from ex4d_training.config import TrainConfig, make_train_config, write_train_config


@pytest.fixture
def ex4d(capfd, monkeypatch):
    """Run the command; return its exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            typer_cli.main(["train", *map(str, arguments)])
        out, err = capfd.readouterr()
        return exit_.value.code or 0, out, err

    return call


@pytest.fixture
def file(config, tmp_path):
    """The configuration of a run of six steps as a file."""
    path = tmp_path / "run.toml"
    path.write_text(write_train_config(config()))
    return path


@pytest.fixture
def asked(monkeypatch):
    """The configurations that the command would train by."""
    asked: list[TrainConfig] = []

    def train(config, **_):
        asked.append(config)
        return Path(config.output.dir, "adapter.safetensors")

    monkeypatch.setattr("ex4d_training.run.train", train)
    return asked


def test_a_run_says_where_the_adapter_is_and_goes_on_when_asked_for_more(ex4d, file, tmp_path):
    adapter = tmp_path / "out" / "adapter.safetensors"
    code, out, err = ex4d("--config", file, "--steps", 2)
    assert (code, out) == (0, f"ready: {adapter}; next: ex4d run CLIP --set backbone.adapter={adapter}\n")
    assert "train: 2/2 in " in err
    code, out, err = ex4d("--config", file, "--steps", 3)
    assert (code, err.splitlines()[0]) == (0, "resuming from step 2")
    code, out, err = ex4d("--config", file, "--steps", 3, "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert (told["adapter"], told["step"]) == (str(adapter), 3)
    assert told["loss"] > 0
    assert ex4d("--config", file, "--steps", 3, "--quiet") == (0, f"{adapter}\n", "")


def test_flags_win_over_settings_and_those_over_the_file(ex4d, asked, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[data]\npath = "nowhere"\nahead = 7\nbatch_size = 2\n[learning]\nrate = 1e-5\nshift = 3\n')
    flags = ("--data-path", "data/latents", "--output-dir", "out", "--batch-size", 4, "--learning-rate", "3e-5")
    code, *_ = ex4d("--config", path, *flags, "--num-gpus", 8, "--set", "learning.shift=4", "--set", "learning.rate=1")
    assert code == 0
    (made,) = asked
    assert (made.data.path, made.data.batch_size, made.data.ahead) == ("data/latents", 4, 7)
    assert (made.learning.rate, made.learning.shift) == (3e-5, 4.0)
    assert (made.machine.num_gpus, made.output.dir) == (8, "out")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ((), "data.path must be given (Output folder of `ex4d data prepare`.)"),
        (("--config", "absent.toml"), "the configuration file absent.toml does not exist"),
        (("--data-path", "x", "--set", "learning.step=3"), "unknown option learning.step; did you mean 'steps'?"),
        (("--data-path", "x", "--set", "learn.steps=3"), "unknown option learn; did you mean 'learning'?"),
        (("--data-path", "x", "--set", "learning=3"), "must read SECTION.OPTION=VALUE"),
        (("--data-path", "x", "--steps", 0), "learning.steps must be between 1 and 1000000000, not 0"),
        (("--data-path", "x", "--learning-rate", -1), "learning.rate must be more than 0 and at most 1000, not -1"),
        (
            ("--data-path", "x", "--set", "output.tracker=mlflow"),
            "output.tracker: must be one of none, tensorboard, wandb",
        ),
        (("--data-path", "x", "--set", "learning.ema=1"), "learning.ema must be at least 0 and less than 1, not 1"),
        (
            ("--data-path", "x", "--set", "model.rank=1000000000"),
            "model.rank must be between 1 and 4096, not 1",
        ),
        (("--data-path", "x", "--set", "model.camera_hidden=100000000"), "model.camera_hidden must be between 1 and"),
        (("--data-path", "x", "--seed", 10**23), "learning.seed: must be a whole number of at most 20 digits"),
        (("--data-path", "x", "--seed", 2**63), "learning.seed must be between 0 and 9223372036854775807, not 922"),
        (("--data-path", "x", "--learning-rate", "1e300"), "learning.rate: must be a finite number"),
        (("--data-path", "x", "--learning-rate", "nan"), "learning.rate: must be a finite number"),
        (("--data-path", "x", "--set", "machine.compile=1"), "machine.compile: must be true or false, not 1"),
    ],
)
def test_what_is_wrong_is_one_sentence(ex4d, flags, sentence):
    code, out, err = ex4d(*flags)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_data_that_are_not_there_are_one_sentence(ex4d, file, tmp_path):
    code, out, err = ex4d("--config", file, "--data-path", tmp_path / "absent")
    assert (code, out) == (2, "")
    assert err == f"error: {tmp_path / 'absent'} has no manifest.json; give an output folder of `ex4d data prepare`\n"


def test_a_configuration_is_written_as_it_is_read(config):
    asked = config(output={"tracker": "tensorboard"}, learning={"rate": 1e-7})
    assert make_train_config(tomllib.loads(write_train_config(asked))) == asked


def test_tables_of_options_are_tables():
    with pytest.raises(ValueError, match="learning must be a table of options, not 3"):
        make_train_config({"data": {"path": "x"}, "learning": 3})


def test_the_package_offers_the_same():
    assert ex4d_training.train is run.train
    assert ex4d_training.TrainConfig is TrainConfig
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = ex4d_training.trian
