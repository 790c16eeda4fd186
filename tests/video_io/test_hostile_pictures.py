"""Clips and images of any content: a value, or one sentence that names the file, and never more memory than stated."""

import io
import os
import struct
import zlib
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.types import Video
from ex4d_core.video_io import probe_video, read_mask, read_video, write_video
from ex4d_core.video_io.framing import MOST_PIXELS
from ex4d_core.video_io.images import read_image
from ex4d_core.video_io.limits import check_image_header
from ex4d_core.video_io.timing import constant_timing
from tests.helpers.hostile_bytes import mutated, refused
from tests.helpers.pictures import picture

few = settings(
    derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def encoded(suffix, image=None, **options):
    """An image of 48x32 in a file format."""
    data = io.BytesIO()
    Image.fromarray(picture(32, 48) if image is None else image).save(data, suffix, **options)
    return data.getvalue()


def png(width, height):
    """The start of a PNG that announces a size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + head, b"IDAT" + zlib.compress(b""), b"IEND"]
    sums = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(sums)


def animated(suffix):
    frames = [Image.fromarray(np.full((32, 48, 3), 60 * index, np.uint8)) for index in range(3)]
    data = io.BytesIO()
    frames[0].save(data, suffix, save_all=True, append_images=frames[1:], duration=100)
    return data.getvalue()


FORMATS = {
    "png": encoded("PNG"),
    "jpeg": encoded("JPEG", progressive=True),
    "jpeg with exif": encoded("JPEG", exif=bytes(6) + b"\xff\xc0" * 500),
    "lossy webp": encoded("WEBP"),
    "lossless webp": encoded("WEBP", lossless=True),
    "extended webp": encoded("WEBP", lossless=True, exif=b"Exif\0\0" + bytes(20)),
    "bmp": encoded("BMP"),
    "tiff": encoded("TIFF"),
    "large tiff": encoded("TIFF", big_tiff=True),
    "tiff of floats": cv2.imencode(".tiff", picture(32, 48).astype(np.float32))[1].tobytes(),
    "gif": encoded("GIF"),
}


# Images


@few
@given(st.data())
def test_any_image_is_read_or_named(tmp_path, data):
    whole = FORMATS[data.draw(st.sampled_from(sorted(FORMATS)))]
    (tmp_path / "i.png").write_bytes(data.draw(mutated(whole)))
    refused(read_image, tmp_path / "i.png")


@pytest.mark.parametrize("name", FORMATS)
def test_the_size_in_the_header_is_that_of_the_image(tmp_path, monkeypatch, name):
    (tmp_path / "i.png").write_bytes(FORMATS[name])
    monkeypatch.setattr("ex4d_core.video_io.limits.MOST_PIXELS", 48 * 32)
    flags = cv2.IMREAD_UNCHANGED if name == "tiff of floats" else None
    assert read_image(tmp_path / "i.png", flags).shape == (32, 48, 3)
    monkeypatch.setattr("ex4d_core.video_io.limits.MOST_PIXELS", 48 * 32 - 1)
    with pytest.raises(InvalidInput, match=r"i\.png has 48x32 pixels; at most 1,535 are supported"):
        read_image(tmp_path / "i.png")


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (MOST_PIXELS + 1, 1)])
@pytest.mark.parametrize("read", [read_image, read_video])
def test_the_size_of_an_image_is_compared_before_it_is_decoded(tmp_path, size, read):
    (tmp_path / "i.png").write_bytes(png(*size))
    with pytest.raises(InvalidInput, match=r"i\.png has \d+x\d+ pixels; at most 134,217,728"):
        read(tmp_path / "i.png")


def test_a_chunk_that_announces_gigabytes_is_not_allocated(tmp_path):
    data = png(32, 32)
    at = data.index(b"IDAT") - 4
    (tmp_path / "i.png").write_bytes(data[:at] + struct.pack(">I", 2**31 - 1) + data[at + 4 :])
    with pytest.raises(InvalidInput, match=r"i\.png is not an image that can be read: it is cut off"):
        read_image(tmp_path / "i.png")


@pytest.mark.parametrize("name", ["png", "jpeg", "bmp", "lossy webp", "tiff"])
def test_a_header_that_ends_early_is_said_to_be_damaged(name):
    with pytest.raises(InvalidInput, match="its header is damaged"):
        check_image_header(FORMATS[name][:20], "i.png")
    check_image_header(FORMATS[name][:20], "i.png", is_whole=False)


def with_text():
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * 2**21, zip=True)
    return encoded("PNG", pnginfo=info)


@pytest.mark.parametrize(
    "data",
    [animated("PNG"), animated("WEBP"), animated("MPO"), with_text(), encoded("PPM"), encoded("JPEG2000")],
    ids=["animated PNG", "animated WebP", "two pictures of a camera", "a long text", "PPM", "JPEG 2000"],
)
def test_odd_images_are_read_as_before(tmp_path, data):
    (tmp_path / "i.png").write_bytes(data)
    assert read_image(tmp_path / "i.png").shape == (32, 48, 3)


# Clips


@few
@given(st.data())
def test_any_video_is_read_or_named(tmp_path, small_clip, data):
    (tmp_path / "v.mp4").write_bytes(data.draw(mutated(small_clip.video.read_bytes())))
    refused(probe_video, tmp_path / "v.mp4")
    refused(read_video, tmp_path / "v.mp4")


@few
@given(st.data())
def test_any_lossless_mask_is_read_or_named(tmp_path, tiny_mkv, data):
    (tmp_path / "v.mkv").write_bytes(data.draw(mutated(tiny_mkv)))
    refused(read_mask, tmp_path / "v.mkv")


@pytest.fixture(scope="module")
def tiny_mkv(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "v.mkv"
    write_video(Video(frames=torch.from_numpy(np.stack([picture(32, 48)] * 3)), fps=Fraction(12)), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile clip.mp4\n", "#EXTM3U\n#EXTINF:1,\nclip.mp4\n", "\ufeff#EXTM3U\n"]
)
@pytest.mark.parametrize("name", ["list.ffconcat", "list.m3u8", "list.mp4"])
def test_a_list_of_other_files_is_not_followed(tmp_path, small_clip, text, name):
    (tmp_path / "clip.mp4").write_bytes(small_clip.video.read_bytes())
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput, match="a list of other files"):
        read_video(tmp_path / name)


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile clip.mp4\n", "#EXTM3U\n#EXTINF:1,\nclip.mp4\n"])
@pytest.mark.parametrize("suffix", ["ffconcat", "m3u8"])
def test_ffmpeg_itself_is_kept_from_lists(tmp_path, small_clip, monkeypatch, text, suffix):
    monkeypatch.setattr("ex4d_core.video_io.source._LIST_STARTS", ())
    (tmp_path / "clip.mp4").write_bytes(small_clip.video.read_bytes())
    (tmp_path / f"list.{suffix}").write_text(text)
    with pytest.raises(InvalidInput, match="is not a video that can be read"):
        read_video(tmp_path / f"list.{suffix}")


def test_a_name_with_a_pattern_is_one_image(tmp_path):
    for name, shade in {"a%d.png": 50, "a1.png": 100, "a2.png": 150}.items():
        cv2.imwrite(str(tmp_path / name), np.full((32, 32, 3), shade, np.uint8))
    video = read_video(tmp_path / "a%d.png")
    assert (video.frames == 50).all()
    assert video.num_frames == 1


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_one_image_is_a_clip_of_one_frame(tmp_path, suffix):
    Image.fromarray(picture(32, 48)).save(tmp_path / f"i.{suffix}")
    video = read_video(tmp_path / f"i.{suffix}")
    assert video.frames.shape == (1, 32, 48, 3)


def test_a_frame_with_data_that_pyav_does_not_know_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    Image.fromarray(picture(32, 48)).save(tmp_path / "i.png", exif=exif)
    assert np.array_equal(read_video(tmp_path / "i.png").frames[0], np.rot90(picture(32, 48), -1))


@pytest.mark.parametrize("read", [read_video, probe_video, read_image, read_mask])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "p.png")
    with pytest.raises(InvalidInput, match=r"p\.png is a named pipe, not a regular file"):
        read(tmp_path / "p.png")


@pytest.mark.parametrize("read", [read_video, probe_video])
@pytest.mark.parametrize(("name", "message"), [("loop", "symbolic links"), ("a\0b", "not a valid path")])
def test_a_path_that_leads_nowhere_is_named(tmp_path, read, name, message):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InvalidInput, match=message):
        read(tmp_path / name)


def test_a_name_that_is_not_utf8_is_read(tmp_path, small_clip):
    path = os.fsencode(tmp_path) + b"/\xff.mp4"
    with open(path, "wb") as file:
        file.write(small_clip.video.read_bytes())
    assert read_video(os.fsdecode(path)).num_frames == 6


def test_a_file_that_goes_away_meanwhile_is_named(tmp_path):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture(32, 32))
    with pytest.raises(InputNotFound, match=r"2\.png does not exist"):
        read_video(tmp_path, progress=lambda *_: (tmp_path / "2.png").unlink(missing_ok=True))


def test_a_bug_of_whoever_shows_progress_is_not_said_to_be_the_files(small_clip):
    def fails(done, total):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_video(small_clip.video, progress=fails)


def test_frames_that_do_not_fit_into_memory_are_refused_first(small_clip, monkeypatch):
    monkeypatch.setattr("ex4d_core.video_io.read.available_memory", lambda: 6 * 64 * 48 * 3)
    assert read_video(small_clip.video).num_frames == 6
    with pytest.raises(InvalidInput, match=r"clip\.mp4: 6 frames of 128x96 pixels do not .*; select at most 1 of"):
        read_video(small_clip.video, size=(128, 96))
    monkeypatch.setattr("ex4d_core.video_io.read.available_memory", lambda: 6 * 64 * 48)
    with pytest.raises(InvalidInput, match=r"clip\.mp4: 6 frames of 64x48 pixels do not fit into memory"):
        read_mask(small_clip.video)


def test_a_mask_has_one_size(tmp_path):
    shades = [np.full((side, side, 3), 255, np.uint8) for side in (32, 48)]
    (tmp_path / "m.mjpeg").write_bytes(b"".join(encoded("JPEG", shade) for shade in shades))
    with pytest.raises(InvalidInput, match=r"m\.mjpeg has frames of several sizes"):
        read_mask(tmp_path / "m.mjpeg")


def test_three_frames_of_uneven_times_have_a_rate():
    timing = constant_timing([0, 1, 100], count=3, time_base=Fraction(1, 100))
    assert timing.fps > 0
    assert list(timing.source_index) == sorted(timing.source_index)


def test_a_stride_that_leaves_no_rate_is_said_before_the_work(small_clip, monkeypatch):
    assert read_video(small_clip.video, stride=10**9).fps == 12  # one frame has any rate
    assert read_video(small_clip.video, stride=99).fps == Fraction(12, 99)
    monkeypatch.setattr("ex4d_core.video_io.read.LOWEST_RATE", 10)
    told = []
    with pytest.raises(
        InvalidInput, match=r"clip\.mp4: a stride of 2 leaves 6 frames per second, .* use a stride of at most 1"
    ):
        read_video(small_clip.video, stride=2, progress=lambda *now: told.append(now))
    assert told == []


@pytest.mark.parametrize("stride", [1, 1000, 10**9])
def test_what_is_read_with_any_stride_can_be_written(tmp_path, small_clip, stride):
    write_video(read_video(small_clip.video, stride=stride), tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").stat().st_size > 0
