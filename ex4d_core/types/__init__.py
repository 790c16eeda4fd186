"""The values that flow through a run: video -> depth -> mesh -> guidance -> video."""

from ex4d_core.types.camera import DEFAULT_FOV, CameraPath, Intrinsics
from ex4d_core.types.depth import DepthKind, DepthVideo, Scene
from ex4d_core.types.guidance import Guidance, RenderedFrame
from ex4d_core.types.mesh import Mesh
from ex4d_core.types.video import Origin, Video

__all__ = [
    "DEFAULT_FOV",
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
