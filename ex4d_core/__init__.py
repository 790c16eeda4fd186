"""ex4d: re-render a monocular video along new camera trajectories.

Public names are imported on first use, so that `import ex4d_core` is fast.
"""

import importlib
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from ex4d_core.version import __version__ as __version__

if TYPE_CHECKING:
    from ex4d_core.cameras.files import read_camera_path as read_camera_path
    from ex4d_core.cameras.files import write_camera_path as write_camera_path
    from ex4d_core.cameras.generators import generate_camera_trajectory as generate_camera_trajectory
    from ex4d_core.config.run_config import RunConfig as RunConfig
    from ex4d_core.depth_io.write import write_depth as write_depth
    from ex4d_core.errors import Ex4dError as Ex4dError
    from ex4d_core.masks import simulate_masks as simulate_masks
    from ex4d_core.mesh_io import read_mesh as read_mesh
    from ex4d_core.mesh_io import write_mesh as write_mesh
    from ex4d_core.pipeline.clip_run import ClipRun as ClipRun
    from ex4d_core.pipeline.clip_run import PathRun as PathRun
    from ex4d_core.pipeline.session import Session as Session
    from ex4d_core.pipeline.session import run as run
    from ex4d_core.runs.ex4d_model import EX4DModel as EX4DModel
    from ex4d_core.runs.ex4d_model import Ex4dModel as Ex4dModel
    from ex4d_core.runs.ex4d_model import save_video as save_video
    from ex4d_core.runs.sweep import sweep as sweep
    from ex4d_core.types import CameraPath as CameraPath
    from ex4d_core.types import DepthKind as DepthKind
    from ex4d_core.types import DepthVideo as DepthVideo
    from ex4d_core.types import Guidance as Guidance
    from ex4d_core.types import Intrinsics as Intrinsics
    from ex4d_core.types import Mesh as Mesh
    from ex4d_core.types import Origin as Origin
    from ex4d_core.types import RenderedFrame as RenderedFrame
    from ex4d_core.types import Scene as Scene
    from ex4d_core.types import Video as Video
    from ex4d_core.video_io import read_mask as read_mask
    from ex4d_core.video_io import read_video as read_video
    from ex4d_core.video_io import write_mask as write_mask
    from ex4d_core.video_io import write_video as write_video

_HOMES = {
    "ex4d_core.cameras.files": ("read_camera_path", "write_camera_path"),
    "ex4d_core.config.run_config": ("RunConfig",),
    "ex4d_core.depth_io.write": ("write_depth",),
    "ex4d_core.errors": ("Ex4dError",),
    "ex4d_core.mesh_io": ("read_mesh", "write_mesh"),
    "ex4d_core.runs.ex4d_model": ("EX4DModel", "Ex4dModel", "save_video"),
    "ex4d_core.runs.sweep": ("sweep",),
    "ex4d_core.pipeline.clip_run": ("ClipRun", "PathRun"),
    "ex4d_core.pipeline.session": ("Session", "run"),
    "ex4d_core.cameras.generators": ("generate_camera_trajectory",),
    "ex4d_core.masks": ("simulate_masks",),
    "ex4d_core.types": (
        "CameraPath",
        "DepthKind",
        "DepthVideo",
        "Guidance",
        "Intrinsics",
        "Mesh",
        "Origin",
        "RenderedFrame",
        "Scene",
        "Video",
    ),
    "ex4d_core.video_io": ("read_mask", "read_video", "write_mask", "write_video"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]


_FEW_CORES = 4

_CPU_QUOTA = "/sys/fs/cgroup/cpu.max"
"""Microseconds of all cores in a period, and that period."""


def _wait_passively() -> None:
    """Let OpenMP threads sleep while they wait, unless the user decides.

    Spinning slows down torch a hundredfold if cores are few or shared (640 ms instead of 7 ms for a mesh). The variable
    is read when torch is imported.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        return
    if "torch" not in sys.modules:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    elif (cores := _num_cores()) <= _FEW_CORES:
        warnings.warn(
            f"torch was imported before ex4d_core, so its threads spin while they wait, which is slow on "
            f"{cores} cores; import ex4d_core first, or set OMP_WAIT_POLICY=PASSIVE before Python starts",
            stacklevel=3,
        )


def _num_cores() -> int:
    """Return the number of cores that this process may use; a container may have the time of fewer than it sees."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open(_CPU_QUOTA, encoding="ascii") as file:
            quota, period = map(int, file.read().split())
    except (OSError, ValueError):  # not a container, or one without a limit, `max`
        return cores
    return min(cores, -(-quota // period))


_wait_passively()


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ex4d_core' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
