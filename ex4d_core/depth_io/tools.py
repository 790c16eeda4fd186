"""Layouts of depth files that other tools write, one record each; the table in docs/depth.md is made from them.

A layout is recognized by its contents: the names and shapes of arrays, channels of images, or files beside each other.
A record states the meaning of the values only if all files of the layout have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from ex4d_core.types import DepthKind

Direction = Literal["w2c", "c2w", "either", "unknown"]
"""Direction of poses: world-to-camera, camera-to-world, `either` by the points or depth in the file, else w2c, or
`unknown`: by them alone."""


@attrs.frozen(kw_only=True)
class Tool:
    """The layout of one tool."""

    name: str
    files: str
    """Files, as in the table of the docs."""
    meaning: str
    """Meaning of the values, as in the table of the docs."""
    keys: tuple[str, ...] = ()
    """Arrays that an archive must have."""
    without: tuple[str, ...] = ()
    """Arrays that it does not have."""
    depth: str = ""
    """Array of depth, or of points in camera axes [..., 3] or, with `world_points`, in world axes."""
    world_points: bool = False
    kind: DepthKind | None = None
    """Meaning of the values; None: meters unless the values contradict."""
    doubt: str = ""
    """Why the meaning must be asked for."""
    lens: str = ""
    """Array of intrinsics in pixels of the maps."""
    poses: str = ""
    """Array of poses."""
    direction: Direction = "w2c"
    valid: str = ""
    """Array of the validity, or of a confidence that is 0 where there is no value."""
    crops: bool = False
    """Whether the maps are cut at the right and bottom, which the principal point shows."""


METRIC, RELATIVE = DepthKind.METRIC, DepthKind.RELATIVE

ARCHIVES: tuple[Tool, ...] = (
    Tool(  # cvd_opt/cvd_opt.py, camera_tracking_scripts/test_demo.py
        name="MegaSaM",
        files="`*_sgd_cvd_hr.npz`, `*_droid.npz`",
        meaning="depth up to scale; lens and poses",
        keys=("depths", "intrinsic", "cam_c2w"),
        depth="depths",
        kind=RELATIVE,
        lens="intrinsic",
        poses="cam_c2w",
        direction="c2w",
        crops=True,
    ),
    Tool(  # depth_anything_3/utils/export/npz.py
        name="Depth Anything 3",
        files="`results.npz` with poses",
        meaning="depth up to scale; lens and poses",
        keys=("depth", "conf", "extrinsics", "intrinsics"),
        depth="depth",
        kind=RELATIVE,
        lens="intrinsics",
        poses="extrinsics",
    ),
    Tool(  # da3_streaming/da3_streaming.py
        name="Depth Anything 3 (streaming)",
        files="folder `results_output` of `frame_N.npz`",
        meaning="depth up to scale; lens",
        keys=("image", "depth", "conf", "intrinsics"),
        depth="depth",
        kind=RELATIVE,
        lens="intrinsics",
    ),
    Tool(  # scripts/gradio_app.py
        name="MapAnything",
        files="`predictions.npz`",
        meaning="meters; lens and poses",
        keys=("depth", "final_mask", "extrinsic", "intrinsic"),
        depth="depth",
        kind=METRIC,
        lens="intrinsic",
        poses="extrinsic",
        direction="either",
        valid="final_mask",
    ),
    Tool(  # demo_gradio.py of facebookresearch/vggt
        name="VGGT",
        files="`predictions.npz`",
        meaning="depth up to scale; lens and poses",
        keys=("depth", "extrinsic", "intrinsic"),
        depth="depth",
        kind=RELATIVE,
        lens="intrinsic",
        poses="extrinsic",
        direction="either",
    ),
    Tool(  # run.py
        name="GeometryCrafter",
        files="`*.npz` of point maps",
        meaning="depth up to scale, with the lens of the points",
        keys=("point_map", "mask"),
        depth="point_map",
        kind=RELATIVE,
        valid="mask",
    ),
    Tool(  # demo_gradio.py
        name="Pi3",
        files="`predictions.npz`",
        meaning="depth up to scale, with the lens of the points and poses",
        keys=("points", "camera_poses"),
        depth="points",
        world_points=True,
        kind=RELATIVE,
        poses="camera_poses",
        direction="c2w",
        valid="conf",
    ),
    Tool(  # returned by DepthPro.infer in depth_pro.py
        name="Depth Pro",
        files="`*.npz`",
        meaning="meters; focal length if it is saved",
        keys=("depth", "focallength_px"),
        depth="depth",
        kind=METRIC,
        lens="focallength_px",
    ),
    Tool(  # UniDepth/scripts/demo_mega-sam.py
        name="UniDepth",
        files="folder of `*.npz` with `fov`",
        meaning="meters; lens",
        keys=("depth", "fov"),
        depth="depth",
        kind=METRIC,
        lens="fov",
    ),
    Tool(  # run.py
        name="Video Depth Anything",
        files="`*_depths.npz`, `*_depths_exr/`",
        meaning="disparity or, from the metric model, meters: `--depth-kind` decides",
        keys=("depths",),
        without=("kind", "valid", "world_to_camera", "cam_c2w"),
        depth="depths",
        doubt=(
            "Video Depth Anything writes disparity of its relative model and meters of its metric model under the "
            "same name"
        ),
    ),
)
"""Archives, the more specific ones first."""

OTHERS: tuple[Tool, ...] = (
    Tool(
        name="DepthCrafter",
        files="`*.npz`, folder of `frame_N.exr`, gray video",
        meaning="normalized disparity: `--depth-kind inverse`",
    ),
    Tool(name="MoGe", files="folder with `*/depth.exr`", meaning="meters (MoGe-1: up to scale); infinite is sky; lens"),
    Tool(
        name="ViPE",
        files="its folder, or `depth/*.zip`",
        meaning="meters; lens and poses; frames may be missing",
    ),
    Tool(name="Vista4D", files="folder `depths` of EXR beside `cameras.npz`", meaning="meters; lens and poses"),
    Tool(name="CUT3R", files="its folder, or `depth/`", meaning="depth up to scale; lens and poses"),
    Tool(name="MonST3R", files="its folder with `frame_N.npy`", meaning="depth up to scale; lens and poses"),
    Tool(name="Record3D", files="`.r3d`, or its folder of EXR", meaning="meters; lens and poses"),
    Tool(
        name="Depth Anything V2",
        files="`*_raw_depth_meter.npy`; gray PNG or video",
        meaning="meters in `.npy`; else normalized disparity: `--depth-kind inverse`",
    ),
    Tool(
        name="Marigold, Lotus",
        files="folder of `*_depth.npy` or 16-bit PNG",
        meaning="normalized in each frame: `--depth-kind affine`, or `inverse` of Lotus with disparity",
    ),
    Tool(name="KITTI", files="PNG in `proj_depth` or `groundtruth`", meaning="1/256 m, 0 unknown"),
    Tool(name="TUM RGB-D", files="PNG beside `depth.txt`", meaning="1/5000 m, 0 unknown"),
    Tool(name="MPI Sintel", files="folder of `.dpt`", meaning="meters"),
    Tool(name="Middlebury", files="`disp*.pfm`", meaning="disparity, infinite is unknown: `--depth-kind inverse`"),
    Tool(name="Blender", files="EXR, also multilayer and multipart", meaning="scene units as meters; 1e10 is sky"),
    Tool(
        name="Unreal Engine", files="EXR with a layer `WorldDepth` or `SceneDepth`", meaning="centimeters; 65504 is sky"
    ),
    Tool(name="Houdini, Arnold", files="EXR with `Pz` or `Z`", meaning="scene units as meters; `Pz` of either sign"),
    Tool(name="Nuke", files="EXR with `depth.Z`", meaning="1/z or z: `--depth-kind` decides unless slopes show depth"),
)
"""Layouts of images and folders, which their readers recognize."""

GENERIC_DEPTH = ("depth", "depths", "depth_map", "depth_maps", "pred_depth", "depth_pred", "predicted_depth")
GENERIC_INVERSE = ("inverse_depth", "disparity", "disparities", "disp", "disps", "inv_depth")
GENERIC_LENS = ("intrinsics", "K", "intrinsic", "Ks", "camera_matrix")
GENERIC_VALID = ("valid", "valid_mask", "validity", "depth_valid", "depth_mask")
GENERIC_MASK = ("mask", "masks")
PICTURES = ("images", "image", "rgb", "frames", "video", "colors")
GENERIC_POSES: Mapping[str, Direction] = {
    "world_to_camera": "w2c",
    "w2c": "w2c",
    "extrinsics": "either",
    "extrinsic": "either",
    "cam_c2w": "c2w",
    "c2w": "c2w",
    "camera_to_world": "c2w",
    "cam2world": "c2w",
    "camera_poses": "c2w",
    "poses": "unknown",
    "pose": "unknown",
    "cam_poses": "unknown",
    "camera_pose": "unknown",
}
"""Names in archives of unknown tools."""


def tool_of(names: Mapping[str, object]) -> Tool | None:
    """Return the tool that writes an archive with these arrays, if it is known."""
    for tool in ARCHIVES:
        if all(key in names for key in tool.keys) and not any(key in names for key in tool.without):
            return tool
    return None


def format_table() -> str:
    """Return the table of tools for the docs, in Markdown."""
    rows = [f"| {tool.name} | {tool.files} | {tool.meaning} |" for tool in (*ARCHIVES, *OTHERS)]
    return "\n".join(["| tool | files | read as |", "|---|---|---|", *rows])
