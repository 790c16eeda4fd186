"""Returns one provider where a list of them is asked for."""

import attrs

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider


@attrs.frozen
class Options:
    """None."""


@hookimpl
def ex4d_depth_estimators():
    return Provider(
        name="wrong_type",
        summary="depth that is never estimated",
        license="Apache-2.0",
        component="ex4d_broken_wrong_type:Nothing",
        options=Options,
    )
