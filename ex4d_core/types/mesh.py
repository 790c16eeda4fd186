"""A depth watertight mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np

from ex4d_core.field_help import with_fields
from ex4d_core.types._arrays import optional_shaped, shaped

if TYPE_CHECKING:  # torch takes seconds to import
    import torch
    from torch import Tensor

VISIBLE_ALPHA = 125 / 255
"""Threshold of the interpolated alpha (0..1): a pixel is visible above it, as in EX-4D."""


@with_fields
@attrs.frozen(eq=False, kw_only=True)
class Mesh:
    """A colored surface whose faces are visible or occluded in the source view: {V, F, T, O} of the EX-4D paper.

    All tensors are on one device.
    """

    vertices: Tensor = shaped("V 3", "float32")
    """float32 [V, 3], in the frame of the source camera of this video frame (x right, y down, z forward)."""

    faces: Tensor = shaped("F 3", "int32")
    """int32 [F, 3], indices of vertices."""

    vertex_colors: Tensor = shaped("V 3", "uint8")
    """uint8 [V, 3], sRGB."""

    face_occluded: Tensor = shaped("F", "bool")
    """bool [F], True for faces that close the mesh and are not visible from the source camera."""

    max_stretch: Tensor | None = optional_shaped("F", "float32")
    """float32 [F], stretch (see `ex4d_core.geometry.stretch`) above which an occluded face is hidden; below 1, it is
    hidden from every camera. Colors are then interpolated in the source image, not in space. None: occluded faces are
    hidden from every camera and lower the alpha of their vertices, as in EX-4D."""

    @property
    def device(self) -> torch.device:
        """The device of all tensors."""
        return self.vertices.device

    def numpy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices and faces, float32 [V, 3] and int32 [F, 3]."""
        return self.vertices.numpy(force=True), self.faces.numpy(force=True)

    def to(self, device: torch.device | str) -> Mesh:
        """Return the mesh on a device."""
        return Mesh(
            vertices=self.vertices.to(device),
            faces=self.faces.to(device),
            vertex_colors=self.vertex_colors.to(device),
            face_occluded=self.face_occluded.to(device),
            max_stretch=None if self.max_stretch is None else self.max_stretch.to(device),
        )

    def vertex_alpha(self) -> Tensor:
        """Return bool [V]: False at the vertices of occluded faces, True elsewhere."""
        import torch

        num_vertices = self.vertices.shape[0]
        alpha = torch.ones(num_vertices + 1, dtype=torch.bool, device=self.device)
        if self.device.type == "cpu":
            hidden = self.faces[self.face_occluded]
        else:
            # Selecting faces would synchronize with the GPU; instead, visible faces write to a spare slot.
            hidden = torch.where(self.face_occluded[:, None], self.faces, num_vertices)
        # `alpha[...] = False` would synchronize too, to copy the False.
        alpha.index_fill_(0, hidden.flatten().long(), False)
        return alpha[:num_vertices]
