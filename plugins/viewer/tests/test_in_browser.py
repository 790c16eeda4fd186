"""The page in a browser: it loads, plays, is not blank, saves a path that a run takes, and is nobody else's."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest
import viser
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from ex4d_viewer.serving import serve

pytestmark = pytest.mark.slow

PANEL = 330
"""Pixels at the right edge that the controls take."""

PICTURES = 310
"""Pixels at the left edge that the pictures take."""


def screen(browser) -> np.ndarray:
    """Return the page, int [h, w, 3]."""
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    return np.asarray(picture).astype(int)


def seen(browser) -> np.ndarray:
    """Return what is drawn between the pictures and the controls, int [h, w, 3]."""
    return screen(browser)[:, PICTURES:-PANEL]


def red(picture: np.ndarray) -> np.ndarray:
    """Return where the box is, bool [h, w]."""
    return (picture[..., 0] > 170) & (picture[..., 1] < 90) & (picture[..., 2] < 90)


def click(browser, text: str) -> None:
    button = browser.find_element(By.XPATH, f"//button[contains(., '{text}')]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


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


def test_a_path_of_ones_own_is_previewed_and_run_with_the_keyboard(opened, page, run, until):
    assert page.page.pictures.shown == ("input", "guidance", "result")
    click(opened, "Begin with the path above")
    until(lambda: "Visible region (preview): " in opened.page_source, "the preview")
    assert page.page.pictures.shown == ("input", "guidance")
    opened.find_element(By.XPATH, "//button[contains(., 'Run the path')]").send_keys(Keys.ENTER)
    until(lambda: "finished" in page.page.run_text, "the end of the run")
    until(lambda: page.page.pictures.shown == ("input", "guidance", "result"), "the result")
    assert "preview" not in page.page.pictures.guidance_label
    assert list(run.glob("result_my_path*.mp4"))
    assert not page.page.alert

    click(opened, "Begin with the path above")
    until(lambda: "preview" in page.page.pictures.guidance_label, "the preview of another path")
    click(opened, "Remove the last keyframe")
    click(opened, "Run the path")
    until(lambda: "already exists; choose another name" in opened.page_source, "why it is not run")


def test_the_picture_in_the_source_camera_is_hidden(opened, page, until):
    words = "Picture in the source camera"
    box = opened.find_element(By.XPATH, f"//*[contains(., '{words}')]/following::input[@type='checkbox']")
    source = page.page._path_view._source
    assert source.image is not None
    opened.execute_script("arguments[0].click()", box)
    until(lambda: source.image is None, "the source camera without its picture")


def test_the_input_follows_the_time(opened, page, until):
    def middle() -> float:
        """Return the column of the box in the picture of the input."""
        place = opened.find_element(By.XPATH, "//*[text()='Input']/following::img[1]").rect
        top, left = int(place["y"]), int(place["x"])
        picture = screen(opened)[top : top + int(place["height"]), left : left + int(place["width"])]
        return float(np.nonzero(red(picture) & (picture[..., 2] < 60))[1].mean())

    before = middle()
    page.page.go_to(2)
    until(lambda: middle() > before + 15, "the input of another time")


def test_the_page_survives_a_reload_without_its_token(opened, page, until):
    opened.get(page.url.partition("?")[0])
    until(lambda: "meshes 3 of 3" in opened.page_source, "the scene")
    opened.refresh()
    until(lambda: "meshes 3 of 3" in opened.page_source, "the scene after a reload")


def test_a_file_that_is_there_is_replaced_only_where_that_is_asked_for(opened, page, run, until):
    file = run / "paths" / "my_path.json"
    file.parent.mkdir()
    file.write_text("mine")
    click(opened, "Begin with the path above")
    until(lambda: len(page.page.keyframes) == 4, "the keyframes")
    click(opened, "Save the path")
    until(lambda: "already exists; choose another name" in opened.page_source, "the refusal")
    assert file.read_text() == "mine"
    box = opened.find_element(By.XPATH, "//*[contains(., 'Replace existing file')]/following::input[@type='checkbox']")
    opened.execute_script("arguments[0].click()", box)
    click(opened, "Save the path")
    until(lambda: "Saved." in opened.page_source, "the word that it is saved")
    assert len(json.loads(file.read_text())["world_to_camera"]) == 4


FOREIGN = """<!doctype html><title>waiting</title><script>
const said = []
const say = text => { said.push(text); if (said.length == 4) document.title = said.sort().join("; ") }
for (const path of ["/", "/?token=TOKEN"])
  fetch("http://PLACE" + path, {credentials: "include"}).then(() => say("fetched"), () => say("no page"))
for (const path of ["", "/?token=TOKEN"]) {
  const socket = new WebSocket("ws://PLACE" + path, ["viser-vVERSION"])
  socket.onmessage = () => say("received")
  socket.onerror = () => say("no socket")
}
</script>"""
"""Requests the page and its WebSocket, without the token and with it."""


@contextlib.contextmanager
def foreign_server(text: str):
    """Serve a text as a page on another port of this machine; yield the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_page_of_another_origin_gets_nothing(opened, page, until):
    place, token = urlsplit(page.url).netloc, page.url.partition("token=")[2]
    text = FOREIGN.replace("PLACE", place).replace("TOKEN", token).replace("VERSION", viser.__version__)
    port = place.partition(":")[2]
    with foreign_server(text) as other:
        for name in ("evil.example", "127.0.0.1"):  # the browser sends the cookie to other ports of the host
            opened.get(f"http://{name}:{other}/")
            until(lambda: opened.title != "waiting", "an answer to the foreign page")
            assert opened.title == "no page; no page; no socket; no socket"
        # With a foreign name for this machine, even the right token opens nothing.
        opened.get(f"http://evil.example:{port}/?token={token}")
        assert opened.find_element(By.TAG_NAME, "body").text.startswith("This page is not served under this name")
        opened.get(f"data:text/html,<a href='http://{place}/?websocket=ws://127.0.0.1:{other}'>here</a>")
        opened.find_element(By.TAG_NAME, "a").click()
        until(lambda: "Another page linked here" in opened.page_source, "the refusal of a link")
    opened.get(page.url)
    until(lambda: "meshes 3 of 3" in opened.page_source, "the scene for who has the address")


def test_foreign_text_is_shown_and_not_obeyed(browser, page, run, until):
    script = "parent.document.title='XSS'"
    evil = [
        f'<iframe srcdoc="<script>{script}</script>"></iframe>',
        f"<img src=x onerror={script}>",
        "**bold** <b>x</b>",
    ]
    record = json.loads((run / "run.json").read_text())
    record["takes"] |= {path_run: {} for path_run in evil}
    (run / "run.json").write_text(json.dumps(record))
    browser.get(page.url)
    until(lambda: "Not read" in browser.page_source, "what is wrong with the paths")
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "<b>x</b>" in text
    assert "<iframe srcdoc=" in text
    assert not browser.find_elements(By.TAG_NAME, "iframe")
    assert "XSS" not in browser.title


def test_the_box_moves_to_the_right_with_time(opened, page, until):
    def middle() -> float:
        return float(np.nonzero(red(seen(opened)))[1].mean())

    before = middle()
    page.page.go_to(2)
    until(lambda: middle() > before + 10, "the box at its last place")
