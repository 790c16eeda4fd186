"""Videos in: what is shown is what is read, and what cannot be read is said."""

import struct
import subprocess
import sys
import wave
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image, ImageOps

from ex4d_core import video_io
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.types import Video
from ex4d_core.video_io.timing import constant_timing
from tests.helpers.pictures import picture

ONE = 1 << 16
FLAT = (200, 40, 90)


def encode(path, images, codec="libx264", pix_fmt="yuv420p", pts=None, tags=None, space=Colorspace.ITU709, **options):
    """Write images [H, W, 3] with any codec, at times `pts` in milliseconds (40 ms apart unless given)."""
    range_ = ColorRange.JPEG if tags == "full" else ColorRange.MPEG
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"crf": "1"} | options if "264" in codec else options)
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        if tags:
            stream.codec_context.color_range = range_
            stream.codec_context.colorspace = {Colorspace.ITU709: 1, Colorspace.ITU601: 6}[space]
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_colorspace=space, dst_color_range=range_)
            frame.pts, frame.time_base = pts[index] if pts else index * 40, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shades(count, height=32, width=48):
    """Frames that say their own number: 4 * index."""
    return [np.full((height, width, 3), 4 * index, np.uint8) for index in range(count)]


def numbers(video):
    return [round(float(frame.float().mean()) / 4) for frame in video.frames]


# Codecs, colors, orientation


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.mov", "prores_ks", "yuv422p10le"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.gif", "gif", "rgb8"),
    ],
)
def test_any_codec_gives_its_frames_in_order(tmp_path, name, codec, pix_fmt):
    video = video_io.read_video(encode(tmp_path / name, shades(12), codec, pix_fmt))
    assert (video.num_frames, video.width, video.height) == (12, 48, 32)
    assert video.fps == 25
    assert numbers(video) == pytest.approx(range(12), abs=8 if codec == "gif" else 1)
    assert video.origin.frame_indices == tuple(range(12))
    assert video.origin.source_frames == 12


@pytest.mark.parametrize("space", [Colorspace.ITU709, Colorspace.ITU601])
@pytest.mark.parametrize("tags", ["limited", "full"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_colors_follow_the_tags(tmp_path, space, tags, pix_fmt):
    flat = np.full((32, 32, 3), FLAT, np.uint8)
    video = video_io.read_video(encode(tmp_path / "a.mp4", [flat] * 2, pix_fmt=pix_fmt, tags=tags, space=space))
    assert video.frames[0, 16, 16].tolist() == pytest.approx(list(FLAT), abs=2)


@pytest.mark.parametrize(("height", "space"), [(48, Colorspace.ITU601), (720, Colorspace.ITU709)])
def test_untagged_colors_are_bt601_when_small_and_bt709_when_large(tmp_path, height, space):
    flat = np.full((height, 64, 3), FLAT, np.uint8)
    video = video_io.read_video(encode(tmp_path / "a.mp4", [flat], space=space))
    assert video.frames[0, 16, 16].tolist() == pytest.approx(list(FLAT), abs=2)


def test_alpha_is_dropped(tmp_path):
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgba"
        image = np.full((32, 32, 4), (*FLAT, 7), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgba")))
        container.mux(stream.encode(None))
    video = video_io.read_video(tmp_path / "a.mov")
    assert (video.frames == torch.tensor(FLAT, dtype=torch.uint8)).all()


def test_gray_has_its_full_range(tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (32, 1))
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 32, "gray"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(ramp, format="gray")))
        container.mux(stream.encode(None))
    video = video_io.read_video(tmp_path / "a.mkv")
    assert np.array_equal(video.frames[0].numpy(), ramp[..., None].repeat(3, 2))


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((0, ONE, -ONE, 0), lambda image: np.rot90(image, -1)),
        ((-ONE, 0, 0, -ONE), lambda image: np.rot90(image, 2)),
        ((0, -ONE, ONE, 0), lambda image: np.rot90(image, 1)),
        ((-ONE, 0, 0, ONE), lambda image: image[:, ::-1]),
        ((0, ONE, ONE, 0), lambda image: image.swapaxes(0, 1)),
    ],
    ids=["90 clockwise", "180", "270 clockwise", "mirrored", "transposed"],
)
def test_frames_are_turned_as_a_player_shows_them(tmp_path, matrix, shown):
    path = encode(tmp_path / "a.mp4", [picture()] * 2)
    stored = video_io.read_video(path).frames[0].numpy()
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = matrix
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    video, wanted = video_io.read_video(path), shown(stored)
    assert np.array_equal(video.frames[0].numpy(), wanted)
    info = video_io.probe_video(path)
    assert (info.height, info.width) == wanted.shape[:2]
    assert (video.origin.source_height, video.origin.source_width) == wanted.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_photos_are_turned_and_mirrored_by_exif(tmp_path, suffix, orientation):
    image = Image.fromarray(picture(24, 40))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"a.{suffix}", exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))
    shown = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"a.{suffix}")), np.float32)
    for path in (tmp_path / f"a.{suffix}", tmp_path):
        (frame,) = video_io.read_video(path).frames.numpy()
        assert frame.shape == shown.shape
        assert np.abs(frame - shown).mean() < 3


