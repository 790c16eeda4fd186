"""Facts about what a model's numbers are taken for."""

from __future__ import annotations

import pytest

from ex4d_core.errors import InvalidInput
from ex4d_depth_transformers.depth_kind import OutputKind, output_kind


def read(kind="auto", **config):
    return output_kind(config, kind=kind, model="lab/net")


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"model_type": "depth_anything"}, OutputKind.INVERSE),
        ({"model_type": "depth_anything", "depth_estimation_type": "relative"}, OutputKind.INVERSE),
        ({"model_type": "depth_anything", "depth_estimation_type": "metric"}, OutputKind.METRIC),
        ({"model_type": "depth_pro"}, OutputKind.CANONICAL),
        ({"model_type": "dpt"}, OutputKind.INVERSE),
        ({"model_type": "dpt", "backbone_config": {"model_type": "swinv2"}}, OutputKind.INVERSE),
        ({"model_type": "zoedepth"}, OutputKind.METRIC),
        ({"model_type": "glpn"}, OutputKind.METRIC),
        ({"model_type": "tipsv2_dpt"}, OutputKind.METRIC),
    ],
)
def test_the_configuration_tells_what_the_numbers_mean(config, kind):
    assert read(**config) is kind


@pytest.mark.parametrize(
    "config", [{"model_type": "chmv2"}, {"model_type": "dpt", "backbone_config": {"model_type": "dinov2"}}]
)
def test_a_model_whose_configuration_does_not_tell_is_not_guessed_at(config):
    with pytest.raises(InvalidInput, match=r"lab/net .* --set depth\.kind=metric, relative or inverse"):
        read(**config)
    assert read("relative", **config) is OutputKind.RELATIVE


def test_what_the_user_says_goes_before():
    assert read("metric", model_type="dpt") is OutputKind.METRIC
    assert read("inverse", model_type="zoedepth") is OutputKind.INVERSE


def test_depth_pro_stays_what_it_is_unless_its_scale_or_more_is_doubted():
    assert read("metric", model_type="depth_pro") is OutputKind.CANONICAL
    assert read("relative", model_type="depth_pro") is OutputKind.RELATIVE
    assert read("inverse", model_type="depth_pro") is OutputKind.INVERSE


def test_a_model_that_needs_a_sensor_is_refused():
    with pytest.raises(InvalidInput, match="sensor"):
        read("metric", model_type="prompt_depth_anything")
