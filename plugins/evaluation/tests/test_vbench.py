"""Exchange with VBench, which runs in an environment of its own."""

import json

import pytest

from ex4d_core.errors import InvalidInput
from ex4d_evaluation import score
from ex4d_evaluation.layout import Evaluation
from ex4d_evaluation.tables import table
from ex4d_evaluation.vbench import export_videos, import_results


@pytest.fixture
def two(desk):
    truth, _ = desk.truth()
    for method in ("one", "two__b"):
        desk.result(method, truth)
    return desk.folder


def results(folder, names, dimension="motion_smoothness"):
    videos = [{"video_path": f"/elsewhere/{name}.mkv", "video_results": 0.25 * n} for n, name in enumerate(names, 1)]
    file = folder / "results_eval_results.json"
    file.write_text(json.dumps({dimension: [0.5, videos]}))
    return file


def test_exported_videos_come_back_as_columns(two, ex4d, tmp_path):
    code, _, err = ex4d("eval", "score", two, "--export", "vbench")
    assert code == 0, err
    assert "then: ex4d eval score " in err
    assert "--import vbench" in err.partition(str(two))[2]
    names = sorted(path.stem for path in (two / "vbench" / "videos").iterdir())
    assert names == ["one__a__30", "two__b__a__30"]
    assert {path.suffix for path in (two / "vbench" / "videos").iterdir()} == {".mp4"}  # others are ignored
    script = (two / "vbench" / "run.sh").read_text()
    assert "--dimension motion_smoothness --videos_path videos --output_path results --mode=custom_input" in script
    code, out, err = ex4d("eval", "score", two, "--import", "vbench", results(tmp_path, names), "--json")
    assert code == 0, err
    summary = json.loads(out)["summary"]
    assert [summary[m]["vbench_motion_smoothness/all"]["mean"] for m in ("one", "two__b")] == [0.25, 0.5]
    assert "vbench_motion_smoothness/all" in score(two).measured  # later scores have them too


def test_the_table_of_the_paper_has_a_column_for_each_range(desk, tmp_path):
    for camera in ("full", "small"):
        desk.result("mine", desk.truth(f"a__{camera}")[0], f"a__{camera}")
    import_results(Evaluation(desk.folder), results(tmp_path, ["mine__a__full", "mine__a__small"]))
    text = table(score(desk.folder))
    assert "| method | VBench motion smoothness ↑ -90..90° | VBench motion smoothness ↑ 0..30° |" in text
    assert "| mine | 0.2500 | 0.5000 |" in text


def test_values_have_the_scale_of_the_mean(two, tmp_path):
    import_results(Evaluation(two), results(tmp_path, ["one__a__30"], "imaging_quality"))
    assert score(two).summary("one", "vbench_imaging_quality/all").mean == 0.0025


def test_results_of_other_videos_are_refused(two, tmp_path):
    export_videos(Evaluation(two))
    with pytest.raises(InvalidInput, match="has no results of VBench for videos of"):
        import_results(Evaluation(two), results(tmp_path, ["other"]))


def test_other_files_are_refused(two, tmp_path):
    file = tmp_path / "results.json"
    file.write_text("[1, 2]")
    with pytest.raises(InvalidInput, match=r"results.json is not a file of results of VBench"):
        import_results(Evaluation(two), file)
