"""The values passed between stages: video -> depth -> mesh -> guidance -> video."""

from ex4d_core.types.camera import DEFAULT_FOV, CameraPath, Intrinsics
from ex4d_core.types.depth import DepthKind, DepthVideo, Scene
from ex4d_core.types.guidance import Guidance, RenderedFrame
from ex4d_core.types.mesh import VISIBLE_ALPHA, Mesh
from ex4d_core.types.video import Origin, Video

__all__ = [
    "DEFAULT_FOV",
    "VISIBLE_ALPHA",
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
]
