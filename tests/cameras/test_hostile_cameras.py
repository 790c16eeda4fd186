"""Camera, lens and configuration files of any content: a value, or one sentence that names the file."""

import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ex4d_core.cameras.files import FORMATS, read_camera_path
from ex4d_core.cameras.intrinsics import read_intrinsics
from ex4d_core.cli.flags import configuration
from ex4d_core.config.run_config import make_config, parse_settings, read_config
from ex4d_core.errors import InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.types import Intrinsics

few = settings(
    derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

numbers = st.one_of(
    st.integers(-3, 700),
    st.floats(),
    st.sampled_from([0, 1, 1e300, -1e300, 10**30, 1e-300, "1", "", None, True, [], {}]),
)
pose = st.one_of(
    st.just(np.eye(4).tolist()),
    st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=4, max_size=4),
    numbers,
)
lens = st.dictionaries(
    st.sampled_from(["fx", "fy", "cx", "cy", "width", "height", "fl_x", "w", "h", "k1", "camera_angle_x"]), numbers
)
whole = {"fx": 500, "fy": 500, "cx": 32, "cy": 24, "width": 64, "height": 48}
frame = st.fixed_dictionaries({"transform_matrix": pose}, optional={"file_path": numbers, "clip_frame": numbers})
tree = st.one_of(
    st.fixed_dictionaries(
        {"world_to_camera": st.one_of(st.lists(pose, max_size=3), numbers)},
        optional={
            "intrinsics": st.one_of(lens, st.lists(st.one_of(st.just(whole), lens), max_size=3), numbers),
            "shares": st.one_of(st.lists(numbers, max_size=3), numbers),
            "clip_frames": st.one_of(st.lists(numbers, max_size=3), numbers),
            "axes": st.sampled_from(["opencv", "opengl", "x", 3]),
        },
    ),
    st.builds(lambda frames, more: {**more, "frames": frames}, st.lists(frame, max_size=3), lens),
    st.dictionaries(st.sampled_from(["frame0", "frame1", "frameX"]), st.dictionaries(st.just("cam01"), numbers)),
    st.lists(pose, max_size=3),
    numbers,
)
text = st.one_of(
    st.text(max_size=200),
    st.lists(st.lists(numbers.map(str), max_size=17).map(" ".join), max_size=8).map("\n".join),
    st.lists(st.lists(numbers.map(str), min_size=16, max_size=17).map(",".join), max_size=4).map("\n".join),
)


def refused(read, path, *, name=None):
    """Run a reader; whatever it refuses it names, in a sentence of bounded length."""
    sentence = ""
    try:
        read(path)
    except (InvalidInput, InputNotFound, InvalidConfig) as error:
        sentence = str(error)
    assert not sentence or ((name or path.name) in sentence and len(sentence) < 1500)


@few
@given(tree)
def test_any_json_is_a_camera_path_or_named(tmp_path, facts):
    (tmp_path / "p.json").write_text(json.dumps(facts))
    refused(read_camera_path, tmp_path / "p.json")


@few
@given(text, st.sampled_from(["p.csv", "p.txt", "p.json", "p.npz"]))
def test_any_text_is_a_camera_path_or_named(tmp_path, content, name):
    (tmp_path / name).write_text(content, encoding="utf-8", errors="replace")
    refused(read_camera_path, tmp_path / name)


@few
@given(text, text)
def test_any_two_texts_are_a_model_of_colmap_or_named(tmp_path, cameras, images):
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    for name, content in (("cameras.txt", cameras), ("images.txt", images)):
        (folder / name).write_text(content, encoding="utf-8", errors="replace")
    refused(read_camera_path, folder)


@few
@given(
    st.dictionaries(
        st.sampled_from(["extrinsics", "intrinsics", "size", "clip_frames"]),
        st.one_of(st.lists(pose, max_size=2), pose, numbers, st.lists(numbers, max_size=3)),
    )
)
def test_any_archive_is_a_camera_path_or_named(tmp_path, facts):
    arrays = {}
    for name, value in facts.items():
        try:
            arrays[name] = np.asarray(value)
        except (ValueError, OverflowError):
            arrays[name] = np.zeros(0)
    np.savez(tmp_path / "p.npz", **{n: a for n, a in arrays.items() if a.dtype != object})
    refused(read_camera_path, tmp_path / "p.npz")


