"""Takes its time when it is imported."""

import time

import attrs

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider

time.sleep(1.2)


@attrs.frozen
class Options:
    """None."""


@hookimpl
def ex4d_depth_estimators():
    return [
        Provider(
            name="slow_import",
            summary="depth that is never estimated",
            license="Apache-2.0",
            component="ex4d_broken_slow_import:Nothing",
            options=Options,
        )
    ]
