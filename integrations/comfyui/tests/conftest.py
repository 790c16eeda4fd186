"""What the tests of the pack share: the pack as ComfyUI loads it, and a small clip with exact depth."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PACK = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def pack() -> ModuleType:
    """The pack, loaded from its folder under a name made from its path, as ComfyUI does it."""
    name = str(PACK).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, PACK / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def run(pack):
    """Run a node by its name, with the defaults of its inputs, and return its outputs."""

    def call(name: str, **given):
        cls = pack.NODE_CLASS_MAPPINGS[name]
        inputs = cls.INPUT_TYPES()
        defaults = {key: default_of(spec) for key, spec in inputs["required"].items() if key not in given}
        return getattr(cls(), cls.FUNCTION)(**defaults, **given)

    return call


def default_of(spec: tuple):
    """Return the default of an input, as the widget of ComfyUI has it: of a list, the first."""
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    return options["default"] if "default" in options else kind[0] if isinstance(kind, list) else None


@pytest.fixture(scope="session")
def room():
    """A synthetic room: 5 frames of 48x32 with exact depth."""
    from ex4d_core.testing.scenes import room_scene

    return room_scene().clip(num_frames=5, width=48, height=32)


@pytest.fixture(scope="session")
def images(room):
    """The frames of the room as IMAGE."""
    return room.video.frames.float() / 255
