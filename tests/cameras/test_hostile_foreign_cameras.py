"""Files of other tools with damaged parts: a path, or one sentence that names the file."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ex4d_core.cameras.files import ReadOptions, read_camera_path
from ex4d_core.errors import InputNotFound, InvalidInput
from tests.helpers import foreign_archives

SAMPLES = foreign_archives.SAMPLES

few = settings(
    derandomize=True, deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ODD = [None, True, -1, 0, 2**70, 1e300, 0.5, "", "x" * 5000, "nan", [], {}, [[1], [1, 2]], {"x": 1}]
ARRAYS = [
    np.zeros(0),
    np.zeros((6, 4, 4)),
    np.full((6, 3, 4), np.nan),
    np.full((6, 4), 1e300),
    np.zeros((0, 4, 4)),
    np.zeros((6, 7)),
    np.array("text"),
    np.zeros((2, 3, 3), complex),
    np.arange(6)[::-1],
]


def damaged(path, draw):
    """Damage one file: replace an array, a part of the JSON, or bytes; return whether the archive may be damaged."""
    data = path.read_bytes()
    if path.suffix == ".npz" and draw(st.booleans()):
        with np.load(io.BytesIO(data)) as arrays:
            arrays = dict(arrays)
        arrays[draw(st.sampled_from(sorted(arrays)))] = draw(st.sampled_from(ARRAYS))
        np.savez(path, **arrays)
    elif path.suffix in (".json", "") and draw(st.booleans()):
        path.write_text(json.dumps(altered(json.loads(data), draw)))
    else:
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 60)))
        new = draw(st.sampled_from([b"", b"\0", b"nan", b"1e999", b"9" * 5000, b"\n\n", b" 1 ", b"\xff\xfe"]))
        path.write_bytes(data[:start] + new + data[stop:])
        return path.suffix in (".npz", ".npy")
    return False


def altered(tree, draw):
    """Return a JSON value with one part replaced or removed."""
    if isinstance(tree, dict) and tree:
        key = draw(st.sampled_from(sorted(tree)))
        if draw(st.booleans()):
            return {**tree, key: altered(tree[key], draw)}
        return {name: value for name, value in tree.items() if name != key}
    if isinstance(tree, list) and tree and draw(st.booleans()):
        at = draw(st.integers(0, len(tree) - 1))
        return [*tree[:at], altered(tree[at], draw), *tree[at + 1 :]]
    return draw(st.sampled_from(ODD))


@pytest.mark.parametrize("name", SAMPLES)
@given(data=st.data())
@few
def test_a_damaged_file_is_read_or_named(name, data, tmp_path_factory):
    sample, folder = SAMPLES[name], tmp_path_factory.mktemp("damaged")
    path = folder / sample.write(folder)
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    is_bytes = damaged(data.draw(st.sampled_from(files)), data.draw)
    given_options = dict(sample.options)
    chosen = sample.format if data.draw(st.booleans()) else given_options.get("format")
    given_options.pop("format", None)
    sentence = ""
    try:
        file = read_camera_path(path, ReadOptions(**given_options), format=chosen)
    except (InvalidInput, InputNotFound) as error:
        sentence = str(error)
    if sentence:
        assert str(path) in sentence or str(folder) in sentence
        assert len(sentence) < 1500
        assert is_bytes or not re.search("[a-z]Error", sentence), "no reader leaves it to the net of all readers"
    else:
        assert np.isfinite(file.world_to_camera).all()


@pytest.mark.parametrize("head", [b"", b"\0" * 7, b"\xff" * 8, b"\x01" + b"\0" * 7 + b"\x01"])
@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "rigs.bin"])
def test_a_binary_model_with_any_head_is_named(head, name, tmp_path):
    path = tmp_path / SAMPLES["colmap_stereo"].write(tmp_path)
    (path / name).write_bytes(head)
    with pytest.raises(InvalidInput, match=r"is damaged|the maximum is|has no images|which is not in cameras"):
        read_camera_path(path, ReadOptions(camera="left"))


def test_a_capture_without_metadata_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.r3d", "w") as archive:
        archive.writestr("rgbd/0.jpg", b"")
    with pytest.raises(InvalidInput, match=r"a\.r3d has no file metadata"):
        read_camera_path(tmp_path / "a.r3d")
    folder = tmp_path / "b"
    folder.mkdir()
    metadata = folder / SAMPLES["record3d"].write(folder)
    with zipfile.ZipFile(tmp_path / "a.r3d", "w") as archive:
        archive.write(metadata, "metadata")
    assert read_camera_path(tmp_path / "a.r3d").format == "record3d"
