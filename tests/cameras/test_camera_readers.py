"""Each reader of camera files makes a path of a damaged file, or names the file and its fault in one sentence."""

import json

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.cameras.files import FORMATS, read_camera_path, write_camera_path
from ex4d_core.cameras.files._value import MOST_POSES, natural_order
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.motion import Start
from ex4d_core.geometry.paths import orbited
from ex4d_core.types import CameraPath, Intrinsics, Video

few = settings(derandomize=True, deadline=None, max_examples=40)

LENS = Intrinsics.from_fov(60, width=64, height=48)
WRITTEN = {name: kind for name, kind in FORMATS.items() if kind.write}
SUBJECT = Start(subject=(0.3, -0.2, 2.0))
EYE = np.eye(4).tolist()

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1e300, 10**400, -1, 0.5, "", "1", "a" * 5000, [], {}, [[]], [[1], [1, 2]], {"a": 1}]),
    st.text(max_size=5),
)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A path of three poses as each format has it."""
    folder = tmp_path_factory.mktemp("good")
    poses = [orbited(20.0 * k, 0.0, SUBJECT).inverse().matrix() for k in range(3)]
    path = CameraPath(world_to_camera=torch.from_numpy(np.stack(poses)).float(), intrinsics=LENS)
    for name, kind in WRITTEN.items():
        stores_time = "time" in kind.capabilities
        write_camera_path(
            attrs.evolve(path, frames=(2, 1, 0)) if stores_time else path, folder / f"{name}{kind.suffix}", format=name
        )
    return folder


def read_or_named(path, **options) -> str:
    """Read a file; return the sentence that refuses it, which names it and is short."""
    sentence = ""
    try:
        file = read_camera_path(path, **options)
    except InvalidInput as error:
        sentence = str(error)
    if sentence:
        assert str(path) in sentence
        assert len(sentence) < 700 + 2 * len(str(path))
        return sentence.replace(str(path), "")
    assert np.isfinite(file.world_to_camera.astype(np.float32)).all()
    assert file.intrinsics is None or len(file.intrinsics) in (1, file.num_poses)
    return ""


def changed(data, draw) -> bytes:
    """Return bytes of which a part is left out, or replaced by others."""
    start = draw(st.integers(0, len(data)))
    stop = draw(st.integers(start, min(len(data), start + 40)))
    new = draw(st.one_of(st.binary(max_size=8), st.sampled_from([b"", b"nan", b"1e999", b"9" * 4400, b"[" * 3000])))
    return data[:start] + new + data[stop:]


@few
@given(name=st.sampled_from([name for name in WRITTEN if name != "colmap"]), data=st.data())
def test_a_file_of_changed_bytes_is_read_or_named(name, data, good, tmp_path_factory):
    file = tmp_path_factory.mktemp("changed") / f"path{FORMATS[name].suffix}"
    file.write_bytes(changed((good / f"{name}{FORMATS[name].suffix}").read_bytes(), data.draw))
    read_or_named(file, format=name)


@few
@given(name=st.sampled_from(["cameras.txt", "images.txt"]), data=st.data())
def test_a_model_of_changed_bytes_is_read_or_named(name, data, good, tmp_path_factory):
    folder = tmp_path_factory.mktemp("changed")
    for each in ("cameras.txt", "images.txt"):
        content = (good / "colmap" / each).read_bytes()
        (folder / each).write_bytes(changed(content, data.draw) if each == name else content)
    assert "Error" not in read_or_named(folder).replace("UnicodeDecodeError", "")


@settings(few, max_examples=120)
@given(name=st.sampled_from(["json", "nerfstudio", "blender", "recammaster"]), data=st.data())
def test_a_tree_of_which_a_part_is_odd_is_read_or_its_fault_is_told(name, data, good, tmp_path_factory):
    tree = json.loads((good / f"{name}.json").read_text())
    part = tree
    while True:
        keys = list(part) if isinstance(part, dict) else range(len(part))
        key = data.draw(st.sampled_from(list(keys)))
        inside = part[key]
        if not (isinstance(inside, dict | list) and inside and data.draw(st.booleans())):
            break
        part = inside
    if isinstance(part, dict) and data.draw(st.booleans()):
        del part[key]
    else:
        part[key] = data.draw(odd)
    file = tmp_path_factory.mktemp("odd") / "path.json"
    file.write_text(json.dumps(tree))
    assert "Error" not in read_or_named(file, format=name), "no reader leaves it to the net of all readers"


@few
@given(name=st.sampled_from(["extrinsics", "intrinsics", "size", "clip_frames"]), data=st.data())
def test_an_archive_of_which_an_array_is_odd_is_read_or_its_fault_is_told(name, data, good, tmp_path_factory):
    with np.load(good / "ex4d.npz") as arrays:
        arrays = dict(arrays)
    shape = data.draw(st.sampled_from([arrays[name].shape, (), (0,), (3,), (2, 2), (3, 3, 3), (0, 4, 4), (1, 1, 4, 4)]))
    kinds = ["f8", "f4", "f2", "g", "i8", "u1", "?", "c8", "U3", "S3", "M8[s]", "m8[s]", [("a", "f4")]]
    value = data.draw(st.sampled_from([0, 1, 65504]))
    arrays[name] = np.full(shape, value).astype(data.draw(st.sampled_from(kinds)))
    file = tmp_path_factory.mktemp("odd") / "path.npz"
    np.savez(file, **arrays)
    assert "Error" not in read_or_named(file)


@few
@given(st.lists(st.text(st.sampled_from("ab01289_"), max_size=8), max_size=8))
def test_names_are_in_the_order_of_their_numbers(names):
    found = [names[at] for at in natural_order(names)]
    assert sorted(found) == sorted(names)
    plain = [name for name in found if name.startswith("a") and name[1:].isdigit()]
    assert [int(name[1:]) for name in plain] == sorted(int(name[1:]) for name in plain)
    assert natural_order([f"a{'9' * 5000}", "a10", "a9", "a010"]) == [2, 3, 1, 0]


@pytest.mark.slow
def test_more_poses_than_a_clip_has_frames_are_refused_before_they_are_made(tmp_path):
    (tmp_path / "path.txt").write_text(f"{'0 ' * (MOST_POSES + 1)}\n0\n0\n")
    with pytest.raises(InvalidInput, match=r"path\.txt: it has 100,001 poses; the maximum is 100,000"):
        read_camera_path(tmp_path / "path.txt")
    (tmp_path / "path.json").write_text(json.dumps({"world_to_camera": [EYE] * (MOST_POSES + 1)}))
    with pytest.raises(InvalidInput, match=r"path\.json: it has 100,001 poses"):
        read_camera_path(tmp_path / "path.json")


def test_lines_of_points_are_read_past(tmp_path):
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 64 48 50 50 32 24\n")
    with (tmp_path / "images.txt").open("w") as file:
        for frame in range(4):
            file.write(f"{frame} 1 0 0 0 {frame} 0 0 1 {frame}.png\n" + "1.0 2.0 -1 " * 200_000 + "\n")
    assert read_camera_path(tmp_path).world_to_camera[:, 0, 3].tolist() == [0, 1, 2, 3]


def test_a_binary_model_that_ends_early_is_named(tmp_path):
    for name in ("cameras.bin", "images.bin"):
        (tmp_path / name).write_bytes(b"\0")
    with pytest.raises(InvalidInput, match=r"cameras\.bin is damaged: it ends too early"):
        read_camera_path(tmp_path)


@pytest.mark.parametrize("name", ["a", "pose", "."])
def test_a_folder_with_the_name_of_a_word_is_named(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / name / "cameras.txt").write_text("1 PINHOLE 64 48 50 50 32 24\n")
    (tmp_path / name / "images.txt").write_text("1 1 0 0 0 1e10 0 0 1 a.png\n\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=rf"^{name}: pose 0 is not a rotation and translation: its translation is"):
        read_camera_path(type(tmp_path)(name))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (",".join(["1"] * 15), "row 1 has no entry in column m33"),
        ("m00,fx\n1,2", "it has no column m01"),
        (
            ",".join([*(f"m{r}{c}" for r in range(4) for c in range(4)), "fx"]) + "\n" + ",".join(["1"] * 17),
            "it has a column fx but no column fy",
        ),
    ],
)
def test_a_table_says_what_it_lacks(text, says, tmp_path):
    (tmp_path / "path.csv").write_text(f"# w2c-opencv\n{text}\n")
    with pytest.raises(InvalidInput, match=rf"path\.csv: {says}"):
        read_camera_path(tmp_path / "path.csv")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({(0, 0): float("nan")}, "its axes are not orthonormal"),
        ({(3, 0): 1.0}, "its last row is not 0 0 0 1"),
        ({(3, 3): float("inf")}, "its last row is not 0 0 0 1"),
        ({(0, 3): float("inf")}, "its translation is not within 1e\\+09"),
        ({(0, 3): float("nan")}, "its translation is not within 1e\\+09"),
        ({(0, 0): -1.0}, "it is a reflection"),
    ],
)
def test_a_path_has_poses_only(change, says):
    poses = torch.eye(4).repeat(3, 1, 1)
    for place, value in change.items():
        poses[(1, *place)] = value
    with pytest.raises(InvalidInput, match=f"has a pose that is not a rotation and translation: {says}"):
        CameraPath(world_to_camera=poses, intrinsics=LENS)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), "x", None, [25]])
def test_a_rate_is_a_number_of_frames_per_second(fps):
    with pytest.raises(InvalidInput, match="fps must be a number of frames per second"):
        Video(frames=torch.zeros(1, 2, 2, 3, dtype=torch.uint8), fps=fps)
