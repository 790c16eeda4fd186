"""Offers a renderer and a mesh builder under the names of built-in ones."""

import attrs

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider


@attrs.frozen
class Options:
    """None."""


def provider(name):
    return Provider(
        name=name,
        summary="something else of a known name",
        license="Apache-2.0",
        component="ex4d_broken_same_name:Nothing",
        options=Options,
    )


@hookimpl
def ex4d_renderers():
    return [provider("zbuffer"), provider("torch")]


@hookimpl
def ex4d_mesh_builders():
    return [provider("watertight")]


@hookimpl
def ex4d_depth_estimators():
    return [provider("file")]


@hookimpl
def ex4d_backbones():
    return [provider("telea")]
