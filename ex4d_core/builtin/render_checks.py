"""Input checks that renderers share."""

from __future__ import annotations

import torch
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.types import Mesh, RenderedFrame


def check_view(num_vertices: int, faces: Tensor, pose_shape: tuple[int, ...]) -> None:
    """Refuse a view that cannot be rendered.

    Compiled loops and GPU kernels do not check indices: a wrong one would read other memory, or fail later without
    a reference to its cause.

    Args:
        num_vertices: number of vertices of the mesh.
        faces: int32 [F, 3], indices of vertices.
        pose_shape: shape of the world-to-camera matrix.

    Raises:
        InvalidInput: a face has an index that is not a vertex, or the pose is not 4 x 4.
    """
    if pose_shape != (4, 4):
        raise InvalidInput(f"world_to_camera must be [4, 4], the pose of one frame, not {list(pose_shape)}")
    if len(faces):
        low, high = (int(index) for index in torch.aminmax(faces))
        if low < 0 or high >= num_vertices:
            raise InvalidInput(f"the mesh has {num_vertices} vertices, but its faces have indices from {low} to {high}")


class ViewCheck:
    """Refuses views that cannot be rendered. Faces on a GPU that many frames share are checked once."""

    def __init__(self) -> None:
        self._valid: tuple[Tensor, int] | None = None

    def __call__(self, mesh: Mesh, world_to_camera: Tensor) -> None:
        """Check one view.

        Raises:
            InvalidInput: a face has an index that is not a vertex, or the pose is not 4 x 4.
        """
        vertices, shape = len(mesh.vertices), tuple(world_to_camera.shape)
        is_known = self._valid is not None and self._valid[0] is mesh.faces and self._valid[1] == vertices
        check_view(vertices, mesh.faces[:0] if is_known else mesh.faces, shape)
        self._valid = mesh.faces, vertices


def empty_view(height: int, width: int, device: torch.device) -> RenderedFrame:
    """Return a view of an empty scene."""
    return RenderedFrame(
        color=torch.zeros(height, width, 3, dtype=torch.uint8, device=device),
        mask=torch.zeros(height, width, dtype=torch.bool, device=device),
        depth=torch.full((height, width), torch.inf, device=device),
    )
