"""What people are told to type gets a distribution again from where it came from, and from nowhere else."""

import json

import pytest

from ex4d_core.distributions import upgrade_command


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on the path, with what pip writes down of where it came from."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, direct_url):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        if direct_url is not None:
            (info / "direct_url.json").write_text(direct_url)

    return write


@pytest.mark.parametrize(
    ("direct_url", "what"),
    [
        (None, "mine"),
        ({"url": "file:///home/me/my%20own", "dir_info": {}}, "'/home/me/my own'"),
        ({"url": "file:///home/me/mine", "dir_info": {"editable": True}}, "-e /home/me/mine"),
        ({"url": "file:///home/me/mine-1-py3-none-any.whl", "archive_info": {}}, "/home/me/mine-1-py3-none-any.whl"),
        ({"url": "https://example.org/mine.whl", "archive_info": {}}, "https://example.org/mine.whl"),
        ({"url": "https://example.org/mine", "vcs_info": {"vcs": "git"}}, "git+https://example.org/mine"),
        (
            {"url": "https://example.org/mine", "vcs_info": {"vcs": "git", "requested_revision": "dev"}},
            "git+https://example.org/mine@dev",
        ),
    ],
)
def test_it_is_got_again_from_where_it_came_from(install, direct_url, what):
    install("mine", None if direct_url is None else json.dumps(direct_url))
    assert upgrade_command("mine") == f"pip install --upgrade {what}"


@pytest.mark.parametrize("text", ["no json", "{}", "[]"])
def test_a_record_that_cannot_be_read_is_none(install, text):
    install("mine", text)
    assert upgrade_command("mine") == "pip install --upgrade mine"


def test_two_are_got_together(install):
    install("mine", json.dumps({"url": "file:///mine", "dir_info": {}}))
    install("core", None)
    assert upgrade_command("mine", "core", "gone") == "pip install --upgrade /mine core gone"
