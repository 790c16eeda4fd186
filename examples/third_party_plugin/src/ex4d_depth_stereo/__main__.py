"""`python -m ex4d_depth_stereo stereo.mp4 left.mp4`: extract the left view of a stereo video as a clip for ex4d."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import attrs
import torch

from ex4d_core import read_video, write_video
from ex4d_core.errors import Ex4dError
from ex4d_depth_stereo.right_eye import half


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the left view."""
    parser = argparse.ArgumentParser(prog="python -m ex4d_depth_stereo", description=__doc__)
    parser.add_argument("stereo", help="video with both views in each frame")
    parser.add_argument("left", help="output video: .mp4, or lossless .mkv")
    parser.add_argument("--layout", default="side-by-side", choices=("side-by-side", "top-bottom"))
    options = parser.parse_args(arguments)
    try:
        video = read_video(options.stereo)
        frames = torch.stack([torch.from_numpy(half(f, options.layout, right=False)) for f in video.frames.numpy()])
        write_video(attrs.evolve(video, frames=frames, origin=None), options.left)
    except Ex4dError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
