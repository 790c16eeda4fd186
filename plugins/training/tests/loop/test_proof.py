"""The proof at small scale runs from clips to its table, at a size that shows nothing but that."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "train_tiny.py"


def test_the_proof_runs_from_clips_to_its_table(tmp_path):
    pytest.importorskip("diffusers")
    subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--workers", "1", "--device", "cpu", "--seeds", "3", "--out", tmp_path],
        check=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    results = json.loads((tmp_path / "results.json").read_text())
    (curve,) = results["curves"]
    assert [step for step, _ in curve] == [0, 4]
    assert curve[0][1] == results["frozen"][0]  # an adapter that has learned nothing changes nothing
    assert curve[1][1] != curve[0][1]
    assert len((tmp_path / "table.md").read_text().splitlines()) == 5
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("curve.png", "views.png"))
