"""Fails when it is asked what it offers."""

from ex4d_core.hookspecs import hookimpl


@hookimpl
def ex4d_depth_estimators():
    return {}["settings"]
