"""Sliders write the text of a path, and a text sets the sliders that can express it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ex4d_core.errors import Ex4dError
from ex4d_core.pipeline.session import Session
from ex4d_web.path_text import PRESETS, SAVED, TIMES, Sliders, check_cam, sliders_of, text_of


@pytest.fixture(scope="module")
def session():
    return Session(progress=False, download="no", device="cpu")


@pytest.mark.parametrize(
    ("sliders", "text"),
    [
        (Sliders(yaw=30), "orbit:yaw=30,ease=smooth"),
        (Sliders(yaw=-20, pitch=10, smooth=False), "orbit:yaw=-20,pitch=10"),
        (Sliders(distance=0.6), "zoom_in:amount=0.4,ease=smooth"),
        (Sliders(yaw=5, distance=1.5, time="freeze", smooth=False), "orbit:yaw=5 with zoom_out:amount=0.5 with freeze"),
        (Sliders(time="slow down", factor=3), "slow:factor=3"),
        (Sliders(time="reverse"), "reverse"),
        (Sliders(), "static"),
    ],
)
def test_sliders_are_a_text(sliders, text):
    assert text_of(sliders) == text
    assert sliders_of(text) == sliders


@given(
    yaw=st.integers(-90, 90),
    pitch=st.integers(-45, 60),
    distance=st.integers(4, 50),
    smooth=st.booleans(),
    time=st.sampled_from(TIMES),
)
def test_a_text_of_sliders_sets_the_same_sliders(yaw, pitch, distance, smooth, time):
    sliders = Sliders(yaw=yaw, pitch=pitch, distance=distance / 20, smooth=smooth, time=time)
    found = sliders_of(text_of(sliders))
    assert text_of(found) == text_of(sliders)
    assert (found.yaw, found.pitch, found.time) == (yaw, pitch, time)
    assert found.distance == pytest.approx(distance / 20)


@pytest.mark.parametrize(
    "text", ["30", "orbit:yaw=30 then dolly", "dolly", "orbit:yaw=3,share=0.4 then static", "(", ""]
)
def test_a_text_that_sliders_cannot_express_sets_none(text):
    assert sliders_of(text) is None


@pytest.mark.parametrize("text", PRESETS.values(), ids=PRESETS)
def test_presets_are_paths(text, session, tmp_path):
    assert check_cam(f" {text} ", tmp_path, session) == text


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd.json",
        "../../other/paths/a.json",
        "paths/absent.json",
        "from_file:path=/etc/hostname",
        "paths/mine.json:format=json",
        "'paths/link.json'",
        "30 then ./x.npz",
    ],
)
def test_a_path_names_no_file_of_the_server(text, session, tmp_path):
    (tmp_path / SAVED).mkdir()
    (tmp_path / SAVED / "mine.json").write_text("{}")
    (tmp_path / SAVED / "link.json").symlink_to("/etc/hostname")
    with pytest.raises(Ex4dError, match="cannot name a file of the server"):
        check_cam(text, tmp_path, session)


def test_a_path_that_the_viewer_saved_can_be_named(session, tmp_path):
    (tmp_path / SAVED).mkdir()
    (tmp_path / SAVED / "mine.json").write_text("{}")
    assert check_cam("paths/mine.json", tmp_path, session) == "paths/mine.json"


def test_an_invalid_path_is_one_message_that_marks_the_place(session, tmp_path):
    with pytest.raises(Ex4dError, match=r"pitch must be between -89 and 89 degrees, not 95\n.*\n +\^+"):
        check_cam("orbit:pitch=95", tmp_path, session)
    with pytest.raises(Ex4dError, match="2000 characters"):
        check_cam("static" + " then static" * 400, tmp_path, session)