def test_pixels_that_are_not_square_are_shown_square(tmp_path):
    path = encode(tmp_path / "a.mp4", shades(2, 48, 48), **{"x264-params": "sar=4/3"})
    info, video = video_io.probe_video(path), video_io.read_video(path)
    assert (info.width, info.height) == (video.width, video.height) == (64, 48)


# Reading: time and selection


def test_frames_are_selected_and_the_rate_follows_the_stride(tmp_path):
    path = encode(tmp_path / "a.mp4", shades(30))
    told = []
    video = video_io.read_video(path, num_frames=4, start=5, stride=3, progress=lambda *x: told.append(x))
    assert numbers(video) == [5, 8, 11, 14]
    assert video.fps == Fraction(25, 3)
    assert video.origin.frame_indices == (5, 8, 11, 14)
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_short_clip_gives_what_it_has(tmp_path):
    assert video_io.read_video(encode(tmp_path / "a.mp4", shades(3)), num_frames=49).num_frames == 3


def test_dropped_frames_are_held_so_that_durations_are_kept(tmp_path):
    kept = [index for index in range(40) if index not in (5, 6, 7, 20)]
    path = encode(tmp_path / "a.mkv", shades(36), "ffv1", "bgr0", pts=[40 * index for index in kept])
    video = video_io.read_video(path)
    assert (video.fps, video.num_frames) == (25, 40)
    assert video.origin.source_frames == 36
    times = [kept[index] for index in numbers(video)]
    assert max(abs(shown - tick) for tick, shown in enumerate(times)) <= 2
    assert numbers(video) == list(video.origin.frame_indices)


@pytest.mark.parametrize(
    ("times", "fps"),
    [
        ([round(i * 1001 / 30) for i in range(50)], Fraction(30000, 1001)),
        ([round(i * 1000 / 24) for i in range(50)], Fraction(24)),
        ([i * 40 + (i * 7) % 11 - 5 for i in range(50)], Fraction(25)),
    ],
    ids=["29.97 rounded to ms", "24 rounded to ms", "25 with jitter"],
)
def test_a_constant_rate_is_passed_through_one_to_one(times, fps):
    timing = constant_timing(times, count=50, time_base=Fraction(1, 1000), nominal=[Fraction(1000)])
    assert list(timing.source_index) == list(range(50))
    assert float(timing.fps) == pytest.approx(float(fps), rel=2e-3)


def test_a_rate_that_changes_keeps_the_time_of_each_frame():
    times = [*range(0, 1000, 100), *range(1000, 2000, 50)]
    timing = constant_timing(times, count=30, time_base=Fraction(1, 1000), last_duration=50)
    assert timing.num_frames / timing.fps == pytest.approx(2.0, abs=0.05)
    ticks = [index / timing.fps * 1000 for index in range(timing.num_frames)]
    assert all(abs(times[shown] - tick) <= 50 for shown, tick in zip(timing.source_index, ticks, strict=True))


def test_probe_says_what_read_gives(tmp_path):
    path = encode(tmp_path / "a.mp4", shades(7))
    info = video_io.probe_video(path)
    assert (info.width, info.height, info.fps, info.num_frames) == (48, 32, 25, 7)


# Reading: folders and size


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_folder_is_read_in_the_order_people_count(tmp_path, suffix):
    for index, image in enumerate(shades(12)):
        cv2.imwrite(str(tmp_path / f"frame{index}.{suffix}"), image)
    (tmp_path / "notes.txt").write_text("no image")
    video = video_io.read_video(tmp_path, num_frames=11)
    assert numbers(video) == list(range(11))
    assert video.fps == 30
    assert video.origin.source_frames == 12
    assert video_io.read_video(tmp_path, fps=12).fps == 12
    assert video_io.probe_video(tmp_path).num_frames == 12


