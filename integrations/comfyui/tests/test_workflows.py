"""The nodes of the pack in the example workflows, run by a small executor; other nodes stand still."""

import json
from pathlib import Path

import pytest
import torch

EXAMPLES = sorted((Path(__file__).parents[1] / "example_workflows").glob("*.json"))
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN")
SMALL = {"frames": 5, "estimator": "sketch", "backbone": "inpaint", "grow_holes": 1}
"""Values that replace those of the examples: a clip of five frames, and no weights."""


class Workflow:
    """A workflow as the page of ComfyUI stores it: values of widgets by position, and numbered links."""

    def __init__(self, file: Path, nodes: dict) -> None:
        content = json.loads(file.read_text())
        self.name = file.stem
        self._classes = nodes
        self.nodes = {node["id"]: node for node in content["nodes"]}
        self.links = {link[0]: link[1:] for link in content["links"]}
        self.own = [node for node in self.nodes.values() if node["type"] in nodes]
        self._results: dict[int, tuple] = {}

    def widgets(self, node: dict) -> dict:
        """Return the values of the widgets of a node of the pack by name."""
        inputs = self._classes[node["type"]].INPUT_TYPES()
        specs = {**inputs["required"], **inputs.get("optional", {})}
        values = iter(node["widgets_values"])
        found = {}
        for name, (kind, *options) in specs.items():
            if isinstance(kind, list) or kind in WIDGETS:
                found[name] = next(values)
                if options and options[0].get("control_after_generate"):
                    assert next(values) == "fixed"
        assert not list(values), "more values than widgets"
        return found

    def linked(self, node: dict) -> dict:
        """Return the origin of each connected input, (node, slot), by name."""
        return {
            each["name"]: tuple(self.links[each["link"]][:2]) for each in node["inputs"] if each.get("link") is not None
        }

    def run(self, node: dict, clip: torch.Tensor) -> tuple:
        """Return the outputs of a node of the pack; frames of other nodes are the clip."""
        if node["id"] not in self._results:
            given = self.widgets(node)
            given |= {name: SMALL[name] for name in given if name in SMALL}
            for name, (origin, slot) in self.linked(node).items():
                source = self.nodes[origin]
                given[name] = self.run(source, clip)[slot] if source in self.own else clip
            cls = self._classes[node["type"]]
            result = getattr(cls(), cls.FUNCTION)(**given)
            self._results[node["id"]] = result["result"] if isinstance(result, dict) else result
        return self._results[node["id"]]


@pytest.fixture(params=EXAMPLES, ids=lambda file: file.stem)
def workflow(request, pack):
    return Workflow(request.param, pack.NODE_CLASS_MAPPINGS)


def test_there_are_four_examples():
    assert [file.stem for file in EXAMPLES] == ["ex4d", "ltx_outpaint", "vace_1.3b", "vace_14b_4step"]


def test_examples_are_whole(workflow):
    """Links join existing slots of one type, and a note names the models."""
    for number, (origin, slot, target, place, kind) in workflow.links.items():
        out, into = workflow.nodes[origin]["outputs"][slot], workflow.nodes[target]["inputs"][place]
        assert number in out["links"]
        assert into["link"] == number
        assert out["type"] == into["type"] == kind
    (note,) = [node for node in workflow.nodes.values() if node["type"] == "MarkdownNote"]
    assert note["widgets_values"][0].startswith("# E")
    for node in workflow.own:
        assert [out["type"] for out in node["outputs"]] == list(workflow._classes[node["type"]].RETURN_TYPES)


def test_the_nodes_of_examples_run(workflow, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # EX4D Save Path writes here
    results = {node["type"]: workflow.run(node, images) for node in workflow.own}
    view, holes = results["EX4DWarp"]
    assert view.shape == images.shape
    assert 0.02 < holes.mean() < 0.9
    (warp,) = [node for node in workflow.own if node["type"] == "EX4DWarp"]
    expected = {"ltx_outpaint": "green", "ex4d": "black"}.get(workflow.name, "grey")
    assert workflow.widgets(warp)["hole_color"] == expected
    if "EX4DGenerate" in results:
        (generated,) = results["EX4DGenerate"]
        assert torch.equal(generated[holes == 0], view[holes == 0])
