"""Clips of cameras and other programs: interlaced, damaged, animated, linear."""

import contextlib
import io
import struct
import sys
from fractions import Fraction

import av
import cv2
import numpy as np
import OpenEXR
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ex4d_core.errors import InvalidInput
from ex4d_core.video_io import probe_video, read_video
from ex4d_core.video_io.animation import read_table
from ex4d_core.video_io.exr import exr_colors
from ex4d_core.video_io.linear import srgb_codes, to_bt709
from ex4d_core.video_io.timing import constant_timing
from tests.video_io.test_read import encode, numbers, refused, shades

AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
"""Chromaticities of ACES 2065-1 (SMPTE ST 2065-1)."""

FEW = settings(
    derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(path, **options):
    """Return the video and its messages."""
    said = []
    return read_video(path, warn=said.append, **options), said


# Interlaced


def interlaced(path, codec="mpeg2video", *, flag=True, whole=False, count=6):
    """Write a square that moves 4 pixels per field, on gray."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"flags": "+ildct+ilme"} if flag else {})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 64, "yuv420p", 8_000_000
        for index in range(count):
            image = np.full((64, 128, 3), 60, np.uint8)
            for field in (0, 1):
                left = 8 + 8 * index + (0 if whole else 4 * field)
                image[16 + field : 48 : 2, left : left + 24] = 200
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def combed(video):
    rows = video.frames.numpy().astype(int)[:, 16:48, :, 0]
    return (np.abs(2 * rows[:, 1:-1] - rows[:, :-2] - rows[:, 2:]) > 120).mean()


def test_interlaced_frames_are_deinterlaced_one_to_one(tmp_path):
    video, said = read(interlaced(tmp_path / "a.mpg"))
    assert video.num_frames == 6
    assert combed(video) < 0.005
    assert said == [f"{tmp_path / 'a.mpg'} is interlaced and was deinterlaced"]
    middles = [int((frame[32, :, 0] > 130).nonzero().float().mean()) for frame in video.frames]
    assert np.diff(middles) == pytest.approx([8] * 5, abs=2)


def test_fields_without_a_flag_are_reported_but_not_changed(tmp_path):
    video, said = read(interlaced(tmp_path / "b.mpg", flag=False, count=12))
    assert combed(video) > 0.01
    assert [message.partition("b.mpg ")[2].partition(",")[0] for message in said] == [
        "looks interlaced but is not flagged as such"
    ]
    assert read(interlaced(tmp_path / "c.mpg", flag=False, whole=True, count=12))[1] == []


def test_whole_frames_that_are_flagged_are_not_changed(tmp_path):
    flagged, plain = (interlaced(tmp_path / f"{flag}.mpg", flag=flag, whole=True) for flag in (True, False))
    difference = read(flagged)[0].frames.float() - read(plain)[0].frames.float()
    assert difference.abs().mean() < 1


def test_a_part_of_an_interlaced_clip_is_the_same_as_in_the_whole(tmp_path):
    path = interlaced(tmp_path / "a.mpg")
    whole, part = read(path)[0], read(path, start=2, num_frames=3)[0]
    assert (whole.frames[2:5] == part.frames).all()


# Damaged


def damaged(path, *, lost, codec="mjpeg", pix_fmt="yuvj420p", count=12, fill=b"\0"):
    """Overwrite the packets of some frames."""
    encode(path, shades(count), codec, pix_fmt)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for index in lost:
        at, size = packets[index]
        at = data.index(bytes(data[at : at + size]), at)
        data[at : at + size] = fill * size
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("lost", "shown"),
    [
        ([4], [0, 1, 2, 3, 3, 5, 6, 7, 8, 9, 10, 11]),
        ([0], [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        ([11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]),
        ([2, 3, 9], [0, 1, 1, 1, 4, 5, 6, 7, 8, 8, 10, 11]),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_a_damaged_packet_costs_its_frame(tmp_path, lost, shown, suffix):
    path = damaged(tmp_path / f"a.{suffix}", lost=lost)
    video, said = read(path)
    assert numbers(video) == pytest.approx(shown, abs=0.5)
    assert video.origin.frame_indices == tuple(range(12))
    (message,) = said
    listed = ", ".join(map(str, lost))
    assert f"is damaged: frame{'s' * (len(lost) > 1)} {listed} could not be decoded" in message
    assert probe_video(path).num_frames == 12


def test_frames_behind_the_damage_can_be_selected(tmp_path):
    path = damaged(tmp_path / "a.mp4", lost=[4])
    video, said = read(path, start=5, num_frames=4)
    assert numbers(video) == pytest.approx([5, 6, 7, 8], abs=0.5)
    assert video.origin.frame_indices == (5, 6, 7, 8)
    assert len(said) == 1
    assert read(path, num_frames=3)[1] == []


def test_damage_of_a_reference_frame_keeps_the_number_of_frames(tmp_path):
    video, said = read(damaged(tmp_path / "a.mp4", lost=[5], codec="libx264", pix_fmt="yuv420p"))
    assert video.num_frames == 12
    assert numbers(video)[0] == pytest.approx(0, abs=1)
    assert "is damaged" in said[0]


def test_a_clip_without_any_decodable_frame_is_refused(tmp_path):
    refused(damaged(tmp_path / "a.mp4", lost=range(12)), "no frames")


def test_a_recording_that_was_not_finished_is_named(tmp_path):
    path = encode(tmp_path / "a.mp4", shades(3))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    refused(path, r"a\.mp4 has no index \(moov\), since the recording or the copy was not finished")


@pytest.mark.parametrize("name", ["", "a.jxl"])
def test_the_reader_of_jpeg_xl_is_named(tmp_path, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + bytes(100))
    refused(tmp_path / name, r"a\.jxl is a JPEG XL image; install its reader with `pip install pillow-jxl-plugin`")


# Times and streams


def test_irregular_times_of_a_phone_are_a_usual_rate():
    times = [0, 33, 70, 98, 133, 170, 200, 236, 266, 303, 336, 371]
    timing = constant_timing(times, count=12, time_base=Fraction(1, 1000), nominal=[Fraction(4125, 139)])
    assert (timing.fps, list(timing.source_index)) == (30, list(range(12)))


def test_the_largest_stream_is_read(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("ffv1", rate=25) for _ in range(2)]
        for stream, size in zip(streams, (32, 64), strict=True):
            stream.width = stream.height = size
            stream.pix_fmt = "bgr0"
        for _ in range(2):
            for stream in streams:
                image = np.zeros((stream.height, stream.width, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="bgr0")))
        for stream in streams:
            container.mux(stream.encode(None))
    assert read(tmp_path / "a.mkv")[0].width == 64


# Animated images


def animation(path, durations=(100, 50, 200, 100), **options):
    first, *rest = (Image.fromarray(image) for image in shades(len(durations)))
    first.save(path, save_all=True, append_images=rest, duration=list(durations), loop=0, **options)
    return path


def test_an_animated_webp_is_read_at_its_times(tmp_path):
    video, said = read(animation(tmp_path / "a.webp", [40] * 6, lossless=True))
    assert (video.fps, numbers(video), said) == (25, [0, 1, 2, 3, 4, 5], [])
    info = probe_video(tmp_path / "a.webp")
    assert (info.width, info.height, info.num_frames) == (48, 32, 6)
    varied = read(animation(tmp_path / "b.webp", lossless=True))[0]
    png = read(animation(tmp_path / "b.png"))[0]
    assert (varied.fps, numbers(varied)) == (png.fps, numbers(png))


def test_an_animated_avif_has_all_frames(tmp_path):
    assert numbers(read(animation(tmp_path / "a.avif", [100] * 4, quality=100))[0]) == pytest.approx(range(4), abs=1)


@pytest.mark.parametrize("suffix", ["webp", "gif", "png"])
def test_transparent_images_are_over_black(tmp_path, suffix):
    images = []
    for shade in (100, 200):
        pixels = np.full((32, 32, 4), (shade, 40, 40, 255), np.uint8)
        pixels[:16, :16, 3] = 0
        images.append(Image.fromarray(pixels))
    options = {"lossless": True, "exact": True} if suffix == "webp" else {"disposal": 2}
    images[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=images[1:], duration=100, **options)
    frames = read(tmp_path / f"a.{suffix}")[0].frames
    assert frames.shape[0] == 2
    assert (frames[:, 4, 4] == 0).all()
    assert frames[1, 24, 24].tolist() == pytest.approx([200, 40, 40], abs=3)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_transparent_frames_of_a_folder_are_over_black(tmp_path, suffix, orientation):
    pixels = np.random.default_rng(0).integers(40, 255, (24, 32, 4), dtype=np.uint8)
    pixels[:, 8:] = [200, 40, 40, 255]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=exif, **options)
    (frame,) = read(tmp_path)[0].frames.numpy()
    shown = np.rint(pixels[..., :3] * (pixels[..., 3:] / 255))
    turned = {6: np.rot90(shown, -1), 7: np.rot90(shown, 2).swapaxes(0, 1)}
    if frame.shape != shown.shape:  # OpenCV ignores the orientation of some formats
        shown = turned[orientation]
    assert np.abs(frame - shown).max() <= 1


def test_jpeg_xl_frames_are_read_if_the_plugin_is_installed(tmp_path):
    pytest.importorskip("pillow_jxl")
    pixels = np.full((32, 48, 4), (200, 40, 40, 255), np.uint8)
    pixels[:16, :16, 3] = 0
    for index in range(2):
        Image.fromarray(pixels).save(tmp_path / f"{index}.jxl", lossless=True)
    frames = read(tmp_path)[0].frames
    assert frames[:, 20, 20].tolist() == [[200, 40, 40]] * 2
    assert (frames[:, :16, :16] == 0).all()
    assert (read(tmp_path / "0.jxl")[0].frames[0] == frames[0]).all()


def test_a_damaged_animation_is_refused(tmp_path, capfd):
    path = animation(tmp_path / "a.webp", [40] * 6, lossless=True)
    data = bytearray(path.read_bytes())
    at = [index for index in range(len(data)) if data[index : index + 4] == b"VP8L"][3]
    data[at + 8 : at + 20] = bytes(12)
    path.write_bytes(data)
    refused(path, r"a\.webp is damaged after \d frames; copy or save it again")
    path.write_bytes(data[: len(data) // 2])
    refused(path, r"a\.webp is damaged after 0 frames")
    assert capfd.readouterr().err == ""


@FEW
@given(st.binary(max_size=80), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_headers_of_animations_are_read_or_refused(tail, at, number):
    good = b"RIFF" + bytes(4) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02" + bytes(3) + b"\x1f\0\0\x1f\0\0"
    data = bytearray(good + b"ANMF" + struct.pack("<I", 16) + bytes(16) + tail)
    data[at : at + 4] = struct.pack("<I", number)
    try:
        table = read_table(bytes(data), "a.webp")
    except InvalidInput:
        return
    assert table.durations
    assert min(table.durations) > 0


# Linear light


def exr(path, channels, **header):
    """Write an EXR image of channels [h, w] by name."""
    buffer = io.BytesIO()
    facts = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage} | header
    OpenEXR.File(facts, {name: np.ascontiguousarray(plane) for name, plane in channels.items()}).write(buffer)
    path.write_bytes(buffer.getvalue())
    return path


def planes(value, names="RGB", dtype=np.float32):
    return dict.fromkeys(names, np.full((32, 48), value, dtype))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_exr_frames_are_shown_as_srgb(tmp_path, dtype):
    for index, light in enumerate((0.0, 0.2158, 4.0)):
        exr(tmp_path / f"{index}.exr", planes(light, dtype=dtype))
    video, _ = read(tmp_path)
    assert video.frames[:, 0, 0, 0].tolist() == pytest.approx([0, 128, 255], abs=1)
    photo, _ = read(tmp_path / "1.exr")
    assert (photo.frames[0] == video.frames[1]).all()
    assert probe_video(tmp_path / "1.exr").num_frames == 1


def test_the_primaries_of_an_exr_are_converted(tmp_path):
    """AP0 of ACES: its white is white, and a color of BT.709 is restored."""
    to_ap0 = np.linalg.inv(to_bt709(AP0))
    color = to_ap0 @ np.array([0.6, 0.3, 0.2])
    channels = {name: np.full((32, 48), value, np.float32) for name, value in zip("RGB", color, strict=True)}
    (pixel,) = read(exr(tmp_path / "a.exr", channels, chromaticities=AP0))[0].frames[:, 0, 0].tolist()
    assert pixel == srgb_codes(np.array([0.6, 0.3, 0.2], np.float32)).tolist()
    assert to_ap0.sum(axis=1) == pytest.approx([1, 1, 1])
    assert to_ap0[0] == pytest.approx([0.4396, 0.3830, 0.1774], abs=2e-3)  # published by ACES
    assert (read(exr(tmp_path / "w.exr", planes(1.0), chromaticities=AP0))[0].frames == 255).all()


def test_exr_images_beside_others_are_not_frames(tmp_path):
    exr(tmp_path / "0.exr", planes(1.0))
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(tmp_path / "0.png")
    assert (read(tmp_path)[0].frames == torch.zeros(1, 32, 48, 3)).all()


def test_the_color_layer_is_chosen_by_its_name(tmp_path):
    layers = {f"ViewLayer.Combined.{name}": plane for name, plane in planes(1.0, "RGBA").items()}
    layers |= {f"ViewLayer.Normal.{name}": plane for name, plane in planes(0.0, "XYZ").items()}
    layers |= {f"ViewLayer.DiffCol.{name}": plane for name, plane in planes(0.0).items()}
    layers["ViewLayer.Depth.Z"] = np.full((32, 48), 3.0, np.float32)
    assert (read(exr(tmp_path / "a.exr", layers))[0].frames == 255).all()
    assert (read(exr(tmp_path / "y.exr", planes(1.0, "Y")))[0].frames == 255).all()
    refused(exr(tmp_path / "z.exr", planes(1.0, "Z")), r"z\.exr has the channels Z, of which none are its final colors")


def test_an_exr_is_as_large_as_its_display_window(tmp_path):
    windows = {
        "dataWindow": (np.array([8, 4], np.int32), np.array([55, 35], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([63, 47], np.int32)),
    }
    video, _ = read(exr(tmp_path / "a.exr", planes(1.0), **windows))
    assert (video.width, video.height) == (64, 48)
    lit = np.zeros((48, 64), bool)
    lit[4:36, 8:56] = True
    assert np.array_equal(video.frames[0, :, :, 0] == 255, lit)


def test_radiance_hdr_is_linear(tmp_path):
    cv2.imwrite(str(tmp_path / "a.hdr"), np.full((32, 48, 3), 0.2158, np.float32))
    assert read(tmp_path / "a.hdr")[0].frames[0, 0, 0].tolist() == pytest.approx([128] * 3, abs=1)


@FEW
@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_headers_of_exr_images_are_read_or_refused(tmp_path, at, noise):
    data = bytearray(exr(tmp_path / "a.exr", planes(0.5)).read_bytes())
    data[at : at + len(noise)] = noise
    with contextlib.suppress(InvalidInput):
        assert exr_colors(bytes(data), tmp_path / "a.exr").dtype == np.uint8


@FEW
@given(st.integers(0, 4000), st.binary(min_size=1, max_size=40))
def test_any_bytes_in_a_clip_give_a_video_or_a_message(tmp_path, at, noise):
    path = tmp_path / "a.avi"
    if not path.exists():
        encode(path, shades(6), "mjpeg", "yuvj420p")
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(noise)] = noise[: len(data) - at]
    (tmp_path / "b.avi").write_bytes(data)
    with contextlib.suppress(InvalidInput):
        read(tmp_path / "b.avi")
