"""The flags of the command line: each sets one entry of the configuration, for commands that take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ex4d_core.config.run_config import RunConfig, check_config, make_config, merge, parse_settings, read_config


class Flag(NamedTuple):
    """A command-line option that sets one entry of the configuration."""

    name: str
    key: str
    kind: Any
    help: str
    panel: str

    @property
    def parameter(self) -> str:
        """The name as Python has it: num_frames."""
        return self.name[2:].replace("-", "_")


_VIDEO, _SCENE, RUN, _FILL, _PATH = "Clip", "Depth and lens", "Run", "Filling in", "Camera path"
FLAGS = (
    Flag("--cam", "cam", list[str], "Camera path: 30, -90..90, orbit:yaw=-75 then dolly, FILE; repeatable.", _PATH),
    Flag("--look-at", "trajectory.look_at", str, "What to go around: auto, a pixel X,Y, a depth, nearest.", _PATH),
    Flag("--path-frames", "path.frames", int, "Frames of the output; as many as the clip by default.", _PATH),
    Flag(
        "--relative-to",
        "path.relative_to",
        str,
        "Paths go along with a source camera that moves: source, world.",
        _PATH,
    ),
    Flag("--source-cameras", "path.source_cameras", str, "File with the poses of the source camera.", _PATH),
    Flag("--backbone", "backbone.name", str, "Fills in what is hidden; see `ex4d plugins list`.", _FILL),
    Flag("--prompt", "prompt", str, "Text that describes the video, for backbones that read it.", _FILL),
    Flag("--seed", "seed", int, "Fixes every random choice.", _FILL),
    Flag("--memory", "backbone.memory", str, "GiB of the GPU that the backbone may take, auto or none.", _FILL),
    Flag("--speed", "backbone.speed", str, "exact, or fast at some loss of quality.", _FILL),
    Flag("--gpus", "backbone.gpus", int, "GPUs that work at one video together.", _FILL),
    Flag("--preview-every", "backbone.preview_every", int, "Write a preview every this many steps.", _FILL),
    Flag("--renderer", "renderer.name", str, "Looks at the mesh; see `ex4d plugins list`.", RUN),
    Flag("--device", "device", str, "auto, cpu, cuda, cuda:1, mps.", RUN),
    Flag("--compat", "compat", str, "Behave as another system does: ex4d.", RUN),
    Flag("--depth", "depth.name", str, "Depth estimator; see `ex4d plugins list`.", _SCENE),
    Flag("--depth-file", "depth.path", str, "Depth that you bring: .npy, .npz, PNG or EXR folder, video.", _SCENE),
    Flag("--depth-kind", "depth.kind", str, "What its numbers mean: metric, relative, inverse.", _SCENE),
    Flag("--fov", "lens.fov", float, "Field of view of the clip along its longer side, degrees.", _SCENE),
    Flag("--focal-px", "lens.focal_px", float, "Focal length of the clip, pixels.", _SCENE),
    Flag("--intrinsics", "lens.intrinsics", str, "File with the clip's fx, fy, cx, cy or 3x3 matrix.", _SCENE),
    Flag("--num-frames", "video.num_frames", int, "Use at most this many frames.", _VIDEO),
    Flag("--start", "video.start", int, "First frame, counted from 0.", _VIDEO),
    Flag("--stride", "video.stride", int, "Take every n-th frame.", _VIDEO),
    Flag("--size", "video.size", str, "Work at WIDTHxHEIGHT.", _VIDEO),
    Flag("--fit", "video.fit", str, "How a clip of another shape is brought there: crop, pad, stretch.", _VIDEO),
    Flag("--fps", "video.fps", float, "Rate of the output; the clip's own by default.", _VIDEO),
)
FILL_FLAGS = tuple(flag.name for flag in FLAGS if flag.panel == _FILL)
"""Those of the last stage."""
PATH_FLAGS = tuple(flag.name for flag in FLAGS if flag.panel == _PATH)
"""Those that say where the camera goes."""


def configuration(flags: Sequence[Flag], given: Mapping[str, Any]) -> RunConfig:
    """Lay flags over `--set` over the file.

    Args:
        flags: those that the command has.
        given: values by `Flag.parameter`, with `settings` (texts of `--set`) and `config_file`; None where not given.

    Raises:
        InvalidConfig: a setting is unknown or has a value that it cannot take.
        InputNotFound: there is no such file.
    """
    tree: dict[str, Any] = {}
    file: dict[str, Any] = {}
    for flag in flags:
        value = given[flag.parameter]
        if value not in (None, []):
            section, _, option = flag.key.rpartition(".")
            tree = merge(tree, {section: {option: value}} if section else {option: value})
    if "path" in tree.get("depth", {}):
        tree = merge({"depth": {"name": "file"}}, tree)
    if given["config_file"]:
        file = read_config(given["config_file"])
        check_config(file, given["config_file"])
    return make_config(merge(file, parse_settings(given["settings"] or ()), tree))
