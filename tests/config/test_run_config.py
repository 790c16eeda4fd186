"""A configuration says what is wrong with it, and survives being written."""

import math
import tomllib

import attrs
import pytest

from ex4d_core.cameras.language import cam_file_part, parse_path
from ex4d_core.config.run_config import make_config, make_options, merge, parse_settings, read_config, write_config
from ex4d_core.errors import InputNotFound, InvalidConfig
from ex4d_core.options import option


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"vdeo": {}}, "unknown option vdeo; did you mean 'video'?"),
        ({"video": {"strid": 2}}, "unknown option video.strid; did you mean 'stride'?"),
        ({"video": {"stride": "two"}}, "video.stride: must be a whole number, not 'two'"),
        ({"video": {"stride": 0}}, "video.stride must be at least 1, not 0"),
        ({"video": {"fit": "squash"}}, "video.fit: must be one of crop, pad, stretch"),
        ({"video": {"fps": True}}, "video.fps: must be a number, not True"),
        ({"video": 3}, "video must be a table of options, not 3"),
        ({"masks": "tracking"}, "masks must be a table of options, not 'tracking'"),
        ({"depth": {"name": 3}}, "depth.name must be a text, not 3"),
        ({"seed": -1}, "seed must be from 0 to 2**64 - 1, not -1"),
        ({"seed": 2**64}, "seed must be from 0 to 2**64 - 1, not 18446744073709551616"),
        ({"lens": {"fov": 50, "focal_px": 3}}, "fov and focal_px both set the focal length"),
        ({"prompt": [1]}, "prompt: must be a text, not [1]"),
        ({"cam": [[1]]}, "cam[0]: must be a text, not [1]"),
        ({"cam": {"a": 1}}, "cam: must be a list"),
        ({"clips": {"a": 1}}, "clips: must be a list"),
        ({"seed": 16**6000}, "seed: must be a whole number of at most 20 digits, not 0x1000"),
        ({"lens": {"fov": math.inf}}, "lens.fov: must be a finite number"),
        ({"x" * 10**6: 1}, "unknown option xxx"),
        ({"prompt": ["x" * 10**6] * 100}, "prompt: must be a text, not ['xxx"),
        ({"cam": [[1]] * 1000}, "cam[3]: must be a text, not [1]; ..."),
        ({"compat": "ex5d"}, "unknown preset 'ex5d'; did you mean 'ex4d'?"),
    ],
)
def test_a_wrong_entry_is_named(tree, says):
    with pytest.raises(InvalidConfig) as error:
        make_config(tree)
    assert says in str(error.value)
    assert len(str(error.value)) < 600


def test_a_pixel_may_be_a_list_where_an_option_is_one():
    @attrs.frozen
    class Options:
        look_at: str = option("auto", help="what", pixel=True)
        path: str = option("", help="file")

    assert make_options(Options, {"look_at": [320, 18.5]}, "depth").look_at == "320,18.5"
    for wrong in ({"look_at": [1, 2, 3]}, {"look_at": ["a", "b"]}, {"path": [1, 2]}):
        with pytest.raises(InvalidConfig, match=r"depth\.(look_at|path): must be a text, not \["):
            make_options(Options, wrong, "depth")


def test_a_configuration_survives_writing():
    tree = {"cam": [30, "orbit:yaw=3"], "depth": {"name": "file", "path": "x"}, "video": {"size": "64x64"}, "seed": 7}
    tree["masks"] = {"kind": "tracking", "angles": [30, 60]}
    config = make_config(tree)
    assert make_config(tomllib.loads(write_config(config))) == config


def test_settings_are_typed_as_toml_and_text_otherwise():
    assert parse_settings(["depth.steps=8", "depth.model=a/b", "mesh.cap=corners", "depth.fast=true"]) == {
        "depth": {"steps": 8, "model": "a/b", "fast": True},
        "mesh": {"cap": "corners"},
    }


