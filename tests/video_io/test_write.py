"""Videos out: what is written can be played, is whole, and is the same each time."""

import os
import resource
import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from ex4d_core import video_io
from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.types import Video
from tests.helpers.forked import fork
from tests.helpers.pictures import picture

pytestmark = pytest.mark.slow

FLAT = (200, 40, 90)


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(15), Fraction(25, 2)])
def test_h264_is_what_browsers_play(tmp_path, fps):
    video = Video(frames=torch.from_numpy(np.stack([picture()] * 9)), fps=fps)
    video_io.write_video(video, tmp_path / "out" / "a.mp4")
    data = (tmp_path / "out" / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "out" / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert container.streams.video[0].average_rate == fps
    again = video_io.read_video(tmp_path / "out" / "a.mp4")
    assert again.fps == fps
    assert (again.frames.float() - video.frames.float()).abs().mean() < 2


def test_flat_colors_survive_h264(tmp_path):
    flat = torch.tensor(FLAT, dtype=torch.uint8).expand(3, 32, 32, 3)
    video_io.write_video(Video(frames=flat, fps=30), tmp_path / "a.mp4")
    assert video_io.read_video(tmp_path / "a.mp4").frames[1, 16, 16].tolist() == pytest.approx(list(FLAT), abs=2)


def test_an_odd_size_is_padded_by_one_repeated_row_and_column(tmp_path):
    frames = torch.from_numpy(np.stack([picture(33, 49)] * 2))
    video_io.write_video(Video(frames=frames, fps=30), tmp_path / "a.mp4", crf=1)
    again = video_io.read_video(tmp_path / "a.mp4").frames
    assert again.shape == (2, 34, 50, 3)
    assert (again[:, :33, :49].float() - frames.float()).abs().mean() < 3


def test_ffv1_is_exact_at_any_size(tmp_path):
    frames = torch.randint(0, 256, (3, 17, 31, 3), dtype=torch.uint8)
    video_io.write_video(Video(frames=frames, fps=Fraction(30000, 1001)), tmp_path / "a.mkv")
    again = video_io.read_video(tmp_path / "a.mkv")
    assert torch.equal(again.frames, frames)
    assert again.fps == Fraction(30000, 1001)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("kind", ["noise", "shape"])
def test_a_mask_comes_back_exactly(tmp_path, suffix, kind):
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(12, 64, 96, generator=generator) > 0.5
    if kind == "shape":
        mask = torch.arange(96)[None, None] > torch.arange(12)[:, None, None] * 5 + torch.arange(64)[None, :, None]
    video_io.write_mask(mask, tmp_path / f"mask.{suffix}", fps=Fraction(15))
    again, fps = video_io.read_mask(tmp_path / f"mask.{suffix}")
    assert torch.equal(again, mask)
    assert fps == 15


def test_a_mask_in_mp4_is_what_browsers_play(tmp_path):
    video_io.write_mask(torch.rand(5, 33, 33) > 0.5, tmp_path / "m.mp4", fps=Fraction(30))
    with av.open(str(tmp_path / "m.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.pix_fmt, context.profile, context.width) == ("yuv420p", "High", 34)


def test_outputs_that_cannot_be_are_refused(tmp_path):
    video = Video(frames=torch.zeros(1, 16, 16, 3, dtype=torch.uint8), fps=30)
    with pytest.raises(
        InvalidInput, match=r"a.webm cannot be written: its name must end with one of .mp4, .m4v, .mov, .mkv"
    ):
        video_io.write_video(video, tmp_path / "a.webm")
    with pytest.raises(InvalidInput, match=r"crf must be between 1 \(best\) and 51, not 0"):
        video_io.write_video(video, tmp_path / "a.mp4", crf=0)
    empty = Video(frames=torch.zeros(0, 16, 16, 3, dtype=torch.uint8), fps=30)
    with pytest.raises(InvalidInput, match=r"a.mp4 cannot be written: there are no frames"):
        video_io.write_video(empty, tmp_path / "a.mp4")


def test_an_unwritable_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    video = Video(frames=torch.zeros(1, 16, 16, 3, dtype=torch.uint8), fps=30)
    with pytest.raises(OutputFailed, match=r"a.mp4 cannot be written: "):
        video_io.write_video(video, tmp_path / "file" / "a.mp4")


def noise():
    """Return the same frames in each process, so that their file has the same size."""
    frames = torch.randint(0, 256, (20, 128, 128, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Video(frames=frames, fps=30)


def fill_the_disk(path, limit, said):
    """Write a video in a process whose files may have so many bytes, and what came of it to another file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        video_io.write_video(noise(), path)
    except OutputFailed as error:
        Path(said).write_text(str(error))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("share", [0.01, 0.6, 0.99])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, tmp_path_factory, name, share):
    video_io.write_video(noise(), tmp_path / name)
    limit = int((tmp_path / name).stat().st_size * share)
    (tmp_path / name).write_bytes(b"old")
    said = tmp_path_factory.mktemp("said") / "error"
    fork(fill_the_disk, str(tmp_path / name), limit, str(said)).join()
    assert f"{name} cannot be written: File too large" in said.read_text()
    assert (tmp_path / name).read_bytes() == b"old"
    assert os.listdir(tmp_path) == [name]


def test_the_same_frames_make_the_same_file(tmp_path):
    drift = torch.randn(22, 12, 18, 3, generator=torch.Generator().manual_seed(0)).cumsum(0) * 8 + 128
    frames = torch.nn.functional.interpolate(drift.movedim(-1, 1), size=(46, 70), mode="bilinear").movedim(1, -1)
    video = Video(frames=frames.clamp(0, 255).byte().contiguous(), fps=24)
    made = set()
    for _ in range(40):
        video_io.write_video(video, tmp_path / "out.mp4")
        made.add((tmp_path / "out.mp4").read_bytes())
    assert len(made) == 1


def test_a_lossless_video_has_the_same_bytes_each_time(tmp_path):
    video = Video(frames=torch.arange(2 * 8 * 8 * 3, dtype=torch.uint8).reshape(2, 8, 8, 3), fps=Fraction(12))
    for name in ("a.mkv", "b.mkv"):
        video_io.write_video(video, tmp_path / name)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()
