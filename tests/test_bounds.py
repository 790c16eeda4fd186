"""Numbers from files and options are finite and within bounds, and errors that show them are short."""

import math

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.bounds import Bounds, number, numbers, shown, spelled, whole
from ex4d_core.config.run_config import make_options
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.options import option

few = settings(derandomize=True, deadline=None, max_examples=40)

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers())
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@few
@given(values)
def test_any_value_is_a_number_or_refused_in_a_short_sentence(value):
    for read in (number, whole, numbers):
        try:
            read(value, "fx")
        except InvalidInput as error:
            sentence = str(error)
            assert sentence.startswith("fx must ")
            assert len(sentence) < 200
            assert "\n" not in sentence


@few
@given(values)
def test_any_value_is_shown_in_one_short_line(value):
    text = shown([value, {"a": value}])
    assert len(text) < 200
    assert "\n" not in text


@pytest.mark.parametrize("value", ["x" * 10**6, 10**5000, -(16**9000), [["x" * 100] * 100] * 100], ids=lambda _: "")
def test_a_huge_value_is_shown_in_short(value):
    assert len(shown(value)) < 200


def test_numbers_keep_their_digits():
    assert number(0.1, "fx") == 0.1
    assert (whole(64.0, "width"), type(whole(64.0, "width"))) == (64, int)
    assert spelled("1e-3", "fx") == 0.001
    array = numbers([[0.1, 2], [3, 4]], "K")
    assert (array.dtype, array.tolist()) == (np.float64, [[0.1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: number("80", "fx"), "fx must be a number, not '80'"),
        (lambda: number(True, "fx"), "fx must be a number, not True"),
        (lambda: number(math.nan, "fx"), "fx must be between -1e+12 and 1e+12, not nan"),
        (lambda: number(10**400, "fx"), "fx must be between -1e+12 and 1e+12, not 0x"),
        (lambda: number(0, "fx", 1, 9, unit="pixels"), "fx must be between 1 and 9 pixels, not 0"),
        (lambda: whole(1.5, "width"), "width must be a whole number, not 1.5"),
        (lambda: whole(math.inf, "width"), "width must be a whole number, not inf"),
        (lambda: whole(-1, "width"), "width must be between 0 and 2147483647, not -1"),
        (lambda: spelled("a", "fx"), "fx must be a number, not 'a'"),
        (lambda: numbers([[1], [1, 2]], "K"), "K must contain lists of numbers of the same length"),
        (lambda: numbers(["1"], "K"), "K must contain real numbers, not texts or other values"),
        (lambda: numbers(np.array([1j]), "K"), "K must contain real numbers, not texts or other values"),
        (lambda: numbers([1, -math.inf], "K"), "K must contain numbers of at most 1e+12, not -inf"),
    ],
)
def test_what_is_not_such_a_number_is_named(call, says):
    with pytest.raises(InvalidInput) as refused:
        call()
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(
    ("bounds", "words", "inside", "outside"),
    [
        ({"at_least": -90, "at_most": 90}, "between -90 and 90", (-90, 0, 90), (-91, 90.5, math.nan, math.inf)),
        ({"above": 0, "below": 1}, "more than 0 and less than 1", (0.1,), (0, 1, math.nan)),
        ({"above": 0}, "more than 0", (1e-300, 10**400), (0, math.nan)),
        ({"at_least": 0, "below": 50}, "at least 0 and less than 50", (0, 49), (-1, 50)),
        ({"at_most": 1_000_000}, "at most 1000000", (-math.inf, 1e6), (1e6 + 1,)),
    ],
)
def test_bounds_are_checked_and_said_by_the_option(bounds, words, inside, outside):
    assert str(Bounds(**bounds)) == words

    @attrs.frozen
    class Options:
        by: float | None = option(None, help="How far.", unit="degrees", **bounds)
        each: tuple[float, ...] = option((), help="how far", **bounds)

    by, each = attrs.fields(Options)
    assert (by.metadata["help"], each.metadata["help"]) == (f"How far; {words}.", f"how far; {words}")
    for value in inside:
        assert Options(by=value, each=(value,)).by == value
    for value in outside:
        with pytest.raises(InvalidConfig, match=f"^by must be {words} degrees, not "):
            Options(by=value)
        with pytest.raises(InvalidConfig, match=f"^each must be {words}, not "):
            Options(each=(inside[0], value))


def test_an_option_out_of_bounds_is_named_with_its_section():
    @attrs.frozen
    class Options:
        by: float = option(0.5, help="how far", unit="degrees", at_least=0, at_most=1)

    with pytest.raises(InvalidConfig, match=r"^mesh\.by must be between 0 and 1 degrees, not 2$"):
        make_options(Options, {"by": 2}, "mesh")
