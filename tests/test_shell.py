"""Printed commands are those of the user's shell."""

import pytest

from ex4d_core import shell


@pytest.fixture(params=[False, True], ids=["posix", "windows"])
def is_windows(request, monkeypatch):
    monkeypatch.setattr(shell, "WINDOWS", request.param)
    return request.param


@pytest.mark.parametrize(
    ("word", "posix", "windows"),
    [
        ("depth.npz", "depth.npz", "depth.npz"),
        ("my clip.mp4", "'my clip.mp4'", "'my clip.mp4'"),
        (r"C:\ex4d\clip.mp4", r"'C:\ex4d\clip.mp4'", r"C:\ex4d\clip.mp4"),
        ("it's", """'it'"'"'s'""", "'it''s'"),
        ("a,b", "a,b", "'a,b'"),
        ("folder[test]", "'folder[test]'", "'folder[test]'"),
        ("", "''", "''"),
    ],
)
def test_words_are_quoted_where_the_shell_would_change_them(is_windows, word, posix, windows):
    assert shell.quote(word) == (windows if is_windows else posix)


def test_lines_are_in_the_words_of_the_shell(is_windows):
    assert shell.in_order(["a", "b"]) == ("a; b" if is_windows else "a && b")
    assert shell.with_variable("X", "1", "ex4d") == ("$env:X=1; ex4d" if is_windows else "X=1 ex4d")
    assert shell.command_line(["a b", "c"]) == ("& 'a b' c" if is_windows else "'a b' c")
