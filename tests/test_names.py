"""Any text becomes the name of one file or folder, and two texts never share one."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.cameras.language import cam_file_part
from ex4d_core.names import MOST_BYTES, name_key, safe_name

PROPERTY = settings(derandomize=True, max_examples=300, deadline=None)

ODD = ["", ".", "..", "...", "/", "..\\..", "a/b", "\0", "\x1b]0;x", "con", "NUL.tar.gz", "com¹", "a.", "b ", ".part-x"]
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=[])),
    st.text(st.sampled_from("aA.-_/\\ \n\0é日\udcff:"), max_size=6),
    st.text(st.sampled_from("日a"), min_size=80, max_size=300),
)


def is_safe(name, most=MOST_BYTES):
    reserved = re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)", name.split(".")[0].strip(), re.IGNORECASE)
    return (
        0 < len(name.encode("utf-8")) <= most
        and not reserved
        and not re.search(r"[/\\\x00-\x1f\x7f]", name)
        and not name.endswith((".", " "))
        and not name.startswith((".part-", ".partial-"))
    )


@PROPERTY
@given(text=TEXTS)
def test_any_text_is_a_name_in_the_folder_that_it_is_put_into(text):
    name = safe_name(text)
    assert is_safe(name)
    assert os.path.dirname(os.path.normpath(f"/out/{name}")) == "/out"
    assert is_safe(safe_name(text, most=64), 64)


@pytest.mark.parametrize("text", ODD)
def test_a_folder_of_such_a_name_can_be_made(tmp_path, text):
    (tmp_path / safe_name(text)).mkdir()
    assert len(list(tmp_path.iterdir())) == 1


@PROPERTY
@given(texts=st.lists(TEXTS, min_size=2, max_size=2, unique=True))
def test_two_texts_have_two_names(texts):
    assert safe_name(texts[0]) != safe_name(texts[1])


@pytest.mark.parametrize("name", ["clip", "my clip (1)", "видео", "日" * 80, ".hidden", "console", "x" * 251])
def test_a_text_that_is_a_name_stays_as_it_is(name):
    assert safe_name(name) == name


def test_names_that_some_systems_take_for_one_have_one_key():
    assert name_key("Clip") == name_key("cLIP")
    assert name_key("caf\u00e9") == name_key("cafe\u0301")
    assert name_key("clip") != name_key("clip2")


FILES = st.builds(
    "{0}{1}{2}.{3}".format,
    st.sampled_from(["", "./", "a/", "a\\", "b/"]),
    st.text(st.sampled_from("ab_ .-é\udcff"), min_size=1, max_size=4),
    st.sampled_from(["", "_b", "=b"]),
    st.sampled_from(["json", "npz", "csv", "txt"]),
)
CAMS = st.one_of(
    FILES,
    st.builds("{1}{0}{1}".format, FILES, st.sampled_from("'\"")),
    st.builds("{}:camera={}".format, FILES, st.sampled_from(["a", "b.json"])),
    st.builds("{} then {}".format, FILES, st.sampled_from(["30", "pan"])),
    st.builds("from_file:path={}".format, st.sampled_from(["a_b", "a/b", "a"])),
)


@PROPERTY
@given(cams=st.lists(CAMS.map(str.strip), min_size=2, max_size=2, unique=True))
def test_two_files_of_paths_have_two_names(cams):
    assert cam_file_part(cams[0]) != cam_file_part(cams[1])


@PROPERTY
@given(text=st.one_of(CAMS, TEXTS))
def test_the_files_of_any_path_have_names_of_bounded_length(text):
    name = f"preview_{cam_file_part(text)}-edited-10.mp4"
    assert is_safe(name)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("60", "60"),
        ("-90..90", "-90..90"),
        ("orbit:yaw=-75,pitch=10", "orbit_yaw-75_pitch10"),
        ("dolly:by=.3 with pan:by=20 then static", "dolly_by.3_with_pan_by20_then_static"),
        ("zoom_in", "zoom_in"),
        ("path.json", "path.json"),
        ("a_b.json", "a_b.json"),
    ],
)
def test_plain_paths_have_the_names_that_people_know(text, part):
    assert cam_file_part(text) == part


def test_names_of_files_in_folders_do_not_meet_after_thousands():
    assert len({cam_file_part(f"p{number}/path.json") for number in range(5000)}) == 5000


@pytest.mark.parametrize("text", ["a:b", 'say "hi"', "what?", "*", "a|b", "<a>"])
def test_a_name_has_no_character_that_windows_forbids(text):
    assert not set(safe_name(text)) & set('<>:"|?*')
