"""The defaults of the user: where they are, what they are overridden by, and what they do not apply to."""

import json
from pathlib import Path

import pytest

from ex4d_core.config import user_config
from ex4d_core.config.user_config import read_user_config, user_config_file, with_defaults
from ex4d_core.errors import InputNotFound


@pytest.fixture
def defaults(tmp_path, monkeypatch):
    """Write a user configuration and return its path."""

    def write(text):
        file = tmp_path / "user.toml"
        file.write_text(text)
        monkeypatch.setenv("EX4D_CONFIG", str(file))
        return file

    return write


@pytest.mark.parametrize(
    ("platform", "variable", "folder"),
    [
        ("linux", "XDG_CONFIG_HOME", ".config"),
        ("darwin", "XDG_CONFIG_HOME", ".config"),
        ("win32", "APPDATA", "AppData/Roaming"),
    ],
)
def test_the_file_is_in_the_folder_of_the_system(monkeypatch, tmp_path, platform, variable, folder):
    monkeypatch.delenv("EX4D_CONFIG")
    monkeypatch.setattr(user_config.sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    assert user_config_file() == tmp_path / folder / "ex4d" / "config.toml"
    assert read_user_config() == {}
    monkeypatch.setenv(variable, str(tmp_path / "mine"))
    assert user_config_file() == tmp_path / "mine" / "ex4d" / "config.toml"
    monkeypatch.setenv(variable, "relative")
    assert user_config_file() == tmp_path / folder / "ex4d" / "config.toml"


def test_an_empty_variable_disables_it(monkeypatch):
    monkeypatch.setenv("EX4D_CONFIG", "")
    assert user_config_file() is None
    assert read_user_config() == {}


def test_a_file_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("EX4D_CONFIG", "nowhere.toml")
    with pytest.raises(InputNotFound, match=r"nowhere.toml of the variable EX4D_CONFIG does not exist"):
        user_config_file()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("clips = ['a.mp4']", "clips belongs to one run"),
        ("seed = 'x'", "seed"),
        ("[dpth]", "unknown"),
        ("seed =", "TOML"),
        ("[depth]\nname = 'nowhere'", "unknown depth estimator 'nowhere'"),
        ("[backbone]\nname = 'telea'\nmemory = 12", "memory"),
    ],
)
def test_errors_name_the_file(ex4d, defaults, text, says):
    file = defaults(text)
    code, _, err = ex4d("run", "clip.mp4")
    assert code == 2
    assert str(file) in err
    assert says in err
    code, out, _ = ex4d("doctor", "--json")
    found = {each["what"]: each for each in json.loads(out)["findings"]}["user configuration"]
    assert (code, found["level"]) == (1, "broken")
    assert str(file) in found["state"]


@pytest.mark.parametrize(
    ("tree", "merged"),
    [
        ({}, {"seed": 7, "depth": {"name": "a", "x": 1}, "lens": {"fov": 60.0}, "download": "yes"}),
        ({"seed": 1}, {"seed": 1, "depth": {"name": "a", "x": 1}, "lens": {"fov": 60.0}, "download": "yes"}),
        ({"depth": {"x": 2}}, {"seed": 7, "depth": {"name": "a", "x": 2}, "lens": {"fov": 60.0}, "download": "yes"}),
        ({"depth": {"name": "b"}}, {"seed": 7, "depth": {"name": "b"}, "lens": {"fov": 60.0}, "download": "yes"}),
        (
            {"lens": {"focal_px": 9.0}},
            {"seed": 7, "depth": {"name": "a", "x": 1}, "lens": {"focal_px": 9.0}, "download": "yes"},
        ),
    ],
)
def test_files_and_flags_override_defaults(tree, merged):
    defaults = {"seed": 7, "depth": {"name": "a", "x": 1}, "lens": {"fov": 60.0}, "download": "yes"}
    assert with_defaults(tree, defaults) == merged


def test_the_configuration_of_a_run_is_complete():
    assert with_defaults({"fps": 1}, {"seed": 7, "download": "yes"}, saved_run=True) == {"fps": 1, "download": "yes"}


def test_a_run_names_its_defaults_once_and_saves_their_values(ex4d, defaults, small_clip, tmp_path, monkeypatch):
    file = defaults("seed = 7\n[video]\nnum_frames = 2\n[backbone]\nname = 'telea'\n")
    arguments = ("run", small_clip.video, "--depth-file", small_clip.depth, "--cam", "5", "--renderer", "zbuffer")
    code, _, err = ex4d(*arguments, "--seed", "8")
    assert code == 0
    assert err.count(f"defaults: {file}") == 1
    saved = Path("outputs") / Path(small_clip.video).stem
    text = (saved / "config.toml").read_text()
    assert "seed = 8" in text
    assert "num_frames = 2" in text
    assert 'name = "telea"' in text
    monkeypatch.setenv("EX4D_CONFIG", "")
    before = json.loads((saved / "run.json").read_text())
    assert ex4d("run", "--config", saved / "config.toml")[0] == 0
    assert json.loads((saved / "run.json").read_text()).keys() == before.keys()
    defaults("seed = 99\n")
    assert ex4d("run", "--config", saved / "config.toml")[0] == 0
    assert "seed = 8" in (saved / "config.toml").read_text()


def test_the_doctor_names_it(ex4d, defaults):
    file = defaults("seed = 7")
    found = {each["what"]: each for each in json.loads(ex4d("doctor", "--json")[1])["findings"]}
    assert found["user configuration"]["state"] == str(file)
