"""Comparison of the machines of a run: versions of ex4d and its plugins, and the components with their weights."""

from __future__ import annotations

import importlib.metadata
import json
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from ex4d_core.config.run_config import RunConfig, config_tree
from ex4d_core.errors import Ex4dError, PluginFailed, one_line
from ex4d_core.names import text_hash
from ex4d_core.pipeline.store import content_key

if TYPE_CHECKING:
    from ex4d_core.runs.export import Goal


@attrs.frozen(kw_only=True)
class NodeFacts:
    """What the machines of a run must have in common."""

    versions: Mapping[str, str]
    """Of ex4d and its plugins, by distribution."""
    configs: tuple[RunConfig, ...] = ()
    """One for each choice of components."""
    goal: Goal = "result"
    components: Mapping[str, str] = attrs.field(factory=dict)
    """Hash of each component with its options and weights; '' if each node chooses it, a sentence if it is missing."""


def node_facts(configs: Iterable[RunConfig], goal: Goal) -> NodeFacts:
    """Return the facts of this machine, to be compared with others.

    Args:
        configs: the options of all jobs.
        goal: the last stage.
    """
    distinct: dict[str, RunConfig] = {}
    for config in configs:
        plain = attrs.evolve(config, clips=(), cam=("0",), cam_folder="", seed=0, prompt="", device="auto")
        distinct.setdefault(content_key(config_tree(plain)), plain)
    chosen = tuple(distinct.values())
    return NodeFacts(versions=installed_versions(), configs=chosen, goal=goal, components=_components(chosen, goal))


def check_node(expected: NodeFacts) -> None:
    """Check that this machine has the same versions and weights as the one that started the run.

    Raises:
        PluginFailed: one differs; the message names all differences.
    """
    here = installed_versions()
    differences = [
        f"{name} {here.get(name, 'is not installed')} instead of {expected.versions.get(name, 'none')}"
        for name in sorted(here.keys() | expected.versions.keys())
        if here.get(name) != expected.versions.get(name)
    ]
    if differences:
        raise PluginFailed(
            f"the node {socket.gethostname()} has {', '.join(differences)}; install the same versions on all nodes"
        )
    found = _components(expected.configs, expected.goal)
    lacking = [f"{name}: {found[name]}" for name in found if _is_sentence(found[name])]
    others = [name for name in found if not lacking and _differ(found[name], expected.components[name])]
    differences = [*lacking, *(f"{name}: other weights or options than here" for name in others)]
    if differences:
        raise PluginFailed(f"the node {socket.gethostname()} differs: {'; '.join(dict.fromkeys(differences))}")


def _is_sentence(fact: str) -> bool:
    return " " in fact


def _differ(found: str, expected: str) -> bool:
    """Return whether two hashes differ; the machine that starts a run need not have weights or a GPU."""
    return "" not in (found, expected) and not _is_sentence(expected) and found != expected


def installed_versions() -> dict[str, str]:
    """Return the versions of ex4d and its plugins in this environment, by distribution."""
    entries = importlib.metadata.entry_points(group="ex4d")
    found = {entry.dist.name: entry.dist.version for entry in entries if entry.dist}
    return {"ex4d-core": importlib.metadata.version("ex4d-core"), **found}


def _components(configs: Iterable[RunConfig], goal: Goal) -> dict[str, str]:
    """Return a hash of each component, or the sentence that says why it cannot be used."""
    from ex4d_core.pipeline.session import Session
    from ex4d_core.pipeline.stage_order import roles_for
    from ex4d_core.plugins.registry import Registry
    from ex4d_core.progress import SilentReporter
    from ex4d_core.roles import ROLES

    registry, found = Registry(), {}
    for number, config in enumerate(configs, start=1):
        session = Session(config, registry=registry, reporter=SilentReporter())
        for role in roles_for(goal):
            if ROLES[role].in_cam:
                continue
            name = f"{role} {getattr(config, role).name}" + (f" of options {number}" if number > 1 else "")
            try:
                session.check(role)
                identity = json.dumps(session.choose(role).identity(), default=str, sort_keys=True)
                found[name] = "" if getattr(config, role).name == "auto" else text_hash(identity)
            except Ex4dError as error:
                found[name] = one_line(error)
    return found
