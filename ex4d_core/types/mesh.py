"""A depth watertight mesh."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from ex4d_core.types._arrays import shaped


@attrs.frozen(eq=False, kw_only=True)
class Mesh:
    """A surface that says of each face whether the source camera saw it: {V, F, T, O} of the EX-4D paper.

    All tensors are on one device.
    """

    vertices: Tensor = shaped("V 3", torch.float32)
    """float32 [V, 3], in the frame of the source camera of this video frame (x right, y down, z forward)."""

    faces: Tensor = shaped("F 3", torch.int32)
    """int32 [F, 3], indices of vertices."""

    vertex_colors: Tensor = shaped("V 3", torch.uint8)
    """uint8 [V, 3], sRGB."""

    face_occluded: Tensor = shaped("F", torch.bool)
    """bool [F], True where the face closes the mesh but nobody saw it."""

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.vertices.device

    def vertex_alpha(self) -> Tensor:
        """Return bool [V]: False at the vertices of occluded faces, True elsewhere."""
        num_vertices = self.vertices.shape[0]
        alpha = torch.ones(num_vertices + 1, dtype=torch.bool, device=self.device)
        if self.device.type == "cpu":
            hidden = self.faces[self.face_occluded]
        else:
            # Picking faces would wait for the GPU; instead all faces write, the seen ones into a spare slot.
            hidden = torch.where(self.face_occluded[:, None], self.faces, num_vertices)
        # `alpha[...] = False` would wait for the GPU too, to bring the False there.
        alpha.index_fill_(0, hidden.flatten().long(), False)
        return alpha[:num_vertices]
