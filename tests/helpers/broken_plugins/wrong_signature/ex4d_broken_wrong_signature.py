"""Takes an argument that the hook does not give."""

import attrs

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider


@attrs.frozen
class Options:
    """None."""


@hookimpl
def ex4d_depth_estimators(video):
    return [
        Provider(
            name="wrong_signature",
            summary="depth that is never estimated",
            license="Apache-2.0",
            component="ex4d_broken_wrong_signature:Nothing",
            options=Options,
        )
    ]
