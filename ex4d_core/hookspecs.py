"""All the places where a plugin can join in."""

from __future__ import annotations

import pluggy

from ex4d_core.provider import Provider

hookspec = pluggy.HookspecMarker("ex4d")
hookimpl = pluggy.HookimplMarker("ex4d")


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
