"""A plugin whose depth estimator ends its process, as a crash in a library does, as often as a file says."""

from __future__ import annotations

from pathlib import Path

_MODULE = """
import os
import signal
from pathlib import Path

import attrs
import torch

from ex4d_core.hookspecs import hookimpl
from ex4d_core.options import option
from ex4d_core.provider import Provider
from ex4d_core.types import DepthVideo, Intrinsics


@attrs.frozen
class Options:
    crashes: str = option("", help="File with the number of crashes that are left.", affects_output=False)


class Fragile:
    def __init__(self, options, *, device):
        self._crashes = Path(options.crashes)

    def estimate(self, video, *, progress):
        left = int(self._crashes.read_text())
        if left:
            self._crashes.write_text(str(left - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        frames, height, width, _ = video.frames.shape
        progress(frames, frames)
        lens = Intrinsics.from_fov(60, width=width, height=height)
        return DepthVideo(depth=torch.full((frames, height, width), 3.0), kind="metric", intrinsics=lens)


@hookimpl
def ex4d_depth_estimators():
    return [
        Provider(
            name="fragile", summary="ends its process", license="Apache-2.0",
            component="ex4d_fragile:Fragile", options=Options,
        )
    ]
"""


def plant_fragile_plugin(folder: Path) -> None:
    """Write the plugin into a folder, which must be in `sys.path`."""
    (folder / "ex4d_fragile.py").write_text(_MODULE)
    info = folder / "ex4d_fragile-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ex4d-fragile\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[ex4d]\nfragile = ex4d_fragile\n")
