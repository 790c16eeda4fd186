"""Options of data preparation."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from ex4d_backbone_wan.options import LARGEST, PATCH, STRIDE
from ex4d_core.bounds import parse_size, shown
from ex4d_core.options import option

Fit = Literal["crop", "pad", "stretch"]
Cuts = Literal["avoid", "ignore"]
MissingCaption = Literal["empty", "skip", "refuse"]
DType = Literal["bfloat16", "float32"]


_LEAST_RATE = 0.001

_MOST_FRAMES = 10_001
"""Frames of a clip; Wan was trained with 81."""


def _one_of(kind: Any) -> Any:
    return attrs.validators.in_(get_args(kind))


@attrs.frozen
class DataOptions:
    """Selection of clips, and the form of samples."""

    frames: int = option(
        49,
        help="Frames of a clip, 4k+1; EX-4D's adapter was trained with 49.",
        unit="frames",
        validator=lambda instance, attribute, value: _frames(value),
    )
    size: str = option(
        "512x512",
        help="WIDTHxHEIGHT of a clip, multiples of 16.",
        validator=lambda instance, attribute, value: _size(value),
    )
    fit: Fit = option("crop", help="How to fit a video with a different aspect ratio.", validator=_one_of(Fit))
    fps: float = option(
        0.0,
        help="Approximate frame rate of clips, reached by skipping frames; 0 uses all frames.",
        unit="Hz",
        at_least=0,
        at_most=1000,
        validator=lambda instance, attribute, value: _rate(value),
    )
    clips_per_video: int = option(1, help="Maximum number of consecutive clips per video.", at_least=1, at_most=10**6)
    masks_per_clip: int = option(4, help="Masks per clip; each makes one sample.", at_least=1, at_most=10_000)
    cuts: Cuts = option("avoid", help="Whether a clip may contain a cut.", validator=_one_of(Cuts))
    min_side: int = option(256, help="Minimum shorter side of a video.", unit="pixels", at_least=0, at_most=2**20)
    max_aspect: float = option(
        2.5, help="Maximum ratio of longer to shorter side of a video.", unit="ratio", at_least=1, at_most=2**20
    )
    min_fps: float = option(8.0, help="Minimum frame rate of a video.", unit="Hz", at_least=0, at_most=1000)
    max_fps: float = option(1000.0, help="Maximum frame rate of a video.", unit="Hz", above=0, at_most=10**6)
    min_seconds: float = option(0.0, help="Minimum length of a video.", unit="seconds", at_least=0, at_most=10**9)
    max_seconds: float = option(
        0.0, help="Maximum length of a video; 0: no limit.", unit="seconds", at_least=0, at_most=10**9
    )
    missing_caption: MissingCaption = option(
        "empty",
        help="Videos without a caption: use an empty text, skip the video, or refuse to start.",
        validator=_one_of(MissingCaption),
    )
    dtype: DType = option("bfloat16", help="Precision of saved tensors.", validator=_one_of(DType))
    shard_videos: int = option(16, help="Number of videos per shard.", at_least=1, at_most=100_000, affects_output=True)

    @property
    def width_height(self) -> tuple[int, int]:
        """Width and height of a clip."""
        return _size(self.size)


def _frames(value: int) -> None:
    if not STRIDE < value <= _MOST_FRAMES or value % STRIDE != 1:
        raise ValueError(
            f"frames must be 4k+1 between {STRIDE + 1} and {_MOST_FRAMES}, such as 17 or 49, not {shown(value)}"
        )


def _rate(value: float) -> None:
    if 0 < value < _LEAST_RATE:
        raise ValueError(f"fps must be 0 or at least {_LEAST_RATE} Hz, not {value}")


def _size(text: str) -> tuple[int, int]:
    size = parse_size(text)
    if size is None or any(side < PATCH or side % PATCH or side > LARGEST for side in size):
        raise ValueError(
            f"size must be WIDTHxHEIGHT in multiples of {PATCH} up to {LARGEST}, such as 832x480, not {shown(text)}"
        )
    return size
