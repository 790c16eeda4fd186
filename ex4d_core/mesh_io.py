"""Read and write meshes: PLY (lossless) and GLB (for web viewers)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ex4d_core.bounds import require
from ex4d_core.errors import InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.reading import as_path, check_file, reading
from ex4d_core.types import VISIBLE_ALPHA, Mesh

if TYPE_CHECKING:
    import trimesh

_FORMATS = (".ply", ".glb")

_LINEAR = "_linear"
"""Attribute of the vertices that becomes `COLOR_0`, whose colors trimesh would write with 8 bits."""

_CLOSED = 1e-6
"""Largest sum of the vector areas of the faces of a closed mesh, relative to the sum of their areas."""


def write_mesh(mesh: Mesh, path: str | Path) -> None:
    """Write a mesh as binary PLY or as GLB, by its suffix.

    The faces of a closed mesh are turned outwards. Colors are RGBA with alpha 0 at the vertices of occluded faces. PLY
    has OpenCV axes (x right, y down, z forward), sRGB colors and a face property `occluded`; GLB has glTF axes (y up,
    z backward), linear colors as glTF requires, and is unlit.

    Raises:
        InvalidInput: the suffix is neither .ply nor .glb.
        OutputFailed: the file cannot be written.
    """
    require(mesh, Mesh, "write_mesh")
    path = as_path(path, "output file")
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise InvalidInput(f"{path} has no suffix of a mesh file; use .ply or .glb")
    data = _ply_bytes(mesh) if suffix == ".ply" else _glb_bytes(mesh)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def read_mesh(path: str | Path) -> Mesh:
    """Return the mesh of a PLY file, on the CPU.

    PLY files of other programs are supported: without colors the mesh is white, without `occluded` all faces are
    visible.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a PLY of triangles with finite vertices.
    """
    path = as_path(path, "mesh file")
    check_file(path, "mesh file")
    with reading(path, "PLY mesh"):
        loaded = _load_ply(path)
        occluded, stretch = _face_property(loaded, "occluded"), _face_property(loaded, "max_stretch")
        mesh = Mesh(
            vertices=_tensor(loaded.vertices, np.float32),
            faces=_tensor(loaded.faces, np.int32),
            vertex_colors=_tensor(_colors_or_white(loaded), np.uint8),
            face_occluded=_tensor(np.zeros(len(loaded.faces)) if occluded is None else occluded, np.bool_),
            max_stretch=None if stretch is None else _tensor(stretch, np.float32),
        )
    if not mesh.vertices.isfinite().all():
        raise InvalidInput(f"{path} has a vertex that is not finite; export the mesh again")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise InvalidInput(f"{path} has a face whose vertices do not exist; export the mesh again")
    return mesh


def _ply_bytes(mesh: Mesh) -> bytes:
    made = _as_trimesh(mesh, mesh.vertices.cpu().numpy(), _rgba(mesh))
    made.face_attributes["occluded"] = mesh.face_occluded.cpu().numpy().astype(np.uint8)
    if mesh.max_stretch is not None:
        made.face_attributes["max_stretch"] = mesh.max_stretch.cpu().numpy()
    data: Any = made.export(file_type="ply", encoding="binary", vertex_normal=False, include_attributes=True)
    return bytes(data)


def _glb_bytes(mesh: Mesh) -> bytes:
    upright = mesh.vertices.cpu().numpy() * np.array([1, -1, -1], np.float32)
    made = _as_trimesh(mesh, upright)
    made.vertex_attributes[_LINEAR] = _linear(_rgba(mesh))
    data: Any = made.export(file_type="glb", include_normals=False, tree_postprocessor=_show_as_guidance)
    return bytes(data)


def _linear(colors: np.ndarray) -> np.ndarray:
    """Return sRGB colors with alpha, uint8 [N, 4], as the linear ones of glTF's COLOR_0, uint16 (IEC 61966-2-1)."""
    shades = np.arange(256) / 255
    curve = np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)
    linear = np.column_stack([curve[colors[:, :3]], colors[:, 3] / 255])
    return np.round(linear * 65535).astype(np.uint16)


def _show_as_guidance(tree: dict[str, Any]) -> None:
    """Give a glTF tree its colors and one unlit two-sided material that hides what the source camera did not see."""
    tree["extensionsUsed"] = ["KHR_materials_unlit"]
    tree["materials"] = [
        {
            "alphaMode": "MASK",
            "alphaCutoff": VISIBLE_ALPHA,
            "doubleSided": True,
            "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
            "extensions": {"KHR_materials_unlit": {}},
        }
    ]
    for part in tree["meshes"]:
        for primitive in part["primitives"]:
            primitive["material"] = 0
            colors = primitive["attributes"].pop(_LINEAR)
            primitive["attributes"]["COLOR_0"] = colors
            tree["accessors"][colors]["normalized"] = True


def _as_trimesh(mesh: Mesh, vertices: np.ndarray, colors: np.ndarray | None = None) -> trimesh.Trimesh:
    import trimesh

    return trimesh.Trimesh(vertices, _turned_outwards(mesh), vertex_colors=colors, process=False)


def _rgba(mesh: Mesh) -> np.ndarray:
    """Return the colors, uint8 [N, 4], with alpha 0 at the vertices of occluded faces."""
    alpha = mesh.vertex_alpha().cpu().numpy()
    return np.column_stack([mesh.vertex_colors.cpu().numpy(), np.where(alpha, 255, 0).astype(np.uint8)])


def _turned_outwards(mesh: Mesh) -> np.ndarray:
    """Return the faces, counterclockwise from outside if the mesh is closed, as programs that cull back faces require.

    The vector areas of a closed surface add up to zero, and its volume is a third of the sum of their products with
    a point of each face; the order of vertices determines the signs (divergence theorem).
    """
    faces = mesh.faces.cpu().numpy()
    a, b, c = mesh.vertices.cpu().numpy().astype(np.float64)[faces.T]
    areas = np.cross(b - a, c - a)
    is_closed = np.linalg.norm(areas.sum(axis=0)) <= _CLOSED * np.linalg.norm(areas, axis=1).sum()
    return faces[:, ::-1] if is_closed and (a * areas).sum() < 0 else faces


def _load_ply(path: Path) -> trimesh.Trimesh:
    import trimesh

    loaded = trimesh.load_mesh(path, file_type="ply", process=False, fix_texture=False)
    if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
        raise InvalidInput(f"{path} holds no triangles; give a PLY with vertices and faces")
    return loaded


def _face_property(loaded: trimesh.Trimesh, name: str) -> np.ndarray | None:
    """Return a scalar property of each face of a loaded PLY, or None; trimesh keeps those only in its raw data."""
    raw: Any = loaded.metadata.get("_ply_raw", {}).get("face", {}).get("data")
    names = raw.dtype.names if isinstance(raw, np.ndarray) else raw
    return np.asarray(raw[name]).reshape(-1) if names is not None and name in names else None


def _colors_or_white(loaded: trimesh.Trimesh) -> np.ndarray:
    visual: Any = loaded.visual
    if visual.kind != "vertex":
        return np.full((len(loaded.vertices), 3), 255)
    return np.asarray(visual.vertex_colors)[:, :3]


def _tensor(array: Any, dtype: type) -> torch.Tensor:
    return torch.from_numpy(np.array(array, dtype))
