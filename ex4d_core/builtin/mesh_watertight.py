"""The `watertight` mesh builder."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ex4d_core.cuda_graph import Graphed
from ex4d_core.geometry.watertight import build_watertight, surface
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.types import Intrinsics, Mesh


class WatertightMesh:
    """Builds the depth watertight mesh of a frame on a device."""

    def __init__(self, options: WatertightOptions, *, device: torch.device) -> None:
        self._options = options
        self._device = device
        self._surface = Graphed(partial(surface, options=options))

    def build(self, frame: Tensor, depth: Tensor, intrinsics: Intrinsics, *, valid: Tensor | None = None) -> Mesh:
        """Return the mesh in the frame of the source camera; see `build_watertight`."""
        depth = depth.to(self._device, non_blocking=True)
        return build_watertight(frame, depth, intrinsics, self._options, valid=valid, compute=self._surface)
