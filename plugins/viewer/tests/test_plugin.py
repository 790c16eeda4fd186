"""How the page is offered."""

from __future__ import annotations

from importlib.metadata import entry_points

from ex4d_viewer.plugin import ex4d_commands


def test_the_entry_point_is_declared():
    (found,) = entry_points(group="ex4d", name="viewer")
    assert found.value == "ex4d_viewer.plugin"


def test_it_offers_view():
    assert [command.name for command in ex4d_commands()] == ["view"]


def test_the_readme_says_how_much_is_drawn_by_default():
    from inspect import signature
    from pathlib import Path

    from ex4d_viewer.cli import view

    text = (Path(__file__).parent.parent / "README.md").read_text()
    defaults = {name: parameter.default for name, parameter in signature(view).parameters.items()}
    assert f"`--detail {defaults['detail']}`" in text
    assert f"`--most-frames {defaults['most_frames']}`" in text
