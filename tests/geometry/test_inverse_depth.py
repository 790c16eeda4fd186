"""Facts about how inverse depth becomes depth."""

from __future__ import annotations

import pytest
import torch

from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.inverse_depth import depth_from_relative, relative_inverse_depth
from ex4d_core.geometry.inverse_depth_options import NEAREST


def test_the_mapping_is_the_reference_one():
    relative = torch.linspace(0, 1, 10001)
    theirs = (10000 / (3900 * relative).clamp(min=1e-5)).clamp(1e-4, 1e4)
    torch.testing.assert_close(depth_from_relative(relative, near=NEAREST, far=1e4), theirs, rtol=1e-6, atol=0)


def test_the_nearest_point_is_at_near_and_the_farthest_at_far():
    depth = depth_from_relative(torch.tensor([1.0, 0.5, 0.0]), near=2.0, far=50.0)
    assert depth.tolist() == [2, 4, 50]


def test_scale_and_shift_of_inverse_depth_do_not_matter():
    inverse = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    for percentile in (0.0, 5.0):
        plain = relative_inverse_depth(inverse, percentile=percentile, source="a network")
        moved = relative_inverse_depth(inverse * 7 - 3, percentile=percentile, source="a network")
        torch.testing.assert_close(moved, plain, rtol=0, atol=1e-5)


def test_without_a_percentile_one_bad_pixel_moves_all_and_with_the_smallest_it_moves_nothing():
    inverse = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    spoilt = inverse.clone()
    spoilt[1, 2, 3] = 1000
    assert relative_inverse_depth(spoilt, percentile=0, source="a network")[0].max() < 0.01
    robust = relative_inverse_depth(spoilt, percentile=0.001, source="a network")
    assert (robust[0] - relative_inverse_depth(inverse, percentile=0.001, source="a network")[0]).abs().max() < 0.05
    assert robust.aminmax() == (0, 1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_result_that_is_no_number_is_refused_with_what_to_do(bad):
    inverse = torch.rand(2, 4, 4)
    inverse[1, 0, 0] = bad
    with pytest.raises(InvalidInput, match=r"NaN or infinity.*depth\.dtype=float32"):
        relative_inverse_depth(inverse, percentile=0, source="a network")


def test_a_flat_result_is_refused():
    with pytest.raises(InvalidInput, match="the same depth for the whole clip"):
        relative_inverse_depth(torch.ones(2, 4, 4), percentile=0, source="a network")
