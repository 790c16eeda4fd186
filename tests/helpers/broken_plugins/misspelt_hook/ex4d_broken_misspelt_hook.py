"""Offers depth in a hook that is none."""

import attrs

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider


@attrs.frozen
class Options:
    """None."""


@hookimpl
def ex4d_depth_estimator():
    return [
        Provider(
            name="misspelt_hook",
            summary="depth that is never estimated",
            license="Apache-2.0",
            component="ex4d_broken_misspelt_hook:Nothing",
            options=Options,
        )
    ]
