"""Meshes for the page: visible faces with the frame as texture, and occluded faces."""

from __future__ import annotations

import io

import attrs
import cv2
import numpy as np
import torch
import trimesh
from PIL import Image
from torch import Tensor
from trimesh.visual.material import PBRMaterial

from ex4d_core.geometry.projective import transform_points
from ex4d_core.types import Intrinsics, Mesh

TEXTURE_SIDE = 512
"""Pixels along the longer side of a texture."""

FAR_OUT = 1.5
"""Faces deeper than this multiple of the largest depth only close the mesh, and are not shown."""


@attrs.frozen(eq=False, kw_only=True)
class Part:
    """Some faces of a mesh."""

    vertices: np.ndarray
    """float32 [V, 3] in world coordinates."""
    faces: np.ndarray
    """uint32 [F, 3]."""
    uv: np.ndarray
    """float32 [V, 2], position of each vertex in the frame: (0, 0) is the upper left corner, (1, 1) the lower right."""


@attrs.frozen(eq=False, kw_only=True)
class PageMesh:
    """The mesh of one frame in two parts."""

    seen: Part
    hidden: Part
    """Occluded faces, without those that close the mesh far behind the scene."""


def page_mesh(mesh: Mesh, source_to_world: Tensor, lens: Intrinsics, *, deepest: float) -> PageMesh:
    """Return the visible and the occluded part of a mesh, in world coordinates.

    Args:
        mesh: mesh in the frame of the source camera.
        source_to_world: float32 [4, 4], pose of the source camera.
        lens: intrinsics of the source camera.
        deepest: largest valid depth, in units of the mesh.
    """
    x, y, z = mesh.vertices.T
    uv = torch.stack([(lens.fx * x / z + lens.cx) / lens.width, (lens.fy * y / z + lens.cy) / lens.height], dim=-1)
    placed = transform_points(source_to_world, mesh.vertices)
    shown = (z <= FAR_OUT * deepest)[mesh.faces.long()].all(dim=1)
    return PageMesh(
        seen=_part(placed, mesh.faces[shown & ~mesh.face_occluded], uv),
        hidden=_part(placed, mesh.faces[shown & mesh.face_occluded], uv),
    )


def textured_glb(part: Part, picture: np.ndarray) -> bytes:
    """Return a part as binary glTF with a picture, uint8 [h, w, 3] sRGB, that lights do not affect."""
    longer = max(picture.shape[:2])
    if longer > TEXTURE_SIDE:
        size = [max(1, round(side * TEXTURE_SIDE / longer)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    # Black and emissive, since the lights of the page would change the colors.
    material = PBRMaterial(
        baseColorFactor=[0, 0, 0, 255],
        emissiveTexture=_jpeg(picture),
        emissiveFactor=[1.0, 1.0, 1.0],
        metallicFactor=0.0,
        roughnessFactor=1.0,
        doubleSided=True,
    )
    upwards = np.stack([part.uv[:, 0], 1 - part.uv[:, 1]], axis=-1)  # v of trimesh starts at the lower edge
    visual = trimesh.visual.TextureVisuals(uv=upwards, material=material)
    mesh = trimesh.Trimesh(vertices=part.vertices, faces=part.faces, visual=visual, process=False)
    glb = mesh.export(file_type="glb")
    assert isinstance(glb, bytes)
    return glb


def _part(vertices: Tensor, faces: Tensor, uv: Tensor) -> Part:
    """Return faces with the vertices that they use."""
    used, numbers = torch.unique(faces, return_inverse=True)
    return Part(
        vertices=vertices[used.long()].numpy(),
        faces=numbers.numpy().astype(np.uint32).reshape(-1, 3),
        uv=uv[used.long()].numpy(),
    )


def _jpeg(picture: np.ndarray) -> Image.Image:
    """Return a picture that trimesh writes as JPEG, since it preserves the format of images that were read."""
    coded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return Image.open(io.BytesIO(coded.tobytes()))
