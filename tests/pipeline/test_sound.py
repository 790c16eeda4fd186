"""The result has the sound of the clip where its time is that of the clip; otherwise the run says why not."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ex4d_core.config.run_config import VideoOptions
from ex4d_core.pipeline.sound import sound_of
from ex4d_core.types import CameraPath, Guidance, Intrinsics
from ex4d_core.video_io import Sound, VideoInfo
from tests.helpers.sounds import audio_codecs, clicking_clip, clicks, flashes

INFO = VideoInfo(width=16, height=16, fps=Fraction(25), num_frames=40)


def guidance(frames, fps):
    count = 4 if frames is None else len(frames)
    path = CameraPath(
        world_to_camera=torch.eye(4).repeat(count, 1, 1),
        intrinsics=Intrinsics(fx=16, fy=16, cx=8, cy=8, width=16, height=16),
        frames=frames,
    )
    return Guidance(
        color=torch.zeros(count, 16, 16, 3, dtype=torch.uint8),
        mask=torch.zeros(count, 16, 16, dtype=torch.bool),
        cameras=path,
        fps=fps,
    )


@pytest.mark.parametrize(
    ("options", "frames", "fps", "start"),
    [
        ({}, None, 25, 0),
        ({"start": 5}, None, 25, Fraction(5, 25)),
        ({"start": 4, "stride": 2}, None, Fraction(25, 2), Fraction(4, 25)),
        ({"stride": 2}, (3, 4, 5, 6), Fraction(25, 2), Fraction(6, 25)),
        ({"fps": 25}, None, 25, 0),
    ],
)
def test_sound_starts_with_the_first_frame(options, frames, fps, start):
    made = guidance(frames, Fraction(fps))
    assert sound_of(Path("c.mp4"), INFO, VideoOptions(**options), made, warn=pytest.fail) == Sound(
        clip=Path("c.mp4"), start=Fraction(start)
    )


@pytest.mark.parametrize(
    ("options", "frames", "fps", "reason"),
    [
        ({"fps": 50}, None, 50, "--fps 50 plays the clip at another speed than its 25 frames per second"),
        ({}, (3, 3, 3, 3), 25, "the camera path stops time, or plays the clip at another speed"),
        ({}, (3, 2, 1, 0), 25, "the camera path stops time, or plays the clip at another speed"),
        ({}, (0, 2, 4, 6), 25, "the camera path stops time, or plays the clip at another speed"),
    ],
)
def test_sound_of_another_time_is_left_out_with_a_reason(options, frames, fps, reason):
    warnings = []
    made = guidance(frames, Fraction(fps))
    assert sound_of(Path("c.mp4"), INFO, VideoOptions(**options), made, warn=warnings.append) is None
    assert warnings == [f"the sound of c.mp4 is left out, since {reason}"]


def test_a_run_copies_sound_or_warns(ex4d, tmp_path):
    clip = clicking_clip(tmp_path / "clip.mp4", frames=20)
    np.save(tmp_path / "depth.npy", np.full((20, 48, 64), 3, np.float32))
    flags = (clip, "--depth-file", "depth.npy", "--cam", "3", "--backbone", "telea", "--renderer", "zbuffer")
    code, _, err = ex4d("run", *flags, "--start", "3")
    assert (code, "is left out" in err) == (0, False)
    result = Path("outputs/clip/result_3.mp4")
    assert clicks(result) == pytest.approx(flashes(result), abs=0.005)
    code, _, err = ex4d("run", *flags, "--fps", "10", "--quiet")
    assert code == 0
    assert "warning: the sound of" in err
    assert audio_codecs(result) == []


def test_generated_video_has_the_sound_of_the_color_video(ex4d, tmp_path):
    clip = clicking_clip(tmp_path / "color.mp4", frames=20)
    code, _, err = ex4d(
        *("generate", "--color-video", clip, "--mask-video", clip, "--output-video", "o.mp4", "--backbone", "telea")
    )
    assert code == 0, err
    assert audio_codecs(Path("o.mp4")) == ["aac"]
