"""Facts about what a model's numbers are taken for."""

from __future__ import annotations

import pytest

from ex4d_core.errors import InvalidInput
from ex4d_depth_transformers.reading import Reading, reading_of


def read(kind="auto", **config):
    return reading_of(config, kind=kind, model="lab/net")


@pytest.mark.parametrize(
    ("config", "reading"),
    [
        ({"model_type": "depth_anything"}, Reading.INVERSE),
        ({"model_type": "depth_anything", "depth_estimation_type": "relative"}, Reading.INVERSE),
        ({"model_type": "depth_anything", "depth_estimation_type": "metric"}, Reading.METRIC),
        ({"model_type": "depth_pro"}, Reading.CANONICAL),
        ({"model_type": "dpt"}, Reading.INVERSE),
        ({"model_type": "dpt", "backbone_config": {"model_type": "swinv2"}}, Reading.INVERSE),
        ({"model_type": "zoedepth"}, Reading.METRIC),
        ({"model_type": "glpn"}, Reading.METRIC),
        ({"model_type": "tipsv2_dpt"}, Reading.METRIC),
    ],
)
def test_the_configuration_tells_what_the_numbers_mean(config, reading):
    assert read(**config) is reading


@pytest.mark.parametrize(
    "config", [{"model_type": "chmv2"}, {"model_type": "dpt", "backbone_config": {"model_type": "dinov2"}}]
)
def test_a_model_whose_configuration_does_not_tell_is_not_guessed_at(config):
    with pytest.raises(InvalidInput, match=r"lab/net .* say --set depth\.kind=metric, relative or inverse"):
        read(**config)
    assert read("relative", **config) is Reading.RELATIVE


def test_what_the_user_says_goes_before():
    assert read("metric", model_type="dpt") is Reading.METRIC
    assert read("inverse", model_type="zoedepth") is Reading.INVERSE


def test_depth_pro_stays_what_it_is_unless_its_scale_or_more_is_doubted():
    assert read("metric", model_type="depth_pro") is Reading.CANONICAL
    assert read("relative", model_type="depth_pro") is Reading.RELATIVE
    assert read("inverse", model_type="depth_pro") is Reading.INVERSE


def test_a_model_that_needs_a_sensor_is_refused():
    with pytest.raises(InvalidInput, match="depth of a sensor"):
        read("metric", model_type="prompt_depth_anything")
