"""How nvdiffrast is offered; `tests/builtin/test_render.py` compares its images with those of the other renderers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points, requires

import cattrs
import pytest

from ex4d_core.cli.doctor import examine
from ex4d_core.config.presets import preset_options
from ex4d_core.errors import PluginFailed
from ex4d_core.plugins.registry import Registry
from ex4d_render_nvdiffrast.options import NvdiffrastOptions

LICENCE = "Nvidia Source Code License, non-commercial use only"
COMMANDS = "git clone https://github.com/NVlabs/nvdiffrast && pip install --no-build-isolation ./nvdiffrast"


@pytest.fixture
def nvdiffrast_found(monkeypatch):
    """Return a function that says whether the module nvdiffrast can be found."""
    find_spec = importlib.util.find_spec

    def say(found):
        spec = ModuleSpec("nvdiffrast", None) if found else None
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "nvdiffrast" else find_spec(name))

    return say


def test_auto_takes_it_on_cuda_where_it_is_installed(nvdiffrast_found):
    nvdiffrast_found(True)
    assert Registry().choose("renderer", "cuda").offer.name == "nvdiffrast"
    nvdiffrast_found(False)
    assert Registry().choose("renderer", "cuda").offer.name == "torch"


def test_without_nvdiffrast_the_error_says_how_to_install_it_and_its_license(nvdiffrast_found):
    nvdiffrast_found(False)
    with pytest.raises(PluginFailed) as raised:
        Registry().find("renderer", "nvdiffrast").load()
    assert COMMANDS in str(raised.value)
    assert LICENCE in str(raised.value)


def test_without_nvdiffrast_the_doctor_says_the_same(nvdiffrast_found):
    nvdiffrast_found(False)
    findings = examine(Registry().plugins, device_type="cuda")
    (finding,) = [finding for finding in findings if finding.what == "renderer nvdiffrast"]
    assert "requires nvdiffrast" in finding.state
    assert LICENCE in finding.state
    assert finding.fix == COMMANDS


def test_options_come_back_as_they_were_written():
    options = NvdiffrastOptions(near=0.5, far=70.0, antialias=True)
    assert cattrs.structure(cattrs.unstructure(options), NvdiffrastOptions) == options


def test_edges_are_blended_only_in_compat_ex4d():
    assert NvdiffrastOptions().antialias is False
    assert preset_options("ex4d", Registry().find("renderer", "nvdiffrast").spec)["antialias"] is True


def test_the_near_plane_leaves_digits_for_far_surfaces():
    assert NvdiffrastOptions().near == 1e-3


def test_nvdiffrast_is_no_dependency():
    assert not any(name.startswith("nvdiffrast") for name in requires("ex4d-render-nvdiffrast"))


def test_the_entry_point_is_declared():
    (found,) = entry_points(group="ex4d", name="render_nvdiffrast")
    assert found.value == "ex4d_render_nvdiffrast.plugin"


def test_listing_it_imports_neither_torch_nor_nvdiffrast():
    code = "import sys, ex4d_render_nvdiffrast.plugin as p; p.ex4d_renderers(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "nvdiffrast"} & set(done.stdout.split())
