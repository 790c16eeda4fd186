"""Depth in EXR images: which channel is read, its type, and images that are refused."""

from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from ex4d_core.depth_io.exr import ExrChannel, depth_channel, read_exr, write_exr
from ex4d_core.errors import InvalidInput

DEPTH = np.linspace(0.5, 9, 24, dtype=np.float32).reshape(4, 6)
OTHER = np.full((4, 6), 7, np.float32)


def header():
    """Return a new header: the library adds to it."""
    return {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}


@pytest.fixture
def write(tmp_path):
    """Write an image with a part for each keyword; return its path."""

    def write(channels=None, **parts):
        if channels is not None:
            file = OpenEXR.File(header(), channels)
        else:
            file = OpenEXR.File([OpenEXR.Part(header(), channels, name) for name, channels in parts.items()])
        file.write(str(tmp_path / "d.exr"))
        return tmp_path / "d.exr"

    return write


@pytest.mark.parametrize("name", ["Z", "Y", "V", "distance", "ViewLayer.Combined.X"])
def test_the_only_channel_is_depth(write, name):
    assert (read_exr(write({name: DEPTH})) == DEPTH).all()


@pytest.mark.parametrize(
    "name", ["Z", "z", "depth", "zDepth", "depth.Y", "ViewLayer.Depth.V", "View Layer.Depth.Z", "left.depth.z"]
)
def test_the_channel_that_is_named_depth_is_found_among_others(write, name):
    others = {"R": OTHER, "G": OTHER, "B": OTHER, "A": OTHER, "ViewLayer.Normal.X": OTHER, "zebra": OTHER}
    assert (read_exr(write({**others, name: DEPTH})) == DEPTH).all()


def test_the_part_that_is_named_depth_is_found_among_others(write):
    assert (read_exr(write(rgba={"RGBA": np.stack([OTHER] * 4, axis=-1)}, depth={"V": DEPTH})) == DEPTH).all()
    assert (read_exr(write(first={"Z": DEPTH}, second={"Y": OTHER})) == DEPTH).all()


@pytest.mark.parametrize("prefix", ["", "Depth."])
def test_depth_saved_as_gray_color_is_read(write, prefix):
    gray = {f"{prefix}{color}": DEPTH for color in "RGBA"}
    assert (read_exr(write({**gray, **({"Normal.X": OTHER} if prefix else {})})) == DEPTH).all()


def test_half_floats_are_read_as_float32(write):
    depth = read_exr(write({"Z": DEPTH.astype(np.float16)}))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, DEPTH, rtol=1e-3)


def test_whole_numbers_stay_whole(write):
    depth = read_exr(write({"Z": DEPTH.astype(np.uint32)}))
    assert depth.dtype == np.uint32


def test_written_images_are_exact_and_hold_one_channel(tmp_path):
    write_exr(tmp_path / "d.exr", DEPTH)
    assert (read_exr(tmp_path / "d.exr") == DEPTH).all()
    assert list(OpenEXR.File(str(tmp_path / "d.exr"), separate_channels=True).channels()) == ["Y"]


@pytest.mark.parametrize(
    "channels",
    [
        {"X": DEPTH, "Y": OTHER},
        {"left.Z": DEPTH, "right.Z": OTHER},
        {"R": DEPTH, "G": DEPTH, "B": DEPTH, "V": DEPTH},
        {"G": DEPTH, "B": DEPTH},
    ],
)
def test_an_image_without_exactly_one_depth_channel_is_refused(write, channels):
    with pytest.raises(
        InvalidInput, match=r"d\.exr has the channels .*; name exactly one of them Z or depth"
    ) as caught:
        read_exr(write(channels))
    assert all(name in str(caught.value) for name in channels)


def test_a_part_that_is_damaged_is_named_and_nothing_is_printed(write, capsys):
    path = write(first={"Z": DEPTH}, second={"Y": np.random.default_rng(0).random((4, 6), np.float32)})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidInput, match=r"d\.exr is not an EXR image that can be read: it is cut off"):
        read_exr(path)
    assert capsys.readouterr().out == ""


def test_a_channel_that_does_not_have_one_sample_per_pixel_is_refused():
    deep = ExrChannel(part=0, name="Z", key="Z", size=(6, 4), is_image=False)
    with pytest.raises(InvalidInput, match=r"the channel Z is deep or subsampled"):
        depth_channel([deep], Path("d.exr"))


def test_an_image_with_too_many_channels_is_refused(write):
    with pytest.raises(InvalidInput, match="has 1025 channels"):
        read_exr(write({f"c{index}": DEPTH for index in range(1025)}))
