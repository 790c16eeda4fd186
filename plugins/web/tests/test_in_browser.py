"""The app in a browser: all four steps, two users, a wrong file, a canceled job, a reload, and the keyboard alone."""

from __future__ import annotations

import time

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from ex4d_core.video_io import read_video

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),  # Gradio counts its events with pandas
]


class User:
    """A person with a window of the browser in front of the app."""

    def __init__(self, window, url, until):
        self._window, self._handle, self.until = window, window.current_window_handle, until
        window.get(url)
        self.sees("Drop a clip into the field")

    @property
    def browser(self):
        """The browser, with the window of this user."""
        if self._window.current_window_handle != self._handle:
            self._window.switch_to.window(self._handle)
        return self._window

    def text(self, part="body"):
        return self.browser.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", part)

    def sees(self, text, part="body"):
        self.until(lambda: text in self.text(part), text)

    def part(self, name):
        return self.browser.find_element(By.ID, f"ex4d-{name}")

    def can_use(self, name):
        """Return whether a button is on the page, which Gradio renders anew when it changes."""
        found = self.browser.find_elements(By.ID, f"ex4d-{name}")
        return bool(found) and found[0].is_displayed() and found[0].is_enabled()

    def click(self, name):
        self.until(lambda: self.can_use(name), f"the button {name}")
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", self.part(name))
        self.browser.execute_script("arguments[0].click()", self.part(name))

    def upload(self, file, name="upload"):
        self.part(name).find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(file))

    def write(self, name, text, last=Keys.ENTER):
        field = self.part(name).find_element(By.CSS_SELECTOR, "input, textarea")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text, last)

    def value(self, name):
        return self.part(name).find_element(By.CSS_SELECTOR, "input, textarea").get_attribute("value")

    def files(self):
        return {
            link.get_attribute("download"): link.get_attribute("href")
            for link in self.part("files").find_elements(By.CSS_SELECTOR, "a[download]")
        }

    def fetched(self, url):
        """Return the bytes of an address as the page gets them."""
        script = """const [url, done] = arguments
          fetch(url).then(answer => answer.arrayBuffer()).then(data => done(Array.from(new Uint8Array(data))))"""
        return bytes(self.browser.execute_async_script(script, url))


@pytest.fixture(scope="module")
def browser(open_browser):
    return open_browser()


@pytest.fixture
def user(browser, served, until):
    """A new user; the browser is the same, since its start takes seconds."""
    browser.get(served.url.replace("/?", "/robots.txt?"))  # of the same origin, and quick to load
    browser.execute_script("localStorage.clear()")
    return User(browser, served.url, until)


@pytest.fixture
def other(user, browser, served, until):
    """A second user: another name of the server has another storage and other cookies."""
    browser.switch_to.new_window("window")
    found = User(browser, served.url.replace("127.0.0.1", "localhost"), until)
    yield found
    found.browser.close()
    browser.switch_to.window(browser.window_handles[0])


def estimated(user, file):
    user.upload(file)
    user.sees("6 of 6 frames")
    user.click("depth-run")
    user.sees("The depth is ready", "#ex4d-depth-status")


def test_a_clip_goes_through_all_steps_and_a_reload_shows_them_again(user, clip, tmp_path):
    estimated(user, clip)
    user.write("cam", "orbit:yaw=10,pitch=4")
    user.sees("of the new view", "#ex4d-coverage")
    user.write("cam", "orbit:yaw=10,pitch=95")
    user.sees("pitch must be between -89 and 89 degrees, not 95", "#ex4d-path-problem")
    user.write("cam", "orbit:yaw=10,pitch=4")
    user.until(lambda: user.text("#ex4d-path-problem").strip() == "", "the end of the error")
    assert user.part("yaw").find_element(By.CSS_SELECTOR, "input[type=number]").get_attribute("value") == "10"
    user.click("generate")
    user.sees("is ready", "#ex4d-result-status")
    files = user.files()
    assert {"color_orbit_yaw10_pitch4.mp4", "DW-Mesh.glb", "depth.npz", "config.toml"} <= files.keys()
    (tmp_path / "result.mp4").write_bytes(user.fetched(files["result_orbit_yaw10_pitch4.mp4"]))
    assert read_video(tmp_path / "result.mp4").frames.shape == (6, 48, 64, 3)
    assert "--cam orbit:yaw=10,pitch=4 --backbone inpaint" in user.text("#ex4d-command").replace("\n", "")
    assert len(user.browser.find_elements(By.CSS_SELECTOR, "#ex4d-input video, #ex4d-result video")) == 2

    user.browser.refresh()
    user.sees("6 of 6 frames")
    user.sees("is ready", "#ex4d-result-status")
    assert user.value("cam") == "orbit:yaw=10,pitch=4"
    assert user.files().keys() == files.keys()
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    user.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    width = user.browser.execute_script("return document.documentElement.scrollWidth")
    user.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width == 390


