"""All hooks that plugins can implement."""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

from ex4d_core.provider import Command, Provider

hookspec = pluggy.HookspecMarker("ex4d")
hookimpl = pluggy.HookimplMarker("ex4d")

PLUGIN_API = 2
"""Goes up by one when something is added or changed that a plugin could notice. A plugin's module may say the number
that it was written for, `EX4D_API = 1`; one that says nothing counts as 1."""

CHANGES: Mapping[int, str] = {}
"""For each API that plugins written for an earlier one cannot work with: what their authors must change."""


@hookspec
def ex4d_depth_estimators() -> list[Provider]:  # type: ignore[empty-body]
    """Offer ways to turn a Video into a DepthVideo."""


@hookspec
def ex4d_mesh_builders() -> list[Provider]:  # type: ignore[empty-body]
    """Offer ways to turn a frame and its depth into a Mesh."""


@hookspec
def ex4d_trajectory_generators() -> list[Provider]:  # type: ignore[empty-body]
    """Offer ways to move the camera."""


@hookspec
def ex4d_renderers() -> list[Provider]:  # type: ignore[empty-body]
    """Offer ways to look at a Mesh from a camera."""


@hookspec
def ex4d_backbones() -> list[Provider]:  # type: ignore[empty-body]
    """Offer ways to fill in what the guidance does not know."""


@hookspec
def ex4d_commands() -> list[Command]:  # type: ignore[empty-body]
    """Offer sub-commands of `ex4d`."""
