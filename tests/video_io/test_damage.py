"""Damaged clips: every frame that can be decoded is at its own index, and the others are named."""

import random

import av
import numpy as np
import pytest

from ex4d_core.errors import InvalidInput
from ex4d_core.video_io.damage import Damage
from tests.video_io.test_other_clips import read
from tests.video_io.test_read import encode

GOP = 5
"""Frames from one key frame to the next."""


def numbered(count=20, *, moves=True):
    """Frames with their number in five squares, on a texture that moves, or is another one in each frame."""
    textures = np.random.default_rng(0).integers(0, 30, (count, 32, 160, 3), dtype=np.uint8)
    frames = [np.roll(textures[0], index, axis=1) for index in range(count)] if moves else list(textures)
    for index, frame in enumerate(frames):
        for bit in range(5):
            frame[:, 32 * bit : 32 * bit + 32] += 220 if index >> bit & 1 else 0
    return frames


def numbers(video):
    bits = video.frames.numpy().reshape(-1, 32, 5, 32, 3)[:, 8:24, :, 8:24].mean(axis=(1, 3, 4)) > 125
    return (bits @ (1 << np.arange(5))).tolist()


def packets(path):
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def overwrite(path, index, start=0.0, end=1.0):
    """Overwrite a part of a packet; return the path of the result."""
    data, content = bytearray(path.read_bytes()), bytes(packets(path)[index])
    first, last = int(len(content) * start), int(len(content) * end)
    at = data.index(content)
    data[at + first : at + last] = random.Random(1).randbytes(last - first)
    damaged = path.with_name(f"damaged{path.suffix}")
    damaged.write_bytes(data)
    return damaged


def clip(path, codec="libx264", **options):
    return encode(path, numbered(), codec, g=str(GOP), sc_threshold="0", **options)


REORDERED = {"bf": "2", "b_strategy": "0"}


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        ("mp4", "libx264", REORDERED),
        ("mkv", "libx264", {"bf": "0"}),
        ("webm", "libvpx-vp9", {"cpu-used": "8"}),
    ],
)
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.3), (0.4, 0.7)])
def test_frames_of_other_groups_keep_their_index(tmp_path, suffix, codec, options, start, end):
    """Also frames of one group, which decoders return late behind damage, do not move those of the next."""
    path = clip(tmp_path / f"a.{suffix}", codec, **options)
    assert numbers(read(path)[0]) == list(range(20))
    for index in (5, 6, 10, 13):
        video, _ = read(overwrite(path, index, start, end))
        shown = numbers(video)
        group = index - index % GOP
        assert len(shown) == 20
        assert shown[: group - 2] == list(range(group - 2))
        assert shown[group + GOP :] == list(range(group + GOP, 20))


def test_a_lost_last_frame_is_repeated_although_decoders_do_not_report_it(tmp_path):
    """The stream announces reordered frames but has none, so its times are in the order of its packets."""
    path = encode(tmp_path / "a.mp4", numbered(moves=False), bf="2")
    assert [packet.pts for packet in packets(path)] == sorted(packet.pts for packet in packets(path))
    video, said = read(overwrite(path, 19))
    assert numbers(video)[:19] == list(range(19))
    assert video.num_frames == 20
    assert len(said) == 1


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [("mp4", "libx264", REORDERED), ("mkv", "libx264", {}), ("webm", "libvpx-vp9", {"cpu-used": "8"})],
)
def test_frames_before_the_first_intact_key_frame_are_counted(tmp_path, suffix, codec, options):
    path = clip(tmp_path / f"a.{suffix}", codec, **options)
    video, said = read(overwrite(path, 0))
    assert numbers(video) == [5] * 5 + list(range(5, 20))
    (message,) = said
    assert message.endswith("is damaged: frames 0, 1, 2, 3, 4 could not be decoded (replaced by the next frame)")


@pytest.mark.parametrize("suffix", ["mp4", "ts", "h264"])
def test_streams_that_start_within_a_group_start_with_their_first_key_frame(tmp_path, suffix):
    source = clip(tmp_path / "a.mp4", bf="0")
    with av.open(str(source)) as whole, av.open(str(tmp_path / f"b.{suffix}"), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in packets(source)[2:]:
            packet.stream = stream
            part.mux(packet)
    video, said = read(tmp_path / f"b.{suffix}")
    assert (numbers(video), said) == (list(range(5, 20)), [])


@pytest.mark.parametrize(
    ("lost", "partial", "said"),
    [
        (
            [0, 1],
            [],
            "frames 0, 1 could not be decoded (replaced by the next frame); those that follow may be damaged too, "
            "up to the next key frame (frame 4)",
        ),
        (
            [0, 2, 3],
            [],
            "frame 0 could not be decoded (replaced by the next frame), and frames 2, 3 could not be decoded "
            "(replaced by the previous frame); those that follow may be damaged too, up to the next key frame "
            "(frame 4)",
        ),
        ([3], [], "frame 3 could not be decoded (replaced by the previous frame)"),
        (
            [7],
            [5],
            "frame 7 could not be decoded (replaced by the previous frame), and frame 5 could be decoded in part; "
            "those that follow may be damaged too, up to the end",
        ),
    ],
)
def test_damage_is_described(lost, partial, said):
    damage = Damage(lost=lost, partial=partial, keys=[0, 4], num_frames=8)
    assert damage.message("a.mp4") == f"a.mp4 is damaged: {said}"


def test_frames_with_equal_times_are_not_damaged(tmp_path):
    path = encode(tmp_path / "a.mkv", numbered(6), "libx264", pts=[0, 40, 80, 80, 120, 160], **REORDERED)
    video, said = read(path)
    assert video.num_frames == 6
    assert said == []


ENDINGS = [
    ("a.gif", "gif", "rgb8", {}),
    ("a.mpg", "mpeg2video", "yuv420p", {}),
    ("b.mpg", "mpeg1video", "yuv420p", {"format": "mpeg"}),
    ("a.ts", "libx264", "yuv420p", {}),
    ("a.m2ts", "libx264", "yuv420p", {}),
    ("a.webm", "libvpx-vp9", "yuv420p", {}),
    ("live.webm", "libvpx-vp9", "yuv420p", {"options": {"live": "1"}}),
    ("a.avi", "mpeg4", "yuv420p", {}),
    ("fragments.mp4", "libx264", "yuv420p", {"options": {"movflags": "frag_keyframe+empty_moov"}}),
    ("a.apng", "apng", "rgb24", {}),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "options"), ENDINGS)
def test_files_that_are_cut_off_are_reported_or_refused(tmp_path, name, codec, pix_fmt, options):
    path = tmp_path / name
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 32, pix_fmt
        for frame in numbered(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    for rest in (b"", bytes(400)):
        path.write_bytes(data + rest)
        video, said = read(path)
        assert (video.num_frames, said) == (10, [])
    end = data.rindex(bytes(packets(path)[7])[:24]) + 12
    path.write_bytes(data[:end])
    try:
        said = read(path)[1]
    except InvalidInput as error:
        said = [str(error)]
    assert "cut off" in said[0]
