"""Small meshes and cameras that the tests of renderers share."""

import numpy as np
import torch

from ex4d_core.geometry.projective import look_at, ray_slopes
from ex4d_core.geometry.watertight import build_watertight
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.types import Intrinsics, Mesh

FRONT = torch.eye(4)
"""The pose of the source camera."""


def mesh_of(vertices, faces, colors=(255, 255, 255), occluded=None) -> Mesh:
    """Return a mesh from lists; one color for all, or one for each vertex."""
    vertices = torch.as_tensor(vertices, dtype=torch.float32).reshape(-1, 3)
    faces = torch.as_tensor(faces, dtype=torch.int32).reshape(-1, 3)
    colors = torch.as_tensor(colors, dtype=torch.uint8).expand(len(vertices), 3).contiguous()
    occluded = [False] * len(faces) if occluded is None else occluded
    return Mesh(vertices=vertices, faces=faces, vertex_colors=colors, face_occluded=torch.as_tensor(occluded).bool())


def quad(corners, colors=(255, 255, 255)) -> Mesh:
    """Return two triangles from four corners, in order around the quad."""
    return mesh_of(corners, [[0, 1, 2], [0, 2, 3]], colors)


def facing_quad(z, *, half_width=0.2, half_height=0.1, color=(255, 255, 255)) -> Mesh:
    """Return a quad parallel to the image, its middle on the camera's axis at depth z."""
    x, y = half_width, half_height
    return quad([[-x, -y, z], [x, -y, z], [x, y, z], [-x, y, z]], color)


def joined(*meshes) -> Mesh:
    """Return one mesh of several, faces in the order given."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        vertices=torch.cat([mesh.vertices for mesh in meshes]),
        faces=torch.cat([mesh.faces + int(start) for mesh, start in zip(meshes, starts, strict=False)]),
        vertex_colors=torch.cat([mesh.vertex_colors for mesh in meshes]),
        face_occluded=torch.cat([mesh.face_occluded for mesh in meshes]),
    )


def painted(height, width) -> torch.Tensor:
    """Return a smooth colorful frame, uint8 [H, W, 3], without black."""
    i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(i / 9 + j / 23), torch.cos(i / 17 - j / 11), torch.sin(j / 7) * torch.cos(i / 13)]
    return (128 + 100 * torch.stack(waves, dim=-1)).to(torch.uint8)


def stepped_depth(intrinsics: Intrinsics) -> torch.Tensor:
    """Return the inside of a room, 8 wide, 4 high and 14 deep, with a disc and a post in it, float32 [H, W]."""
    x, y = ray_slopes(intrinsics, 0.5, torch.device("cpu"))
    x, y = torch.broadcast_tensors(x, y[:, None])
    depth = torch.minimum(4 / x.abs(), 2 / y.abs()).clamp(max=14)
    depth[(x > 0.35) & (x < 0.5) & (depth > 5)] = 5
    depth[(x + 0.1) ** 2 + y**2 < 0.3**2] = 3
    return depth.float()


def stepped_mesh(intrinsics: Intrinsics, options: WatertightOptions | None = None) -> Mesh:
    """Return the watertight mesh of the painted frame and the stepped depth."""
    frame = painted(intrinsics.height, intrinsics.width)
    return build_watertight(frame, stepped_depth(intrinsics), intrinsics, options)


def orbit(yaw, radius=3.15) -> torch.Tensor:
    """Return the pose that looks at the point `radius` ahead of the source camera from `yaw` degrees around it."""
    angle = np.radians(yaw)
    eye = torch.tensor([radius * np.sin(angle), 0.0, radius * (1 - np.cos(angle))])
    return look_at(eye, torch.tensor([0.0, 0.0, radius], dtype=eye.dtype)).float()
