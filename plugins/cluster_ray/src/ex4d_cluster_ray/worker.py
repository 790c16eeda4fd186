"""The actor that runs jobs on a node: it keeps one session, whose components stay loaded."""

from __future__ import annotations

import importlib.metadata
import json
import socket
from typing import TYPE_CHECKING, Any

import attrs
import cattrs

from ex4d_core.config import config_tree, make_config
from ex4d_core.errors import PluginFailed
from ex4d_core.jobs.manifest import Job
from ex4d_core.jobs.records import JobReport
from ex4d_core.jobs.runner import JobRunner

if TYPE_CHECKING:
    from ex4d_core.runs.export import Goal

Row = dict[str, Any]

_CORE = "ex4d"


def encode(jobs: list[Job]) -> str:
    """Return jobs as JSON, from which `decode` restores them."""
    return json.dumps(
        [
            {
                "id": job.id,
                "first": job.first,
                "config": config_tree(job.config),
                "cam_folder": job.config.cam_folder,
            }
            for job in jobs
        ]
    )


def decode(text: str) -> list[Job]:
    """Return the jobs of a text of `encode`."""
    return [
        Job(
            id=facts["id"],
            first=facts["first"],
            config=attrs.evolve(make_config(facts["config"]), cam_folder=facts["cam_folder"], download="no"),
        )
        for facts in json.loads(text)
    ]


def installed_versions() -> dict[str, str]:
    """Return the versions of ex4d and its plugins in this environment, by distribution."""
    entries = importlib.metadata.entry_points(group=_CORE)
    found = {entry.dist.name: entry.dist.version for entry in entries if entry.dist}
    return {"ex4d-core": importlib.metadata.version("ex4d-core"), **found}


def check_versions(expected: dict[str, str]) -> None:
    """Check that this node has the same versions as the machine that started the run.

    Raises:
        PluginFailed: one differs; the message names all differences.
    """
    here = installed_versions()
    differences = [
        f"{name} {here.get(name, 'is not installed')} instead of {expected.get(name, 'none')}"
        for name in sorted(here.keys() | expected.keys())
        if here.get(name) != expected.get(name)
    ]
    if differences:
        raise PluginFailed(
            f"the node {socket.gethostname()} has {', '.join(differences)}; install the same versions on all nodes"
        )


class Worker:
    """Runs the jobs of one clip for each row of a Ray data set."""

    def __init__(self, place: str, run: str, goal: Goal, versions: dict[str, str]) -> None:
        """Check the node; models are loaded by the first job.

        Args:
            place: the output folder, which all nodes share, or a URL.
            run: identifier of the run.
            goal: the last stage.
            versions: versions of ex4d and its plugins on the machine that started the run.

        Raises:
            PluginFailed: this node has other versions.
        """
        check_versions(versions)
        self._runner = JobRunner(place, run=run, goal=goal)

    def __call__(self, batch: Row) -> Row:
        """Run the jobs of the rows; return their states as JSON."""
        reports = [self._runner.run(job) for text in batch["jobs"] for job in decode(str(text))]
        return {"report": [json.dumps(attrs.asdict(report)) for report in reports]}


def report_of(text: str) -> JobReport:
    """Return the state of a job from a result of `Worker`."""
    return cattrs.structure(json.loads(text), JobReport)
