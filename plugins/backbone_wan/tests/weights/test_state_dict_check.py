"""Facts about how tensors are accounted for and named."""

from __future__ import annotations

import pytest

from ex4d_backbone_wan.weights.state_dict_check import compare, listed
from ex4d_core.errors import InvalidInput


def test_what_fits_is_let_through():
    compare("a.pth", given={"a": (1,)}, wanted={"a": (1,)})


def test_what_is_wrong_is_said_in_one_sentence():
    with pytest.raises(InvalidInput) as caught:
        compare("a.pth", given={"a": (1,), "b": (2,), "d": (1,)}, wanted={"b": (1,), "c": (1,), "d": (1,)})
    assert str(caught.value) == (
        "a.pth lacks the tensors c; it has tensors of another network: a; it has tensors of another shape: b; check "
        "which model it holds, or download it again"
    )


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["b", "a"], "a, b"),
        ([f"blocks.{number}.norm.bias" for number in range(40)], "blocks.{0..39}.norm.bias"),
        (["x.1.w", "x.2.w", "x.4.w", "x.4.b"], "x.4.b, x.{1..2,4}.w"),
        (["conv1.weight", "layer.10"], "conv1.weight, layer.10"),
    ],
)
def test_names_that_differ_by_a_number_stand_together(names, text):
    assert listed(names) == text