def test_two_users_at_the_same_time_do_not_see_each_other(user, other, tmp_path):
    clips = [write_clip_of(tmp_path / name, name) for name in ("first.mp4", "second.mp4")]
    for each, clip in ((user, clips[0]), (other, clips[1])):
        each.upload(clip)
    for each, mine, foreign in ((user, "first.mp4", "second.mp4"), (other, "second.mp4", "first.mp4")):
        each.sees(f"{mine}: 6 of 6 frames")
        assert foreign not in each.browser.page_source
    for each in (user, other):
        each.click("depth-run")
    for each in (user, other):
        each.sees("The depth is ready", "#ex4d-depth-status")
    names = [each.browser.execute_script("return localStorage.getItem('ex4d-project')") for each in (user, other)]
    assert names[0] != names[1]


def test_a_wrong_file_is_refused_in_one_sentence_and_the_next_one_works(user, clip, tmp_path):
    (tmp_path / "letter.mp4").write_text("Dear reader, this is no video.")
    user.upload(tmp_path / "letter.mp4")
    user.sees("letter.mp4 is not a")
    (alert,) = [each for each in user.browser.find_elements(By.CSS_SELECTOR, "[role=alert]") if each.text]
    assert len(alert.text.splitlines()) == 1
    user.click("depth-run")
    user.sees("upload a clip first", "#ex4d-depth-status")


def test_a_job_is_canceled_and_survives_a_reload_until_then(user, clip, served, monkeypatch):
    from ex4d_web import work

    def slow(project, models, *, device):
        def wait(job):
            with job.stage("depth") as progress:
                for done in range(10_000):
                    progress(done, 10_000)
                    time.sleep(0.01)

        return wait

    monkeypatch.setattr(work, "estimate_depth", slow)
    user.upload(clip)
    user.sees("6 of 6 frames")
    user.click("depth-run")
    user.sees("Estimating depth", "#ex4d-depth-status")
    user.browser.refresh()
    user.sees("Estimating depth", "#ex4d-depth-status")
    user.sees("left", "#ex4d-depth-status")
    user.click("depth-cancel")
    user.sees("Depth was canceled", "#ex4d-depth-status")
    user.until(lambda: user.can_use("depth-run"), "the button")


def test_the_example_is_run_by_the_keyboard_alone(user):
    for name in ("example", "depth-run"):
        user.until(lambda name=name: user.can_use(name), name)
        tab_to(user, user.part(name))
        user.browser.switch_to.active_element.send_keys(Keys.ENTER)
        user.sees("6 of 6 frames" if name == "example" else "The depth is ready")
    slider = user.part("yaw").find_element(By.CSS_SELECTOR, "input[type=range]")
    tab_to(user, slider)
    slider.send_keys(Keys.ARROW_LEFT)
    user.until(lambda: user.value("cam") == "orbit:yaw=29,ease=smooth", "the text")
    tab_to(user, user.part("path-preview"))
    user.browser.switch_to.active_element.send_keys(Keys.SPACE)
    user.sees("of the new view", "#ex4d-coverage")


def tab_to(user, element):
    """Press Tab until an element has the focus."""
    for _ in range(80):
        if user.browser.execute_script("return document.activeElement === arguments[0]", element):
            outline = "return getComputedStyle(arguments[0]).outlineStyle + getComputedStyle(arguments[0]).boxShadow"
            assert user.browser.execute_script(outline, element) not in ("none", "nonenone")
            return
        ActionChains(user.browser).send_keys(Keys.TAB).perform()
    raise AssertionError("the element is not reached by the Tab key")


def test_everything_that_can_be_used_has_a_name_for_screen_readers(user):
    user.click("example")
    user.sees("6 of 6 frames")
    tree = user.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    usable = {"button", "textbox", "slider", "spinbutton", "combobox", "checkbox", "link", "tab", "listbox"}
    nameless = [
        node["role"]["value"]
        for node in tree
        if not node["ignored"] and node["role"]["value"] in usable and not node.get("name", {}).get("value")
    ]
    assert nameless == []
    headings = [n["name"]["value"] for n in tree if n.get("role", {}).get("value") == "heading"]
    assert headings == ["ex4d", "1 · Clip", "2 · Depth", "3 · Path", "4 · Result"]


def test_the_page_loads_nothing_from_other_servers(user, served):
    loaded = user.browser.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
    assert loaded
    origin = served.headers["Origin"]
    assert [name for name in loaded if not name.startswith((origin, "data:", "blob:"))] == []


def test_the_connection_of_a_page_stays_open(user):
    """Gradio loses an event that begins while the connection of the last one is closed."""
    user.click("example")
    user.sees("6 of 6 frames")
    ended = "return performance.getEntriesByType('resource').filter(each => each.name.includes('queue/data')).length"
    assert user.browser.execute_script(ended) == 0


def write_clip_of(folder, name):
    from fractions import Fraction

    import torch

    from ex4d_core.types import Video
    from ex4d_core.video_io import write_video

    folder.mkdir()
    frames = torch.full((6, 48, 64, 3), 80 if name < "g" else 160, dtype=torch.uint8)
    frames[:, :, 20:40] = 220
    write_video(Video(frames=frames, fps=Fraction(12)), folder / name)
    return folder / name
