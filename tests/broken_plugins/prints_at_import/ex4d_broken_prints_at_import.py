"""Prints when it is imported, in every way there is."""

import os
import subprocess
import sys

import attrs

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider

print("hello from a plugin")  # noqa: T201
os.write(1, b"hello past Python\n")
print("hello past sys.stdout", file=sys.__stdout__)
subprocess.run([sys.executable, "-c", "print('hello from another program')"], check=True)


@attrs.frozen
class Options:
    """None."""


@hookimpl
def ex4d_depth_estimators():
    return [
        Provider(
            name="prints_at_import",
            summary="depth that is never estimated",
            licence="Apache-2.0",
            component="ex4d_broken_prints_at_import:Nothing",
            options=Options,
        )
    ]
