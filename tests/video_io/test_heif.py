"""HEIF photos: tiles are put together, cropped and rotated."""

import contextlib
import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ex4d_core.errors import InvalidInput
from ex4d_core.video_io import probe_video, read_video
from ex4d_core.video_io.heif import read_layout
from tests.helpers.pictures import picture

COLORS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (220, 220, 220)]


def box(kind, *parts):
    data = b"".join(parts)
    return struct.pack(">I", 8 + len(data)) + kind + data


def full(kind, *parts, version=0, flags=0):
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def tile(color):
    """Return an HEVC picture of 64x64 pixels, and its decoder configuration box."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"x265-params": "log-level=none:no-info=1:keyint=1", "crf": "6"}
        stream = container.add_stream("libx265", rate=1, options=options)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        image = np.full((64, 64, 3), color, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    raw = file.getvalue()
    at = raw.index(b"hvcC") - 4
    file.seek(0)
    with av.open(file) as container:
        return bytes(next(container.demux(video=0))), raw[at : at + struct.unpack_from(">I", raw, at)[0]]


@pytest.fixture(scope="module")
def photo():
    """Return a function that makes a photo of 2 x 2 tiles and 120 x 100 pixels."""
    tiles, configurations = zip(*(tile(color) for color in COLORS), strict=True)

    def make(*extra):
        grid = struct.pack(">BBBBHH", 0, 0, 1, 1, 120, 100)
        start = box(b"ftyp", b"heic", bytes(4), b"mif1", b"heic")
        items = [
            full(b"infe", struct.pack(">HH", number, 0), b"grid\0" if number == 5 else b"hvc1\0", version=2)
            for number in range(1, 6)
        ]
        sizes = [full(b"ispe", struct.pack(">II", *size)) for size in ((64, 64), (120, 100))]
        links = b"".join(struct.pack(">HBBB", number, 2, 0x81, 2) for number in range(1, 5))
        links += struct.pack(">HBB", 5, 1 + len(extra), 3) + bytes(range(4, 4 + len(extra)))
        head = [
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", struct.pack(">H", 5)),
            full(b"iinf", struct.pack(">H", 5), *items),
            full(b"iref", box(b"dimg", struct.pack(">HH4H", 5, 4, 1, 2, 3, 4))),
            box(
                b"iprp",
                box(b"ipco", configurations[0], *sizes, *extra),
                full(b"ipma", struct.pack(">I", 5), links),
            ),
            box(b"idat", grid),
        ]

        def meta(at):
            places = b""
            for number, data in enumerate(tiles, start=1):
                places += struct.pack(">HHHHII", number, 0, 0, 1, at, len(data))
                at += len(data)
            places += struct.pack(">HHHHII", 5, 1, 0, 1, 0, len(grid))
            return full(b"meta", *head, full(b"iloc", b"\x44\0", struct.pack(">H", 5), places, version=1))

        return start + meta(len(start) + len(meta(0)) + 8) + box(b"mdat", *tiles)

    return make


def corners(image):
    return [image[at].tolist() for at in ((8, 8), (8, -8), (-8, 8), (-8, -8))]


@pytest.mark.parametrize(
    ("properties", "size", "order"),
    [
        ([], (120, 100), [0, 1, 2, 3]),
        ([box(b"irot", b"\3")], (100, 120), [2, 0, 3, 1]),
        ([box(b"imir", b"\1")], (120, 100), [1, 0, 3, 2]),
        ([box(b"clap", struct.pack(">IIIIiIiI", 40, 1, 100, 1, -40, 1, 0, 1))], (40, 100), [0, 0, 2, 2]),
    ],
    ids=["plain", "rotated", "mirrored", "cropped"],
)
def test_tiles_are_put_together(tmp_path, photo, properties, size, order):
    path = tmp_path / "a.heic"
    path.write_bytes(photo(*properties))
    video, info = read_video(path), probe_video(path)
    assert (video.width, video.height) == (info.width, info.height) == size
    assert info.num_frames == 1
    for found, wanted in zip(corners(video.frames[0].numpy()), order, strict=True):
        assert found == pytest.approx(COLORS[wanted], abs=14)


def test_a_photo_with_a_damaged_tile_is_refused(tmp_path, photo):
    data = photo()
    (tmp_path / "a.heic").write_bytes(data[:-60] + bytes(60))
    with contextlib.suppress(InvalidInput):  # the decoder may conceal it
        read_video(tmp_path / "a.heic")
    (tmp_path / "b.heic").write_bytes(data.replace(b"dimg", b"xxxx"))
    with pytest.raises(InvalidInput, match=r"b\.heic is a HEIF photo whose layout is not supported"):
        read_video(tmp_path / "b.heic")


def test_an_avif_photo_is_read(tmp_path):
    Image.fromarray(picture(32, 48)).save(tmp_path / "a.avif", quality=100)
    frame = read_video(tmp_path / "a.avif").frames[0].float()
    assert np.abs(frame.numpy() - picture(32, 48)).mean() < 6


@settings(derandomize=True, max_examples=300, deadline=None)
@given(at=st.integers(0, 700), noise=st.binary(min_size=1, max_size=6), cut=st.integers(0, 700))
def test_layouts_are_read_or_refused(photo, at, noise, cut):
    data = bytearray(photo())
    data[at : at + len(noise)] = noise
    for variant in (bytes(data), bytes(data[:cut])):
        with contextlib.suppress(InvalidInput):
            assert read_layout(variant, "a.heic").tiles
