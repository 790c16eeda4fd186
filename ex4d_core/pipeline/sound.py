"""Decide whether the result of a run has the sound of its clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ex4d_core.config.run_config import VideoOptions
from ex4d_core.types import Guidance
from ex4d_core.video_io import Sound, VideoInfo


def sound_of(
    clip: Path, info: VideoInfo, options: VideoOptions, guidance: Guidance, *, warn: Callable[[str], None]
) -> Sound | None:
    """Return the sound of the result, or None, with a warning, if its time is not that of the clip.

    Args:
        clip: a video with sound.
        info: properties of the clip.
        options: selection of its frames.
        guidance: the guidance of the result.
        warn: called with the reason if the sound is left out.
    """
    frames = (guidance.cameras and guidance.cameras.frames) or tuple(range(guidance.num_frames))
    rate = info.fps / options.stride
    if options.fps is not None and guidance.fps != rate:
        reason = f"--fps {options.fps:g} plays the clip at another speed than its {float(rate):g} frames per second"
    elif frames != tuple(range(frames[0], frames[0] + len(frames))):
        reason = "the camera path stops time, or plays the clip at another speed"
    else:
        return Sound(clip=clip, start=(options.start + frames[0] * options.stride) / info.fps)
    warn(f"the sound of {clip} is left out, since {reason}")
    return None
