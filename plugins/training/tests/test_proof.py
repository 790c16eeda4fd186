"""The proof at small scale runs from clips to its table, at a size that shows little but that."""

import json
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_proof_runs_from_clips_to_its_table_and_the_adapter_learns(tmp_path, monkeypatch):
    pytest.importorskip("diffusers")
    flags = ["--quick", "--workers", "1", "--device", "cpu", "--seeds", "3", "--out", str(tmp_path)]
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(sys, "argv", ["tiny", *flags])
    runpy.run_module("benchmarks.training.tiny", run_name="__main__")
    results = json.loads((tmp_path / "results.json").read_text())
    ((first, before), (last, after)) = results["curves"][0]
    assert (first, last) == (0, 4)
    assert before == results["frozen"][0]  # an adapter that has learned nothing changes nothing
    assert all(after[angle]["psnr"] > before[angle]["psnr"] + 0.1 for angle in ("30", "60", "90"))
    assert len((tmp_path / "table.md").read_text().splitlines()) == 5
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("curve.png", "views.png"))
    assert_scores_agree(tmp_path / "evaluation", results)


def assert_scores_agree(folder, results):
    """The plugin ex4d-evaluation finds the numbers of the table in the videos."""
    scores = pytest.importorskip("ex4d_evaluation").score(folder)
    tables = {"inpaint": results["inpaint"], "frozen": results["frozen"][-1], "adapter": results["curves"][-1][-1][1]}
    for method, table in tables.items():
        for angle, expected in table.items():
            found = scores.summary(method, "psnr_pooled/hidden", angle)
            assert found.mean == pytest.approx(expected["psnr"], abs=1e-4)
