"""From guidance to what the transformer is told: sizes, what counts as known, and what the encoders make of it.

The known part is eroded first, see `ex4d_core.masks.erosion`; masks simulated for training are eroded there already.

The order, the ranges and the roundings are those that Wan and the EX-4D adapter were trained with; the hidden part of
the mask is -3 and not -1, for instance.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from ex4d_backbone_wan.options import PATCH, STRIDE
from ex4d_core.video_io.framing import Framing, frame_to


@attrs.frozen(eq=False, kw_only=True)
class Known:
    """What is known of some frames, at the size that is worked at, on the CPU."""

    color: Tensor
    """float32 [T, 3, H, W] in [0, 1]."""
    mask: Tensor
    """bool [T, H, W], True = known."""

    @property
    def video(self) -> Tensor:
        """float32 [T, 3, H, W] in [-1, 1], -1 where hidden."""
        return self.color * self.mask[:, None] * 2 - 1

    @property
    def mask_video(self) -> Tensor:
        """float32 [T, 3, H, W], 1 where known and -3 where hidden."""
        return (self.mask[:, None].float() * 4 - 3).expand_as(self.color)

    @property
    def first_picture(self) -> Tensor:
        """float32 [3, H, W] in [0, 1]: the first frame in 256 levels, rounded down, 0 where hidden."""
        return (self.color[0] * self.mask[0] * 255).byte().float() / 255

    def starting_with(self, frames: Tensor) -> Known:
        """Return it with other first frames, float32 [n, 3, H, W] in [0, 1], all of which is known."""
        rest = len(frames)
        return Known(
            color=torch.cat([frames, self.color[rest:]]),
            mask=torch.cat([torch.ones_like(self.mask[:rest]), self.mask[rest:]]),
        )


def working_size(width: int, height: int, *, size: tuple[int, int] | None, fit: str) -> tuple[int, int]:
    """Return the width and height to work at, multiples of 16.

    Args:
        width: of the clip.
        height: of the clip.
        size: width and height that were asked for, or None for the clip's own.
        fit: `stretch` takes `size` as it is, `aspect` a size of about as many pixels and the clip's shape.
    """
    if size is not None and fit == "stretch":
        return size
    grow = 1.0 if size is None else math.sqrt(size[0] * size[1] / (width * height))
    across, down = (max(PATCH, round(side * grow / PATCH) * PATCH) for side in (width, height))
    return across, down


def known_frames(color: Tensor, mask: Tensor, size: tuple[int, int]) -> Known:
    """Return frames at a size (width, height); where they are resized, black of hidden pixels stays out of colors.

    Args:
        color: uint8 [T, H, W, 3].
        mask: bool [T, H, W], True = known.
        size: to work at.
    """
    height, width = mask.shape[1:]
    framing = frame_to((width, height), size, "stretch")
    # One frame at a time: a clip of a large size is many times what becomes of it.
    seen = [_seen(frame, known, framing) for frame, known in zip(color, mask, strict=True)]
    return Known(color=torch.stack([frame for frame, _ in seen]), mask=torch.stack([known for _, known in seen]))


def _seen(color: Tensor, mask: Tensor, framing: Framing) -> tuple[Tensor, Tensor]:
    """Return a frame float32 [3, H, W] in [0, 1] and its mask, bool [H, W], after a resize."""
    known = mask[..., None]
    both = torch.cat([color * known, known.byte() * 255], dim=-1).float() / 255
    *rgb, share = torch.from_numpy(framing.apply(both.numpy())).unbind(-1)
    return (torch.stack(rgb) / share.clamp(min=0.5)).clamp(0, 1), share > 0.5


def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Return frames [T, H, W, C] in another size (width, height), whatever their aspect ratio."""
    height, width = frames.shape[1:3]
    framing = frame_to((width, height), size, "stretch")
    return torch.stack([torch.from_numpy(framing.apply(frame.numpy())) for frame in frames])


def image_feature(encoder: Any, picture: Tensor) -> Tensor:
    """Return what CLIP's last block but one makes of a picture, [1, 1 + patches, C].

    The picture is resized straight to the encoder's square, whatever its shape, by bicubic interpolation.

    Args:
        encoder: the loaded image encoder.
        picture: float32 [3, H, W] in [0, 1].
    """
    model = encoder.model
    square = functional.interpolate(picture[None], size=(encoder.size, encoder.size), mode="bicubic")
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (encoder.mean, encoder.std))
    pixels = ((square - mean) / std).to(model.device, model.dtype)
    feature: Tensor = model(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
    return feature


def image_latents(vae: Any, picture: Tensor, num_frames: int) -> Tensor:
    """Return which latent frames are given and what they are, [1, 4 + 16, t, h, w].

    Given is the first frame, and gray for the others, of which nothing is given.

    Args:
        vae: the loaded VAE.
        picture: float32 [3, H, W] in [0, 1].
        num_frames: of the video, 4k+1.
    """
    gray = torch.zeros(num_frames - 1, *picture.shape)
    latents = encode(vae, torch.cat([picture[None] * 2 - 1, gray]))
    given = torch.zeros_like(latents[:, :STRIDE])
    given[:, :, 0] = 1
    return torch.cat([given, latents], dim=1)


def encode(vae: Any, video: Tensor) -> Tensor:
    """Return normalized latents float32 [1, 16, t, h, w] of a video [4k+1, 3, H, W] in [-1, 1]."""
    pixels = video.movedim(0, 1)[None].to(vae.device, vae.dtype)
    mean, std = _statistics(vae)
    latents: Tensor = (vae.encode(pixels).latent_dist.mode().float() - mean) / std
    return latents


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Return the video float32 [4k+1, 3, H, W] in [0, 1], on the CPU, of normalized latents [1, 16, t, h, w]."""
    mean, std = _statistics(vae)
    raw = (latents.to(vae.device).float() * std + mean).to(vae.dtype)
    decoded: Tensor = vae.decode(raw, return_dict=False)[0][0]
    return (decoded.float() / 2 + 0.5).clamp(0, 1).movedim(1, 0).cpu()


def _statistics(vae: Any) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the latents that Wan was trained with, [1, 16, 1, 1, 1]."""
    mean, std = (
        torch.tensor(values, device=vae.device).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    return mean, std
