"""`report.html` and the user study."""

import json
import re

import cv2
import numpy as np
import pytest

from ex4d_core.errors import InvalidInput
from ex4d_evaluation import score
from ex4d_evaluation.user_study import KEY, preference_table, preferences, write_study


def embedded(path):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(text)


@pytest.fixture
def two(desk):
    truth, _ = desk.truth()
    desk.video("cases/a__30/source.mkv", truth)
    desk.result("one", truth)
    desk.result("two", truth + 1)
    return desk.folder


def test_the_page_has_table_curves_and_playable_videos(two):
    score(two)
    facts = embedded(two / "report.html")
    assert facts["summaries"]["30"]["two"]["psnr/all"]["text"] == "48.13"
    assert facts["summaries"][""]["one"]["psnr/all"]["mean"] == "inf"
    case = facts["cases"]["a__30"]
    assert [title for title, *_ in case["videos"]] == ["truth", "source", "one", "two"]
    assert all((two / url).suffix == ".mp4" and (two / url).is_file() for _, url, _ in case["videos"])
    assert all(cv2.imread(str(two / poster)).shape == (16, 20, 3) for *_, poster in case["videos"])
    assert len(case["curves"][1]["values"]["psnr/all"]) == 4


def test_the_page_defines_its_regions(two):
    score(two)
    facts = embedded(two / "report.html")
    labels = [label for label, _ in facts["definitions"]]
    assert labels[-2:] == ["known pixels", "hidden pixels"]  # of co-visibility there is no mask
    assert "numpy" in facts["machine"]


def test_names_cannot_add_elements_to_the_page(desk):
    name = "<script>alert(1)<"
    desk.result(name, desk.truth()[0])
    score(desk.folder)
    assert name not in (desk.folder / "report.html").read_text()
    assert name in embedded(desk.folder / "report.html")["methods"]


def test_pages_load_nothing_from_the_web(two):
    score(two)
    write_study(two)
    for page in (two / "report.html", two / "user_study" / "index.html"):
        assert set(re.findall(r"https?://[^\"]+", page.read_text())) <= {"http://www.w3.org/2000/svg"}


def test_videos_of_a_study_are_blind(two):
    page = write_study(two)
    key = json.loads((two / KEY).read_text())
    (pair,) = embedded(page)
    assert {key[pair["a"]]["method"], key[pair["b"]]["method"]} == {"one", "two"}
    assert {file.stem for file in (page.parent / "videos").iterdir()} == {pair["a"], pair["b"], pair["source"]}
    assert not re.search(r"\bone\b|\btwo\b", json.dumps(pair))


def test_answers_become_preferences(two, tmp_path, ex4d):
    write_study(two)
    key = {facts["method"]: name for name, facts in json.loads((two / KEY).read_text()).items()}
    rows = [("one", "two", "left"), ("two", "one", "left"), ("two", "one", "right"), ("one", "two", "same")]
    lines = ["left,right,answer", *(f"{key[a]},{key[b]},{answer}" for a, b, answer in rows)]
    file = tmp_path / "answers.csv"
    file.write_text("\n".join(lines))
    (found,) = preferences(two, [file])
    assert (found.method, found.wins, found.ties, found.losses, found.rate) == ("one", 2, 1, 1, 0.625)
    assert "| one | 2 | 1 | 1 | two | 62.5% |" in preference_table([found])
    code, out, err = ex4d("eval", "preferences", two, file)
    assert (code, out) == (0, preference_table([found]) + "\n"), err


def test_answers_to_another_study_are_refused(two, tmp_path):
    write_study(two)
    (tmp_path / "answers.csv").write_text("left,right,answer\nx,y,left\n")
    with pytest.raises(InvalidInput, match=r"line 2 of .*answers.csv is not an answer to this study"):
        preferences(two, [tmp_path / "answers.csv"])


def test_files_without_answers_are_refused(two, tmp_path):
    write_study(two)
    (tmp_path / "answers.csv").write_text("left,right,answer\n")
    with pytest.raises(InvalidInput, match=r"answers.csv has no answers; save them with the button"):
        preferences(two, [tmp_path / "answers.csv"])


def test_a_study_needs_two_methods(desk):
    desk.result("mine", np.zeros((2, 16, 20, 3)))
    with pytest.raises(InvalidInput, match=r"at least two methods, but .* has mine"):
        write_study(desk.folder)


def test_the_key_of_a_study_is_not_replaced(two):
    write_study(two)
    with pytest.raises(InvalidInput, match=r"user_study_key.json is the key of another study"):
        write_study(two)
