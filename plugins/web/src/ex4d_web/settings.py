"""The choices of a user, and the configuration of ex4d that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.config import Tree

FILE = "file"
"""The depth estimator that reads a depth file."""


@attrs.frozen(kw_only=True)
class Settings:
    """Everything that a user has chosen for one clip."""

    clip: str = ""
    """Name of the uploaded file in the folder of the project."""
    width: int = 0
    """Of the clip as filmed, in pixels."""
    height: int = 0
    fps: float = 0.0
    num_frames: int = 0
    """Of the whole clip."""

    start: int = 0
    """First selected frame, counted from 0."""
    count: int = 1
    """Number of selected frames."""
    stride: int = 1
    side: int = 512
    """Longest longer side of the frames that are worked on, in pixels."""

    depth: str = "auto"
    depth_file: str = ""
    """Name of a depth file in the folder of the project, or ''."""

    cam: str = "orbit:yaw=30,ease=smooth"
    """Path of a new project, as the sliders show it."""

    backbone: str = "auto"
    prompt: str = ""
    speed: str = ""
    """Option `speed` of the backbone, or '' for its default."""
    memory: str = ""
    """Option `memory` of the backbone, or '' for its default."""
    seed: int = 42

    @property
    def size(self) -> str | None:
        """The working size WIDTHxHEIGHT, even as codecs need; None if the clip is small enough as filmed."""
        longer = max(self.width, self.height)
        if longer <= self.side:
            return None
        width, height = (max(16, round(side * self.side / longer / 2) * 2) for side in (self.width, self.height))
        return f"{width}x{height}"

    @property
    def is_photo(self) -> bool:
        """Whether the clip is a single image."""
        return self.num_frames == 1

    @property
    def part(self) -> tuple[Any, ...]:
        """The selected part of the clip."""
        return self.clip, self.start, self.count, self.stride, self.size

    @property
    def depth_choice(self) -> tuple[Any, ...]:
        """Everything that determines the depth."""
        return *self.part, self.depth_file or self.depth

    def backbone_options(self) -> dict[str, str]:
        """Return the options of the backbone that are set."""
        return {name: value for name, value in (("speed", self.speed), ("memory", self.memory)) if value}

    def tables(self, folder: Path, *, device: str = "auto") -> Tree:
        """Return the settings of a `Session`.

        Args:
            folder: folder of the project, in which its files are.
            device: device of the server.
        """
        depth: Mapping[str, str] = {"name": self.depth}
        if self.depth_file:
            depth = {"name": FILE, "path": str(folder / self.depth_file)}
        return {
            "device": device,
            "download": "no",
            "seed": self.seed,
            "prompt": self.prompt,
            "cam": [self.cam],
            "cam_folder": str(folder / "run"),
            "video": {"start": self.start, "stride": self.stride, "num_frames": self.count, "size": self.size},
            "depth": depth,
            "backbone": {"name": self.backbone, **self.backbone_options()},
        }
