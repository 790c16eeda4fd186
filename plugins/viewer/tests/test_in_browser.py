"""The page in a browser: it loads, plays, is not blank, and saves a path that a run takes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By

from ex4d_viewer.serving import serve

PANEL = 330
"""Pixels at the right edge that the controls take."""


def seen(browser) -> np.ndarray:
    """Return what is drawn beside the controls, int [h, w, 3]."""
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    return np.asarray(picture)[:, :-PANEL].astype(int)


def red(picture: np.ndarray) -> np.ndarray:
    """Return where the box is, bool [h, w]."""
    return (picture[..., 0] > 170) & (picture[..., 1] < 90) & (picture[..., 2] < 90)


def click(browser, text: str) -> None:
    browser.find_element(By.XPATH, f"//button[contains(., '{text}')]").click()


@pytest.fixture
def page(run):
    with serve(run, host="127.0.0.1", port=0, detail=32, most_frames=10) as served:
        yield served


@pytest.fixture
def opened(browser, page, until):
    browser.get(page.url)
    until(lambda: "meshes 3 of 3" in browser.page_source, "the scene")
    until(lambda: red(seen(browser)).sum() > 50, "the box")
    return browser


def test_a_run_is_seen_played_and_a_path_of_ones_own_is_run(opened, page, run, ex4d, until):
    first = seen(opened)
    assert first.std() > 20
    play = opened.find_element(By.XPATH, "//input[@type='checkbox']")
    opened.execute_script("arguments[0].click()", play)  # its place is taken by the box that is drawn
    until(lambda: np.abs(seen(opened) - first).max() > 60, "another frame")
    opened.execute_script("arguments[0].click()", play)

    click(opened, "Begin with the path above")
    until(lambda: len(page.page.keyframes) == 4, "the keyframes")
    click(opened, "Save the path")
    until((run / "paths" / "my_path.json").exists, "the file")
    until(lambda: "Saved." in opened.page_source, "the word that it is saved")

    code, out, err = ex4d("run", "--config", run / "config.toml", "--cam", run / "paths" / "my_path.json", "--json")
    assert code == 0, err
    assert "result_" in out


def test_the_box_moves_to_the_right_with_time(opened, page, until):
    def middle() -> float:
        return float(np.nonzero(red(seen(opened)))[1].mean())

    before = middle()
    page.page.go_to(2)
    until(lambda: middle() > before + 10, "the box at its last place")
