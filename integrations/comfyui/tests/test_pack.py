"""What ComfyUI and its registry read of the pack.

Workflows store the values of widgets by position: a widget may be added at the end of its node, and nothing else.
`python integrations/comfyui/tests/test_pack.py` writes the golden file.
"""

import json
import tomllib
from pathlib import Path

import ex4d_core

PACK = Path(__file__).parents[1]
GOLDEN = PACK / "tests" / "nodes.json"


def described(nodes: dict) -> dict:
    """Return each input in order, as name, type and default; and the outputs. Other choices of a list are left out."""
    return {
        name: {
            **{
                group: [" ".join([key, *_widget(spec)]) for key, spec in inputs.items()]
                for group, inputs in node.INPUT_TYPES().items()
            },
            "outputs": [" ".join(output) for output in zip(node.RETURN_NAMES, node.RETURN_TYPES, strict=True)],
        }
        for name, node in nodes.items()
    }


def _widget(spec: tuple) -> list:
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    if isinstance(kind, list):
        return ["COMBO", repr(kind[0])]
    return [kind, repr(options["default"])] if "default" in options else [kind]


def test_inputs_and_outputs_are_frozen(pack):
    assert described(pack.NODE_CLASS_MAPPINGS) == json.loads(GOLDEN.read_text())


def test_nodes_have_titles_and_words(pack):
    assert pack.NODE_DISPLAY_NAME_MAPPINGS.keys() == pack.NODE_CLASS_MAPPINGS.keys()
    for node in pack.NODE_CLASS_MAPPINGS.values():
        assert node.CATEGORY == "ex4d"
        assert node.DESCRIPTION.endswith(".")
        assert callable(getattr(node, node.FUNCTION))


def test_the_registry_finds_what_it_reads():
    """comfy-cli reads a fixed version, the requirements and the table `tool.comfy`."""
    facts = tomllib.loads((PACK / "pyproject.toml").read_text())
    project, comfy = facts["project"], facts["tool"]["comfy"]
    assert project["version"] == ex4d_core.__version__
    assert project["dependencies"] == (PACK / "requirements.txt").read_text().split()
    assert {"PublisherId", "DisplayName", "Icon"} <= comfy.keys()


if __name__ == "__main__":
    from conftest import pack

    GOLDEN.write_text(json.dumps(described(pack.__wrapped__().NODE_CLASS_MAPPINGS), indent=2) + "\n")
