"""The networks of VACE."""

from __future__ import annotations

import torch
from torch import Tensor

from ex4d_backbone_vace.options import VaceOptions
from ex4d_backbone_vace.transformer import VaceSource
from ex4d_backbone_wan.conditioning import encode
from ex4d_backbone_wan.networks import Networks


class VaceNetworks(Networks):
    """All networks of VACE, loaded at first use.

    Args:
        options: of the backbone.
        device: of all networks, or the first of several.
    """

    def __init__(self, options: VaceOptions, *, device: torch.device) -> None:
        super().__init__(options, device=device, source=VaceSource)
        self._gray: tuple[torch.Size, Tensor] | None = None

    def gray_latents(self, shape: torch.Size) -> Tensor:
        """Return the latents of a mid gray video [4k+1, 3, H, W], [1, 16, t, h, w]; call it in `coding`.

        They are cached, because all windows and camera paths of a clip use the same.
        """
        if self._gray is None or self._gray[0] != shape:
            self._gray = shape, encode(self.vae, torch.zeros(shape))
        return self._gray[1]
