"""Clips, images and depth files of any content: a value, or one sentence that names the file."""

import io
import json
import os
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ex4d_core.builtin.depth_formats import open_depth
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.video_io import probe_video, read_video
from ex4d_core.video_io.images import read_image
from ex4d_core.video_io.limits import MOST_PIXELS

few = settings(
    derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refused(read, path):
    """Run a reader on a file; whatever it refuses it names."""
    sentence = ""
    try:
        read(path)
    except (InvalidInput, InputNotFound) as error:
        sentence = str(error)
    assert not sentence or (path.name in sentence and len(sentence) < 1000)


def everything(path):
    frames = open_depth(path)
    return frames.count, [maps.shape for maps in frames.read(range(frames.count))]


def npz(**arrays):
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def png(width, height):
    """The start of a PNG that announces a size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + head, b"IDAT" + zlib.compress(b"")]
    sums = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(sums)


@st.composite
def mutated(draw, data: bytes):
    """Return bytes with some cut off, changed or put in."""
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.binary(max_size=40)) + data[at + draw(st.integers(0, 60)) :]


DEPTH = np.linspace(1, 2, 2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
_, EXR = cv2.imencode(".png", (DEPTH[0] * 1000).astype(np.uint16))


@few
@given(mutated(npz(depth=DEPTH, K=np.eye(3) * 100, valid=np.ones(DEPTH.shape, bool))))
def test_any_archive_of_depth_is_read_or_named(tmp_path, data):
    (tmp_path / "d.npz").write_bytes(data)
    refused(everything, tmp_path / "d.npz")


@few
@given(
    mutated(npz(depth=DEPTH)[: len(DEPTH.tobytes()) + 200]),
    st.sampled_from(["d.npy", "d.png", "d.exr", "d.tiff", "d.mkv"]),
)
def test_any_bytes_are_no_depth_or_named(tmp_path, data, name):
    (tmp_path / name).write_bytes(data)
    refused(everything, tmp_path / name)


@few
@given(mutated(EXR.tobytes()))
def test_any_image_is_read_or_named(tmp_path, data):
    (tmp_path / "i.png").write_bytes(data)
    refused(read_image, tmp_path / "i.png")


@few
@given(
    st.dictionaries(
        st.sampled_from(["kind", "scale", "intrinsics", "K", "world_to_camera", "valid"]),
        st.recursive(st.none() | st.floats() | st.text(max_size=5) | st.integers(), lambda x: st.lists(x, max_size=4)),
    )
)
def test_any_description_of_depth_maps_is_read_or_named(tmp_path, facts):
    folder = tmp_path / "maps"
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "0.png"), (DEPTH[0] * 1000).astype(np.uint16))
    (folder / "depth.json").write_text(json.dumps(facts))
    refused(everything, folder)


@few
@given(st.data())
def test_any_video_is_read_or_named(tmp_path, small_clip, data):
    (tmp_path / "v.mp4").write_bytes(data.draw(mutated(small_clip.video.read_bytes())))
    refused(probe_video, tmp_path / "v.mp4")
    refused(read_video, tmp_path / "v.mp4")


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (MOST_PIXELS + 1, 1)])
def test_the_size_of_an_image_is_compared_before_it_is_decoded(tmp_path, size):
    (tmp_path / "i.png").write_bytes(png(*size))
    with pytest.raises(InvalidInput, match=r"i\.png .*at most"):
        read_image(tmp_path / "i.png")


def test_an_animated_image_is_said_to_be_one(tmp_path):
    from PIL import Image

    first, *rest = [Image.new("RGB", (8, 8), (20 * i, 0, 0)) for i in range(3)]
    first.save(tmp_path / "a.webp", save_all=True, append_images=rest)
    with pytest.raises(InvalidInput, match=r"a\.webp is an animated image"):
        read_image(tmp_path / "a.webp")


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile clip.mp4\n", "#EXTM3U\n#EXTINF:1,\nclip.mp4\n", "\ufeff#EXTM3U\n"]
)
@pytest.mark.parametrize("name", ["list.ffconcat", "list.m3u8", "list.mp4"])
def test_a_list_of_other_files_is_not_followed(tmp_path, small_clip, text, name):
    (tmp_path / "clip.mp4").write_bytes(small_clip.video.read_bytes())
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput, match="a list of other files"):
        read_video(tmp_path / name)


@pytest.mark.parametrize("read", [read_video, probe_video, open_depth, read_image])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "p.png")
    with pytest.raises(InvalidInput, match="named pipe"):
        read(tmp_path / "p.png")


@pytest.mark.parametrize(
    "arrays",
    [
        {"K": np.array([["a"] * 3] * 3)},
        {"K": np.full((3, 3), np.inf)},
        {"K": np.eye(3) * 1e30},
        {"K": np.eye(3) * (100 + 1j)},
        {"world_to_camera": np.full((2, 4, 4), 1e300)},
        {"world_to_camera": np.zeros((2, 4, 4))},
        {"valid": np.full(DEPTH.shape, "yes")},
    ],
)
def test_numbers_beside_depth_are_finite_and_in_range(tmp_path, arrays):
    np.savez(tmp_path / "d.npz", depth=DEPTH, **arrays)
    with pytest.raises(InvalidInput, match=r"d\.npz"):
        open_depth(tmp_path / "d.npz")


@pytest.mark.parametrize("values", [DEPTH + 1j, np.full(DEPTH.shape, "far")])
def test_depth_is_numbers(tmp_path, values):
    np.save(tmp_path / "d.npy", values)
    with pytest.raises(InvalidInput, match=r"d\.npy holds .* values"):
        open_depth(tmp_path / "d.npy")


def test_an_archive_that_is_encrypted_or_of_another_method_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("depth.npy", npz(depth=DEPTH))
    data = bytearray((tmp_path / "d.npz").read_bytes())
    for flag, method in ((1, 0), (0, 99)):
        changed = bytearray(data)
        for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = changed.find(signature) + offset
            changed[at : at + 4] = struct.pack("<HH", flag, method)
        (tmp_path / "d.npz").write_bytes(changed)
        with pytest.raises(InvalidInput, match=r"d\.npz is not a readable depth file"):
            open_depth(tmp_path / "d.npz")


def test_a_stride_that_leaves_no_rate_is_said_before_the_work(small_clip, monkeypatch):
    monkeypatch.setattr("ex4d_core.video_io.read.LOWEST_RATE", 10)  # the clip has 12 frames a second
    assert read_video(small_clip.video, stride=99).fps == 12
    with pytest.raises(InvalidInput, match="smaller stride, 1 at most"):
        read_video(small_clip.video, stride=2)
