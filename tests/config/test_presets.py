"""What `--compat NAME` changes of the core's own options and of components."""

import attrs
import pytest

from ex4d_core.config.presets import ex4d_size, preset_options
from ex4d_core.errors import InvalidConfig
from ex4d_core.plugins.registry import Registry


@pytest.mark.parametrize(
    ("role", "name", "options"),
    [
        ("depth", "file", {"far": 10000.0}),
        ("depth", "depthcrafter", {"far": 10000.0}),
        ("renderer", "torch", {"near": 1e-3, "far": 1e3, "min_patch": 0}),
        ("renderer", "nvdiffrast", {"near": 1e-3, "far": 1e3, "antialias": True, "min_patch": 0}),
        ("trajectory", "arc", {"look_at": "nearest", "angle_scaling": "reference"}),
        ("trajectory", "freeze", {}),
        ("trajectory", "from_file", {"look_at": "nearest"}),
        ("backbone", "wan", {"size": "512x512", "fit": "stretch"}),
        ("backbone", "inpaint", {}),
    ],
)
def test_a_component_says_what_ex4d_changes_of_its_options(role, name, options):
    assert preset_options("ex4d", Registry().find(role, name).spec) == options


def test_a_component_may_know_presets_that_the_core_does_not():
    provider = attrs.evolve(Registry().find("depth", "file").spec, presets={"other": {"far": 7.0}})
    assert preset_options(None, provider) == preset_options("ex4d", provider) == {}
    with pytest.raises(InvalidConfig, match="unknown preset 'other'; use one of ex4d"):
        preset_options("other", provider)


def test_the_size_that_ex4d_works_at():
    assert ex4d_size(512, 512) == (512, 512)
    assert ex4d_size(1280, 720) == (1024, 563)
    assert ex4d_size(10, 10) == (64, 64)