def test_images_are_rgb_in_eight_bits(tmp_path):
    bgra = np.full((32, 32, 4), (FLAT[2] * 257, FLAT[1] * 257, FLAT[0] * 257, 65535), np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), bgra)
    video = video_io.read_video(tmp_path)
    assert (video.frames == torch.tensor(FLAT, dtype=torch.uint8)).all()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_any_odd_size_comes_out_as_asked(tmp_path, fit):
    cv2.imwrite(str(tmp_path / "a.png"), picture(33, 71))
    video = video_io.read_video(tmp_path, size=(40, 24), fit=fit)
    assert (video.width, video.height) == (40, 24)
    assert (video.origin.source_width, video.origin.source_height) == (71, 33)


# Reading: errors


def refused(path, message, error=InvalidInput, **options):
    with pytest.raises(error, match=message):
        video_io.read_video(path, **options)


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "gone.mp4", "gone.mp4 does not exist", InputNotFound)


@pytest.mark.parametrize(("name", "data"), [("a.txt", b"words\n" * 99), ("a.mp4", b"words\n" * 99), ("b.mp4", b"")])
def test_what_is_not_a_video_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    refused(tmp_path / name, f"{name} is not a video that can be read")


def test_sound_alone_is_refused(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    refused(tmp_path / "a.wav", "a.wav has audio but no video")


def test_a_video_without_frames_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    refused(tmp_path / "a.avi", r"a.avi (has no frames|is not a video|holds no video)")


@pytest.mark.parametrize(("name", "codec", "pix"), [("a.mp4", "libx264", "yuv420p"), ("a.mkv", "ffv1", "bgr0")])
def test_a_file_that_was_cut_off_is_refused_unless_the_part_suffices(tmp_path, name, codec, pix):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(30)]
    path = tmp_path / name
    if name.endswith("mp4"):
        video_io.write_video(Video(frames=torch.from_numpy(np.stack(images)), fps=25), path)
    else:
        encode(path, images, codec, pix)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    refused(path, r"is cut off after \d+ frames; copy it again, or read the \d+ existing ones with num_frames=\d+")
    assert video_io.read_video(path, num_frames=5).num_frames == 5


def test_frames_that_are_too_small_are_refused(tmp_path):
    refused(
        encode(tmp_path / "a.mkv", shades(2, 4, 4), "ffv1", "bgr0"), "a.mkv: 4x4 is too small; the minimum is 16x16"
    )


def test_numbers_without_meaning_are_refused(tmp_path):
    path = encode(tmp_path / "a.mkv", shades(5), "ffv1", "bgr0")
    refused(path, "a.mkv: start=5 is beyond the end: there are 5 frames", start=5)
    refused(path, "stride must be", stride=0)
    refused(path, "num_frames must be", num_frames=0)
    refused(path, "4x4 is too small", size=(4, 4))
    refused(path, "fit must be one of", fit="squash", size=(32, 32))
    refused(path, "a.mkv has a frame rate; fps is for folders of images", fps=30)


def test_a_folder_that_is_no_clip_is_refused(tmp_path):
    refused(tmp_path, "has no images")
    cv2.imwrite(str(tmp_path / "1.png"), picture(32, 32))
    refused(tmp_path, "fps must be above 0", fps=0)
    cv2.imwrite(str(tmp_path / "2.png"), picture(32, 40))
    refused(tmp_path, "frame 1 is 40x32 but the first is 32x32")
    (tmp_path / "2.png").write_bytes(b"no image")
    refused(tmp_path, "2.png is not an image that can be read")


# Memory


@pytest.mark.slow
def test_only_the_frames_asked_for_are_held(tmp_path):
    path = encode(tmp_path / "a.mp4", [np.zeros((480, 640, 3), np.uint8)] * 250, preset="ultrafast")
    code = (
        "import resource, sys; from ex4d_core import video_io;"
        "video_io.read_video(sys.argv[1], num_frames=1);"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "video_io.read_video(sys.argv[1], num_frames=3, start=200);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    out = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    unit = 1024 if sys.platform == "linux" else 1
    assert int(out.stdout) * unit < 60 * 640 * 480 * 3
