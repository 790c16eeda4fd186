"""Facts about how DepthCrafter is offered."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from ex4d_core.cli.tables import details
from ex4d_core.config.run_config import make_options
from ex4d_core.errors import InvalidConfig
from ex4d_core.plugins.discovery import find_plugins
from ex4d_core.plugins.registry import Registry
from ex4d_depth_depthcrafter.options import DepthCrafterOptions
from ex4d_depth_depthcrafter.plugin import ex4d_depth_estimators


def test_it_is_offered_by_name_with_its_license():
    (provider,) = ex4d_depth_estimators()
    assert provider.name == "depthcrafter"
    assert "academic use only" in provider.license
    assert set(provider.requires) >= {"diffusers", "transformers"}


def test_the_entry_point_is_declared():
    (found,) = entry_points(group="ex4d", name="depthcrafter")
    assert found.value == "ex4d_depth_depthcrafter.plugin"


def test_listing_and_making_options_imports_neither_torch_nor_diffusers():
    code = (
        "import sys, ex4d_depth_depthcrafter.plugin as p\n"
        "[provider.options() for provider in p.ex4d_depth_estimators()]\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "diffusers", "transformers", "huggingface_hub"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 0}, "depth.steps must be >= 1, not 0"),
        ({"guidance": 0.5}, "depth.guidance must be >= 1"),
        ({"window": 10, "overlap": 10}, r"overlap must be at least 0 and less than window \(10\), not 10"),
        ({"max_side": 100}, "max_side must be a multiple of 64"),
        ({"far": 1.0}, r"far must be more than near \(2.5641\), not 1"),
        ({"percentile": 50}, "percentile must be at least 0 and less than 50, not 50"),
        ({"offload": "some"}, "must be one of none, model, sequential"),
        ({"dtype": "int8"}, "must be one of auto, float32, float16, bfloat16"),
    ],
)
def test_options_that_have_no_meaning_are_refused(given, message):
    with pytest.raises(InvalidConfig, match=message):
        make_options(DepthCrafterOptions, given, "depth")


def test_showing_it_says_its_terms_and_how_to_get_its_weights():
    shown = [str(line) for line in details(find_plugins(), "depthcrafter")]
    assert any(line.startswith("notice: DepthCrafter's weights are for academic use only") for line in shown)
    assert "weights: run `ex4d fetch depthcrafter`" in shown


def test_it_names_what_it_needs_from_the_hub_but_for_the_users_folders(tmp_path):
    offer = Registry().find("depth", "depthcrafter")
    assert [files.repo for files in offer.weights(DepthCrafterOptions(unet=str(tmp_path)))] == [
        "stabilityai/stable-video-diffusion-img2vid"
    ]
