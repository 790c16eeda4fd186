"""Plugin that offers `ex4d batch run --ray`."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Command


@hookimpl
def ex4d_job_executors() -> list[Command]:
    """Offer the executor."""
    return [
        Command(
            name="ray",
            summary="Run jobs on a Ray cluster.",
            license="Apache-2.0; Ray is Apache-2.0",
            app="ex4d_cluster_ray.executor:process_groups",
            requires=("ray", "pyarrow"),
            install_hint=("pip install 'ray[data]>=2.57'",),
        )
    ]
