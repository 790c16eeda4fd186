"""The options of the command line, pinned in `tests/golden/cli_help.txt`, and the help that shows them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import typer_cli
from ex4d_core.cli.flags import FLAGS, FORMER_NAMES

GOLDEN = Path(__file__).parents[1] / "golden" / "cli_help.txt"
REGENERATE = "python -m tests.cli.test_help"


def described(name: str, command: Any, parent: Any = None) -> Iterator[str]:
    """Yield the full name of each command, and below it name, metavar and default of its arguments and options."""
    context = typer.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield context.command_path
    for parameter in command.get_params(context):
        name, text = parameter.get_help_record(context) or (f"{parameter.opts[0]} (hidden)", "")
        default = re.search(r"\[default: (.*?)[\];]", text)
        yield f"    {name}" + (f" = {default[1]}" if default else "")
    for child, below in getattr(command, "commands", {}).items():
        yield from described(child, below, context)


def options_of_all_commands() -> str:
    return "\n".join(described("ex4d", typer.main.get_command(typer_cli.app))) + "\n"


def test_the_options_are_those_that_are_pinned():
    assert options_of_all_commands() == GOLDEN.read_text(), f"if the change is intended, run `{REGENERATE}`"


@pytest.mark.parametrize("command", [(), ("run",), ("doctor",), ("plugins",), ("plugins", "new"), ("cam", "convert")])
def test_a_short_option_shows_the_help_of_every_command(ex4d, command):
    code, out, _ = ex4d(*command, "-h")
    assert (code, out) == (0, ex4d(*command, "--help")[1])
    assert "Usage: " in out


def test_the_help_of_run_starts_with_camera_depth_and_output_and_ends_with_examples(ex4d):
    _, out, _ = ex4d("run", "--help")
    headings = ["Camera path", "Depth and intrinsics", "Output", "Generation", "Input video", "Run", "Examples:"]
    assert (
        sorted(headings, key=lambda heading: out.index(f"─ {heading} ─" if heading[-1] != ":" else heading)) == headings
    )
    assert "─ Options ─" not in out
    assert out.partition("Examples:")[2].count("ex4d run ") == 4


def test_the_help_of_run_shows_defaults(ex4d):
    _, out, _ = ex4d("run", "--help")
    assert "[default: 30]" in out.partition("--cam")[2].partition("--look-at")[0]
    assert "[default: 42]" in out.partition("--seed")[2].partition("--gpu-memory")[0]


def test_a_flag_of_a_field_takes_help_choices_unit_and_default_from_it():
    flags = {flag.name: flag for flag in FLAGS}
    assert flags["--num-frames"].help.endswith("; at least 1.")
    assert flags["--fov"].unit == "degrees"
    assert (flags["--stride"].kind, flags["--stride"].default) == (int, 1)
    assert (flags["--cam"].kind, flags["--cam"].default) == (list[str], ["30"])


def test_a_default_that_is_shown_does_not_override_the_configuration_file(ex4d, small_clip, tmp_path):
    (tmp_path / "run.toml").write_text('cam = ["20"]\nseed = 7\n')
    code, _, err = ex4d(
        "recon", small_clip.video, "--depth-file", small_clip.depth, "--config", "run.toml", "-o", "out"
    )
    assert code == 0, err
    assert (tmp_path / "out" / "color_20.mp4").exists()
    assert "seed = 7" in (tmp_path / "out" / "config.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--path-frames", "0"), "path.frames"),
        (("preview", "--path_frames=0"), "path.frames"),
        (("preview", "--frames", "0"), "'--max-frames'"),
        (("preview", "--side=1"), "'--max-side'"),
        (("run", "--backbone", "inpaint", "--memory", "12"), "the backbone 'inpaint' has no option memory"),
    ],
)
def test_former_names_of_flags_still_work(ex4d, small_clip, arguments, says):
    command, *rest = arguments
    code, _, err = ex4d(command, small_clip.video, "--depth-file", small_clip.depth, *rest)
    assert (code, says in err) == (2, True), err


def test_former_names_of_flags_are_hidden(ex4d):
    shown = ex4d("run", "--help")[1] + ex4d("preview", "--help")[1]
    assert [name for name in FORMER_NAMES if f" --{name} " in shown] == []


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(options_of_all_commands())
