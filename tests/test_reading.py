import json
import os
import zipfile

import numpy as np
import pytest

from ex4d_core.arrays import open_npz, read_npy
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.reading import MOST_DEPTH, check_file, check_folder, read_json, read_text, read_toml, reading
from ex4d_core.terminal import printable


def loop(folder):
    (folder / "loop").symlink_to("loop")
    return folder / "loop"


def pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (pipe, "named pipe"),
        (loop, "symbolic links"),
        (lambda folder: folder, "folder"),
        (lambda folder: "/dev/zero", "device"),
        (lambda folder: folder / "a\0b", "not a valid path"),
        (lambda folder: folder / ("a" * 300), "File name too long"),
    ],
)
def test_what_is_no_regular_file_is_not_opened(make, reason, tmp_path):
    with pytest.raises(InvalidInput, match=reason):
        read_text(make(tmp_path), "camera file")


def test_a_file_that_is_missing_is_named(tmp_path):
    for path in (tmp_path / "none.json", tmp_path / "none" / "a.json"):
        with pytest.raises(InputNotFound, match=r"camera file .*none"):
            check_file(path, "camera file")
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="not a folder"):
        check_folder(tmp_path / "file", "clip")


def test_a_text_has_a_bounded_length_and_is_utf8(tmp_path):
    (tmp_path / "long").write_text("x" * 100)
    with pytest.raises(InvalidInput, match="100 bytes; at most 99"):
        read_text(tmp_path / "long", "caption", most=99)
    (tmp_path / "latin").write_bytes("ä".encode("latin-1"))
    with pytest.raises(InvalidInput, match="not UTF-8 text"):
        read_text(tmp_path / "latin", "caption")
    (tmp_path / "mark").write_text("a", encoding="utf-8-sig")
    assert read_text(tmp_path / "mark", "caption") == "a"


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "1" * 5000, "NaN", "[1e999]", "{", ""]
)
def test_json_has_a_bounded_depth_and_finite_numbers(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json", "camera file")


def test_json_of_the_greatest_depth_is_read(tmp_path):
    (tmp_path / "a.json").write_text("[" * MOST_DEPTH + "]" * MOST_DEPTH)
    assert json.dumps(read_json(tmp_path / "a.json", "camera file")) == "[" * MOST_DEPTH + "]" * MOST_DEPTH


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "1" * 5000, "a = ", "\0"])
def test_toml_ends_in_one_sentence(text, tmp_path):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InvalidInput, match=r"a\.toml is not valid TOML"):
        read_toml(tmp_path / "a.toml", "configuration")


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError(), MemoryError(), PermissionError(13, "denied"), RuntimeError()]
)
def test_whatever_a_reader_raises_names_the_file(error):
    with pytest.raises(InvalidInput, match=r"a\.exr") as raised, reading("a.exr", "depth map"):
        raise error
    assert raised.value.__cause__ is error


def test_arrays_are_compared_with_the_file_before_memory_is_asked_for(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    whole = (tmp_path / "a.npy").read_bytes()
    assert read_npy(tmp_path / "a.npy", "depth file").shape == (2, 3)
    huge = whole.replace(b"(2, 3)", b"(2000000, 3000000)").replace(b" " * 12, b"", 1)
    (tmp_path / "a.npy").write_bytes(huge)
    with pytest.raises(InvalidInput, match="damaged"):
        read_npy(tmp_path / "a.npy", "depth file")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("good.npy", whole)
        archive.writestr("huge.npy", huge)
        archive.writestr("text.npy", "no array")
    arrays = open_npz(tmp_path / "a.npz", "depth file")
    assert set(arrays) == {"good", "huge", "text"}
    assert arrays["good"].shape == (2, 3)
    for name in ("huge", "text"):
        with pytest.raises(InvalidInput, match=r"a\.npz"):
            arrays[name]


def test_objects_in_an_array_are_not_read(tmp_path):
    np.savez(tmp_path / "a.npz", depth=np.array([{}], object))
    with pytest.raises(InvalidInput, match="Python objects"):
        open_npz(tmp_path / "a.npz", "depth file")["depth"]


def test_what_the_terminal_would_obey_is_shown():
    assert (
        printable("\x1b]52;c;x\x07 a\tb\nc \u202eabc \udcff ä") == r"\x1b]52;c;x\x07 a" "\tb\nc " r"\u202eabc \udcff ä"
    )
