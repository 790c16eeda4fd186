"""Weights whose tensors do not match a network are refused with a list of the differences."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import check_state_dict, from_pretrained_strict, group_names


class Library:
    """Loads nothing and reports tensors, as classes of diffusers and transformers do."""

    report: ClassVar[dict[str, list]] = {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}

    @classmethod
    def from_pretrained(cls, folder, **options):
        assert options["use_safetensors"]
        assert options["local_files_only"]
        return options["dtype"], cls.report


def test_matching_tensors_are_accepted():
    check_state_dict("a.pth", found={"a": (1,)}, expected={"a": (1,)})


def test_all_differences_are_listed_in_one_sentence():
    with pytest.raises(InvalidInput) as caught:
        check_state_dict("a.pth", found={"a": (1,), "b": (2,), "d": (1,)}, expected={"b": (1,), "c": (1,), "d": (1,)})
    assert str(caught.value).startswith(
        "a.pth lacks the tensors c; it has unexpected tensors: a; it has tensors of another shape: b; "
    )


def test_a_library_loads_a_network_whose_tensors_match():
    assert from_pretrained_strict(Library, Path("copy"), source=Path("weights"), dtype="half") == "half"


@pytest.mark.parametrize(
    ("problem", "names", "listed"),
    [
        ("missing_keys", ["block.0.w", "block.1.w"], r"lacks the tensors block\.\{0\.\.1\}\.w"),
        ("unexpected_keys", {"lora"}, "unexpected tensors: lora"),
        ("mismatched_keys", [("w", (1,), (2,))], "another shape: w"),
    ],
)
def test_a_library_that_skips_tensors_is_refused(monkeypatch, problem, names, listed):
    monkeypatch.setattr(Library, "report", {**Library.report, problem: names})
    with pytest.raises(InvalidInput, match=f"^weights .*{listed}"):
        from_pretrained_strict(Library, Path("copy"), source=Path("weights"), dtype="half")


def test_optional_tensors_can_be_missing_or_unexpected(monkeypatch):
    report = {"missing_keys": ["extra.w"], "unexpected_keys": ["extra.v"], "mismatched_keys": []}
    monkeypatch.setattr(Library, "report", report)
    from_pretrained_strict(
        Library, Path("copy"), source=Path("weights"), optional=lambda name: name.startswith("extra."), dtype="half"
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
def test_names_that_differ_in_a_number_are_grouped(names, text):
    assert group_names(names) == text