@few
@given(st.one_of(lens, numbers), st.sampled_from(["k.json", "k.txt"]))
def test_any_lens_is_read_or_named(tmp_path, facts, name):
    (tmp_path / name).write_text(json.dumps(facts))
    refused(lambda path: read_intrinsics(path, width=64, height=48), tmp_path / name)


@few
@given(st.text(max_size=80))
def test_any_text_is_a_configuration_or_named(tmp_path, content):
    (tmp_path / "c.toml").write_text(content, encoding="utf-8", errors="replace")
    refused(lambda path: configuration((), {"settings": None, "config_file": path}), tmp_path / "c.toml")


@pytest.mark.parametrize("format", sorted(name for name, kind in FORMATS.items() if kind.suffix))
def test_a_pipe_and_a_loop_of_links_are_not_opened(tmp_path, format):
    suffix = FORMATS[format].suffix
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"loop{suffix}").symlink_to(f"loop{suffix}")
    for name in ("pipe", "loop"):
        with pytest.raises(InvalidInput, match=rf"{name}\{suffix}"):
            read_camera_path(tmp_path / f"{name}{suffix}", format=format)


@pytest.mark.parametrize(
    "facts",
    [
        {"intrinsics": {**whole, "width": 10**30}},
        {"intrinsics": {**whole, "cx": 1e300}},
        {"intrinsics": []},
        {"intrinsics": [whole] * 3},
        {"clip_frames": "01"},
        {"clip_frames": [0, 10**12]},
        {"world_to_camera": [[["1", "0", "0", "0"], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]] * 2},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_numbers_are_numbers_finite_and_in_range(tmp_path, facts):
    (tmp_path / "p.json").write_text(json.dumps({"world_to_camera": [np.eye(4).tolist()] * 2, **facts}))
    with pytest.raises(InvalidInput, match=r"p\.json"):
        read_camera_path(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("name", "value"), [("fx", np.inf), ("cy", np.nan), ("fy", 1e300), ("width", 2.5), ("height", 10**9)]
)
def test_a_lens_has_numbers_in_range(name, value):
    with pytest.raises(InvalidInput, match=name):
        Intrinsics(**{**whole, name: value})


def test_a_position_is_finite_in_float32(tmp_path):
    far = np.eye(4)
    far[0, 3] = 1e300
    np.savez(tmp_path / "p.npz", extrinsics=far[None], intrinsics=np.array([[9.0, 0, 4], [0, 9, 4], [0, 0, 1]]))
    with pytest.raises(InvalidInput, match=r"p\.npz: extrinsics must contain numbers of at most 1e\+12"):
        read_camera_path(tmp_path / "p.npz")


@pytest.mark.parametrize(
    "tree",
    [
        {"cam": [[1]]},
        {"prompt": [1]},
        {"device": [1, 2]},
        {"lens": {"fov": float("inf")}},
        {"lens": {"focal_px": float("nan")}},
        {"video": {"num_frames": 10**30}},
        {"video": 3},
    ],
    ids=str,
)
def test_options_are_of_their_type_and_finite(tree):
    with pytest.raises(InvalidConfig, match=next(iter(tree))):
        make_config(tree)


def test_a_fault_in_a_configuration_names_its_file_although_flags_lie_over_it(tmp_path):
    for content in ("video = 3", "[video]\nnum_frame = 5"):
        (tmp_path / "c.toml").write_text(content)
        with pytest.raises(InvalidConfig, match=r"c\.toml"):
            configuration((), {"settings": ["video.num_frames=5"], "config_file": tmp_path / "c.toml"})


@pytest.mark.parametrize("value", ["[" * 2000, "{a=" * 2000, "9" * 5000])
def test_a_setting_of_any_depth_is_read(value):
    assert parse_settings([f"depth.steps={value}"]) == {"depth": {"steps": value}}


def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    os.mkfifo(tmp_path / "c.toml")
    with pytest.raises(InvalidConfig, match=r"c\.toml is a named pipe"):
        read_config(tmp_path / "c.toml")
