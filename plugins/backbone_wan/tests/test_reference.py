"""With the reference's weights, frames and seed, each step gives what the reference's gave, from both layouts."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

FOLDER = Path(os.environ.get("EX4D_REFERENCE_DATA", "absent")) / "golden" / "wan"
BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "wan" / "reference.py"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="EX4D_REFERENCE_DATA names no folder with `golden/wan`")


@pytest.mark.slow
def test_every_step_equals_the_reference_from_both_layouts():
    spec = importlib.util.spec_from_file_location("wan_reference", BENCHMARK)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    found = list(reference.differences(FOLDER, torch.device("cpu")))
    assert [difference for difference in found if not difference.measured <= difference.limit] == []
    assert len(found) == 26
    assert {difference.layout for difference in found} == {"original", "diffusers"}
