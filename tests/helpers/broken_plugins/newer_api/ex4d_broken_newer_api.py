"""Is written for a plugin API that does not exist yet."""

import attrs

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider


@attrs.frozen
class Options:
    """None."""


EX4D_API = 99


@hookimpl
def ex4d_depth_estimators():
    return [
        Provider(
            name="newer_api",
            summary="depth that is never estimated",
            license="Apache-2.0",
            component="ex4d_broken_newer_api:Nothing",
            options=Options,
        )
    ]
