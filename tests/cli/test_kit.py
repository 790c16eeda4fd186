"""The command kit: flags of options, layers of configuration, and the three forms of a result."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import attrs
import pytest
import typer
from typer.testing import CliRunner

from ex4d_core.cli.kit import Flag, Json, Quiet, field_flag, layered_tables, print_result, takes_config
from ex4d_core.config import make_options
from ex4d_core.errors import InvalidConfig
from ex4d_core.options import option

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(kw_only=True)
class WalkOptions:
    steps: int = option(3, help="Number of steps.", unit="steps", at_least=1)
    speed: float | None = option(None, help="Speed.")
    names: tuple[str, ...] = option(("a",), help="Names.")
    fast: bool = option(False, help="Walk fast.")
    path: str = option(help="Folder.")


FLAGS = tuple(
    field_flag(f"--{name}", f"walk.{name}", WalkOptions) for name in ("steps", "speed", "names", "fast", "path")
)


def walk_options(tables: Mapping[str, Mapping[str, object]]) -> WalkOptions:
    return make_options(WalkOptions, tables.get("walk", {}), "walk")


def command() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @takes_config(walk_options, FLAGS)
    def walk(config: NotImportable, quiet: Quiet = False, json_: Json = False) -> None:  # type: ignore[name-defined] # noqa: F821
        print_result(
            as_json=lambda: attrs.asdict(config),
            paths=lambda: config.path,
            as_text=lambda: [f"{config.steps} steps", "done"],
            json_=json_,
            quiet=quiet,
        )

    return app


def walk(*arguments: object) -> str:
    done = CliRunner().invoke(command(), [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_flag_takes_type_help_unit_and_default_from_the_field():
    steps, speed, names, _, path = FLAGS
    assert (steps.kind, steps.default, steps.unit) == (int, 3, "steps")
    assert steps.help == "Number of steps; at least 1."
    assert (speed.kind, speed.default) == (float, None)
    assert (names.kind, names.default) == (list[str], ["a"])
    assert (path.kind, path.default) == (str, None)


def test_the_help_shows_units_and_defaults(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = walk("--help")
    assert "<steps>" in out
    assert "[default: 3]" in out
    assert "--no-fast" in out


def test_flags_override_settings_which_override_the_file(tmp_path):
    (tmp_path / "walk.toml").write_text('[walk]\nsteps = 7\nspeed = 1\npath = "file"\nfast = true\n')
    flags = ("--config", tmp_path / "walk.toml", "--set", "walk.path=set", "--set", "walk.speed=2", "--speed", 5)
    made = json.loads(walk(*flags, "--no-fast", "--json"))
    assert made == {"steps": 7, "speed": 5.0, "names": ["a"], "fast": False, "path": "set"}


def test_a_result_has_three_forms():
    assert json.loads(walk("--path", "x", "--json"))["path"] == "x"
    assert walk("--path", "x", "--quiet") == "x\n"
    assert walk("--path", "x") == "3 steps\ndone\n"


def test_a_flag_can_imply_entries_that_other_flags_override():
    file = Flag(name="--file", key="depth.path", kind=str, help="File.", implies={"depth": {"name": "file"}})
    name = Flag(name="--depth", key="depth.name", kind=str, help="Name.")
    values = {"file": "x", "depth": None}
    assert layered_tables([file, name], values, settings=["depth.name=y"]) == {"depth": {"name": "file", "path": "x"}}
    assert layered_tables([file, name], values | {"depth": "z"})["depth"]["name"] == "z"


def test_an_invalid_value_names_the_option():
    with pytest.raises(InvalidConfig, match=r"walk\.steps must be at least 1"):
        walk("--path", "x", "--steps", 0)


def test_importing_the_kit_loads_nothing_heavy():
    code = "import sys, ex4d_core.cli.kit; sys.exit(' '.join({'torch', 'numpy', 'cv2', 'rich'} & {*sys.modules}) or 0)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
