"""A machine with other versions, without weights or with other ones is refused, with the difference."""

import attrs
import pytest

from ex4d_core.config import make_config
from ex4d_core.errors import PluginFailed
from ex4d_core.jobs.node import check_node, node_facts


@pytest.fixture
def facts(small_clip):
    depth = {"name": "file", "path": str(small_clip.depth)}
    config = make_config({"clips": ["a.mp4"], "depth": depth, "renderer": {"name": "zbuffer"}})
    others = [attrs.evolve(config, seed=seed, cam=(str(seed),)) for seed in range(5)]
    return node_facts([config, *others], "guidance")


def test_an_equal_machine_is_accepted_and_equal_options_are_compared_once(facts):
    check_node(facts)
    assert len(facts.configs) == 1
    assert set(facts.components) == {"depth file", "mesh auto", "renderer zbuffer"}


def test_other_versions_are_named(facts):
    versions = {**facts.versions, "ex4d-core": "0.0.1", "ex4d-mine": "2.0"}
    with pytest.raises(PluginFailed) as error:
        check_node(attrs.evolve(facts, versions=versions))
    assert f"ex4d-core {facts.versions['ex4d-core']} instead of 0.0.1" in str(error.value)
    assert "ex4d-mine is not installed instead of 2.0" in str(error.value)


def test_other_weights_are_named(facts):
    components = {**facts.components, "depth file": "0123456789abcdef"}
    with pytest.raises(PluginFailed, match=r"differs: depth file: other weights or options than here$"):
        check_node(attrs.evolve(facts, components=components))


def test_missing_weights_are_named_also_if_the_machine_that_starts_the_run_has_none(facts):
    (config,) = facts.configs
    gone = make_config({"clips": ["a.mp4"], "depth": {"name": "file", "path": "/nowhere/depth.npz"}})
    without = node_facts([attrs.evolve(config, depth=gone.depth)], "guidance")
    with pytest.raises(PluginFailed, match=r"the node \S+ differs: depth file: \S+: .*/nowhere/depth.npz"):
        check_node(without)
    check_node(attrs.evolve(facts, components={**facts.components, "depth file": "weights do not exist"}))
