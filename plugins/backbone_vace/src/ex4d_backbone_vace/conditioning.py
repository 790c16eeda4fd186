"""Encode guidance as the control of VACE: visible colors, hidden colors and mask, 96 channels of latents.

As in VACE (Jiang et al. 2025, arXiv 2503.07598, 3.2), visible and hidden pixels are encoded as two videos, each gray
where the other one is. Hidden regions of guidance have no colors, so that the second video is gray.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from ex4d_backbone_vace.networks import VaceNetworks
from ex4d_backbone_vace.transformer import controlled
from ex4d_backbone_wan.conditioning import Known, encode
from ex4d_backbone_wan.denoiser import Conditioning
from ex4d_backbone_wan.generation import Encoded
from ex4d_backbone_wan.options import STRIDE


@attrs.frozen(eq=False, kw_only=True)
class VaceConditioning(Conditioning):
    """Conditioning of VACE."""

    control: Tensor
    """[1, 96, t, h, w]."""
    scale: Tensor
    """Scale of the control, one number or one for each block of the branch."""

    def applied(self, transformer: Any) -> AbstractContextManager[None]:
        """See `Conditioning`."""
        return controlled(transformer, self.control, self.scale)


def encode_control(
    networks: VaceNetworks,
    known: Known,
    *,
    text: Tensor,
    negative_text: Tensor,
    scale: tuple[float, ...],
    reference: Tensor | None,
) -> Encoded:
    """Encode the conditioning of a window.

    Args:
        networks: of VACE.
        known: 4k+1 frames.
        text: embedding of the prompt [1, 512, C].
        negative_text: embedding of the negative prompt.
        scale: of the control, one number or one for each block of the branch.
        reference: picture float32 [3, H, W] in [0, 1] of the content to generate, or None.
    """
    with networks.coding(known.color.shape) as vae:
        visible = encode(vae, gray_video(known))
        gray = networks.gray_latents(known.color.shape)
        leading = None if reference is None else _reference_latents(vae, reference, known.color.shape[-2:])
    colors, mask = torch.cat([visible, gray], dim=1), mask_channels(~known.mask, scale=networks.latent_scale)
    if leading is not None:
        # A picture is visible entirely, so that the other half and its mask are 0.
        colors = torch.cat([functional.pad(leading, (0, 0, 0, 0, 0, 0, 0, leading.shape[1])), colors], dim=2)
        mask = functional.pad(mask, (0, 0, 0, 0, leading.shape[2], 0))
    control = torch.cat([colors, mask.to(colors)], dim=1)
    conditioning = VaceConditioning(text=text, negative_text=negative_text, control=control, scale=torch.tensor(scale))
    return Encoded(conditioning=conditioning, color=visible, leading=leading)


def gray_video(known: Known) -> Tensor:
    """Return the visible colors, float32 [T, 3, H, W] in [-1, 1], and mid gray (0) in hidden regions."""
    return (known.color * 2 - 1) * known.mask[:, None]


def mask_channels(hidden: Tensor, *, scale: int) -> Tensor:
    """Return the mask of hidden pixels as channels of latents, float32 [1, scale^2, t, H / scale, W / scale].

    A pixel of a latent frame is hidden if it is hidden in any of its frames. diffusers uses one of these frames, so
    that a hole in the others is lost.

    Args:
        hidden: bool [4k+1, H, W].
        scale: side of a latent pixel.
    """
    first, rest = hidden[:1], hidden[1:]
    merged = torch.cat([first, rest.view(-1, STRIDE, *hidden.shape[1:]).any(dim=1)])
    frames, height, width = merged.shape
    pixels = merged.view(frames, height // scale, scale, width // scale, scale)
    return pixels.permute(2, 4, 0, 1, 3).flatten(0, 1)[None].float()


def letterboxed(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a picture [3, H, W] in [0, 1] into a white one of a size (height, width), keeping its aspect ratio."""
    height, width = size
    ratio = min(height / picture.shape[1], width / picture.shape[2])
    inner = (max(1, int(picture.shape[1] * ratio)), max(1, int(picture.shape[2] * ratio)))
    small = functional.interpolate(picture[None], size=inner, mode="bilinear", align_corners=False)[0]
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    canvas = picture.new_ones(3, height, width)
    canvas[:, top : top + inner[0], left : left + inner[1]] = small
    return canvas


def _reference_latents(vae: Any, picture: Tensor, size: torch.Size) -> Tensor:
    """Return the latents of a picture, [1, 16, 1, h, w]."""
    height, width = size
    return encode(vae, letterboxed(picture, (height, width))[None] * 2 - 1)