@pytest.mark.parametrize(
    "text", ["1\nseed = 2", "1\n[video]\nstride = 2", "[" * 5000, "9" * 5000, "{a=" * 900, "\0", ""]
)
def test_a_setting_that_is_not_one_value_is_text(text):
    assert parse_settings([f"depth.model={text}"]) == {"depth": {"model": text.strip()}}


@pytest.mark.parametrize("text", ["steps=8", "depth.steps", "depth.=3", "=3"])
def test_a_setting_without_section_or_value_is_refused(text):
    with pytest.raises(InvalidConfig, match=r"must read SECTION\.OPTION=VALUE"):
        parse_settings([text])


def test_later_tables_win_entry_by_entry():
    assert merge({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}}) == {"a": {"x": 1, "y": 3}, "b": 1}


def test_a_missing_or_broken_file_is_one_sentence(tmp_path):
    with pytest.raises(InputNotFound, match=r"configuration file .* does not exist"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("cam = [")
    with pytest.raises(InvalidConfig, match="is not valid TOML"):
        read_config(tmp_path / "bad.toml")
    with pytest.raises(InvalidConfig, match="is a folder"):
        read_config(tmp_path)


def test_a_required_option_says_how_to_give_it():
    @attrs.frozen
    class Options:
        path: str = option(help="the file")

    with pytest.raises(InvalidConfig, match=r"depth\.path must be given \(the file\); try --set depth\.path="):
        make_options(Options, {}, "depth")


def test_a_lens_of_the_user_replaces_the_presets():
    assert make_config({"compat": "ex4d"}).lens.focal_px == 500
    lens = make_config({"compat": "ex4d", "lens": {"fov": 60}}).lens
    assert (lens.fov, lens.focal_px) == (60, None)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("30", ("30", {"a": 30.0})),
        ("-75", ("-75", {"a": -75.0})),
        ("+12.5", ("12.5", {"a": 12.5})),
        ("180.0", ("180", {"a": 180.0})),
        ("-90..90", ("-90..90", {"a": -90.0, "b": 90.0})),
        ("zoom_in", ("zoom_in", {})),
        ("orbit:yaw=-75,pitch=10", ("orbit", {"yaw": -75, "pitch": 10})),
        ("orbit@other-dist:yaw=1", ("orbit@other-dist", {"yaw": 1})),
    ],
)
def test_what_cam_says(text, meaning):
    ((said,),) = parse_path(text)
    assert (said.name, said.with_angles(("a", "b")).options) == meaning


@pytest.mark.parametrize("text", ["", "90 degrees", "orbit:", "orbit:yaw=", "30..", "Orbit"])
def test_what_cam_cannot_say(text):
    with pytest.raises(InvalidConfig, match="--cam"):
        parse_path(text)


def test_paths_have_names_that_files_can_carry():
    assert [cam_file_part(text) for text in ("60", "-75", "orbit:yaw=-75,pitch=10", "-90..90")] == [
        "60",
        "-75",
        "orbit_yaw-75_pitch10",
        "-90..90",
    ]


def test_every_option_of_every_component_has_a_help_text():
    from ex4d_core.plugins.discovery import find_plugins

    fields = [(o.name, f) for o in find_plugins().offers for f in attrs.fields(o.spec.options)]
    assert fields
    assert [f"{name}.{field.name}" for name, field in fields if not field.metadata.get("help")] == []


@attrs.frozen(kw_only=True)
class Pair:
    first: int = option(1, help="First.", at_least=1)
    second: int = option(1, help="Second.", validator=attrs.validators.lt(9))


@pytest.mark.parametrize(
    ("values", "name"),
    [({"second": 9}, "second"), ({"second": "x"}, "second"), ({"third": 1}, "third"), ({"first": 0}, "first")],
)
def test_an_error_names_its_option(values, name):
    with pytest.raises(InvalidConfig) as caught:
        make_options(Pair, values, "pair")
    assert caught.value.option == name
