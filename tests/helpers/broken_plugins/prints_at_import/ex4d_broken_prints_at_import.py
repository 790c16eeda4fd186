"""Prints when it is imported, in every way there is, and when it works."""

import os
import subprocess
import sys

import attrs

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider

print("hello from a plugin")  # noqa: T201
os.write(1, b"hello past Python\n")
print("hello past sys.stdout", file=sys.__stdout__)
subprocess.run([sys.executable, "-c", "print('hello from another program')"], check=True)


@attrs.frozen
class Options:
    """None."""


@hookimpl
def ex4d_depth_estimators():
    return [
        Provider(
            name="prints_at_import",
            summary="a wall, 2 away",
            license="Apache-2.0",
            component="ex4d_broken_prints_at_import:Wall",
            options=Options,
        )
    ]


class Wall:
    def __init__(self, options, *, device):
        print("hello from a component")  # noqa: T201

    def estimate(self, video, *, progress):
        import torch

        from ex4d_core.types import DepthKind, DepthVideo, Intrinsics

        os.write(1, b"hello from its work\n")
        depth = torch.full((video.num_frames, video.height, video.width), 2.0)
        lens = Intrinsics.from_fov(60, width=video.width, height=video.height)
        return DepthVideo(depth=depth, kind=DepthKind.RELATIVE, intrinsics=lens)
