"""Facts about how Wan is offered."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.plugin import ex4d_backbones
from ex4d_core.config.run_config import make_options
from ex4d_core.errors import InvalidConfig


def test_it_is_offered_by_name_with_its_license():
    (provider,) = ex4d_backbones()
    assert provider.name == "wan"
    assert "Apache-2.0" in provider.license
    assert set(provider.requires) >= {"diffusers", "transformers", "peft", "ftfy"}


def test_the_entry_point_is_declared():
    (found,) = entry_points(group="ex4d", name="wan")
    assert found.value == "ex4d_backbone_wan.plugin"


def test_listing_and_making_options_imports_neither_torch_nor_diffusers():
    code = (
        "import sys, ex4d_backbone_wan.plugin as p\n"
        "[provider.options() for provider in p.ex4d_backbones()]\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "diffusers", "transformers", "peft", "huggingface_hub"} & set(done.stdout.split())


def test_texts_of_options_say_sizes_and_ranges():
    options = WanOptions(size="832x480", erode="3..4")
    assert (options.working_size, options.eroded) == ((832, 480), (3, 4))
    options = WanOptions(size="same", erode="0")
    assert (options.working_size, options.eroded) == (None, None)
    assert WanOptions(erode="3").eroded == (3, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 0}, "backbone.steps must be >= 1, not 0"),
        ({"guidance": 0.5}, "backbone.guidance must be >= 1"),
        ({"shift": 0}, "backbone.shift must be > 0"),
        ({"num_frames": 48}, "num_frames must be 4k.1 and at least 5, such as 9 or 49, not 48"),
        ({"num_frames": 1}, "num_frames must be 4k.1 and at least 5, such as 9 or 49, not 1"),
        ({"overlap": 8}, "overlap must be 4k.1 and at least 1, such as 9 or 49, not 8"),
        ({"num_frames": 9, "overlap": 9}, r"overlap must be less than num_frames \(9\), not 9"),
        (
            {"size": "500x512"},
            "size must be same, or WIDTHxHEIGHT in multiples of 16 up to 8192 such as 832x480, not '500x512'",
        ),
        ({"size": "0x16"}, "size must be same, or WIDTHxHEIGHT"),
        ({"fit": "crop"}, "must be one of aspect, stretch"),
        ({"erode": "2..100000"}, "erode must be 8192 pixels at most, not '2..100000'"),
        ({"size": "99999984x16"}, "in multiples of 16 up to 8192"),
        ({"erode": "8..2"}, "erode must be a range such as 2..8, one number of pixels, or 0, not '8..2'"),
        ({"memory": "much"}, "memory must be none, auto or a number of GiB such as 24, not 'much'"),
        ({"memory": 0}, "memory must be none, auto or a number of GiB such as 24, not '0'"),
        ({"speed": "warp"}, "must be one of exact, fast"),
        ({"gpus": 0}, "backbone.gpus must be >= 1"),
    ],
)
def test_options_that_have_no_meaning_are_refused(given, message):
    with pytest.raises(InvalidConfig, match=message):
        make_options(WanOptions, given, "backbone")
