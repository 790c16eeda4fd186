"""Checks that the GPU renderers share."""

from __future__ import annotations

import torch
from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.types import Mesh, RenderedFrame


class ViewCheck:
    """Refuses views that cannot be rendered; a list of faces that many frames share is looked at once."""

    def __init__(self) -> None:
        self._good: tuple[Tensor, int] | None = None

    def __call__(self, mesh: Mesh, world_to_camera: Tensor) -> None:
        """Check one view.

        Raises:
            InvalidInput: a face names a vertex that does not exist, or the pose is not 4 x 4.
        """
        if tuple(world_to_camera.shape) != (4, 4):
            shape = list(world_to_camera.shape)
            raise InvalidInput(f"world_to_camera must be [4, 4], the pose of one frame, not {shape}")
        vertices = len(mesh.vertices)
        if self._good is not None and self._good[0] is mesh.faces and self._good[1] == vertices:
            return
        if len(mesh.faces):
            # A wrong index would stop the whole GPU, later and with no hint where it came from.
            low, high = (int(index) for index in torch.aminmax(mesh.faces))
            if low < 0 or high >= vertices:
                raise InvalidInput(f"the mesh has {vertices} vertices but its faces name vertices {low} to {high}")
        self._good = mesh.faces, vertices


def empty_view(height: int, width: int, device: torch.device) -> RenderedFrame:
    """Return a view in which nothing is."""
    return RenderedFrame(
        color=torch.zeros(height, width, 3, dtype=torch.uint8, device=device),
        mask=torch.zeros(height, width, dtype=torch.bool, device=device),
        depth=torch.full((height, width), torch.inf, device=device),
    )
