"""All hooks that plugins can implement."""

from __future__ import annotations

import pluggy

from ex4d_core.provider import Command, Provider

hookspec = pluggy.HookspecMarker("ex4d")
hookimpl = pluggy.HookimplMarker("ex4d")


@hookspec
def ex4d_depth_estimators() -> list[Provider]:  # type: ignore[empty-body]
    """Offer depth estimators: `Video` to `DepthVideo`."""


@hookspec
def ex4d_mesh_builders() -> list[Provider]:  # type: ignore[empty-body]
    """Offer mesh builders: a frame and its depth to `Mesh`."""


@hookspec
def ex4d_trajectory_generators() -> list[Provider]:  # type: ignore[empty-body]
    """Offer camera moves and other sources of a `CameraPath`."""


@hookspec
def ex4d_renderers() -> list[Provider]:  # type: ignore[empty-body]
    """Offer renderers: a `Mesh` and a camera to `RenderedFrame`."""


@hookspec
def ex4d_backbones() -> list[Provider]:  # type: ignore[empty-body]
    """Offer backbones, which generate the hidden regions of `Guidance`."""


@hookspec
def ex4d_commands() -> list[Command]:  # type: ignore[empty-body]
    """Offer sub-commands of `ex4d`."""


@hookspec
def ex4d_job_executors() -> list[Command]:  # type: ignore[empty-body]
    """Offer ways to run `ex4d batch` on other machines; `app` is a function like `jobs.workers.process_groups`."""
