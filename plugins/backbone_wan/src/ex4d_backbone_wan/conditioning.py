"""Convert guidance to the conditioning of the transformer: resize, mask, encode.

The visible region is eroded before, see `ex4d_core.masks.erosion`; simulated masks for training are already eroded.

Order, value ranges and rounding are those of the training of Wan and the EX-4D adapter; for instance, hidden pixels of
the mask are -3, not -1.
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
    """Visible color of frames at the working size, on the CPU."""

    color: Tensor
    """float32 [T, 3, H, W] in [0, 1]."""
    mask: Tensor
    """bool [T, H, W], True = visible."""

    @property
    def video(self) -> Tensor:
        """float32 [T, 3, H, W] in [-1, 1], -1 where hidden."""
        return self.color * self.mask[:, None] * 2 - 1

    @property
    def mask_video(self) -> Tensor:
        """float32 [T, 3, H, W], 1 where visible and -3 where hidden."""
        return (self.mask[:, None].float() * 4 - 3).expand_as(self.color)

    @property
    def first_picture(self) -> Tensor:
        """float32 [3, H, W] in [0, 1]: the first frame in 256 levels, rounded down, 0 where hidden."""
        return (self.color[0] * self.mask[0] * 255).byte().float() / 255

    def starting_with(self, frames: Tensor) -> Known:
        """Replace the first frames by fully visible ones, float32 [n, 3, H, W] in [0, 1]."""
        rest = len(frames)
        return Known(
            color=torch.cat([frames, self.color[rest:]]),
            mask=torch.cat([torch.ones_like(self.mask[:rest]), self.mask[rest:]]),
        )


def working_size(width: int, height: int, *, size: tuple[int, int] | None, fit: str) -> tuple[int, int]:
    """Return the working width and height, multiples of 16.

    Args:
        width: of the clip.
        height: of the clip.
        size: requested width and height, or None for those of the clip.
        fit: `stretch` uses `size` exactly; `aspect` keeps the aspect ratio and about the number of pixels of `size`.
    """
    if size is not None and fit == "stretch":
        return size
    grow = 1.0 if size is None else math.sqrt(size[0] * size[1] / (width * height))
    across, down = (max(PATCH, round(side * grow / PATCH) * PATCH) for side in (width, height))
    return across, down


def known_frames(color: Tensor, mask: Tensor, size: tuple[int, int]) -> Known:
    """Resize frames to (width, height), without blending hidden pixels into visible colors.

    Args:
        color: uint8 [T, H, W, 3].
        mask: bool [T, H, W], True = visible.
        size: working size.
    """
    height, width = mask.shape[1:]
    framing = frame_to((width, height), size, "stretch")
    # Frame by frame, because a large clip needs much more memory than the result.
    seen = [_resize_visible(frame, known, framing) for frame, known in zip(color, mask, strict=True)]
    return Known(color=torch.stack([frame for frame, _ in seen]), mask=torch.stack([known for _, known in seen]))


def _resize_visible(color: Tensor, mask: Tensor, framing: Framing) -> tuple[Tensor, Tensor]:
    """Return a resized frame float32 [3, H, W] in [0, 1] and its mask, bool [H, W]."""
    known = mask[..., None]
    both = torch.cat([color * known, known.byte() * 255], dim=-1).float() / 255
    *rgb, coverage = torch.from_numpy(framing.apply(both.numpy())).unbind(-1)
    return (torch.stack(rgb) / coverage.clamp(min=0.5)).clamp(0, 1), coverage > 0.5


def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize frames [T, H, W, C] to (width, height), ignoring the aspect ratio."""
    height, width = frames.shape[1:3]
    framing = frame_to((width, height), size, "stretch")
    return torch.stack([torch.from_numpy(framing.apply(frame.numpy())) for frame in frames])


def image_feature(encoder: Any, picture: Tensor) -> Tensor:
    """Return the features of an image from CLIP's penultimate block, [1, 1 + patches, C].

    The image is resized to the encoder's square, ignoring its aspect ratio, with bicubic interpolation.

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
    """Return the image conditioning of Wan, [1, 4 + 16, t, h, w]: mask of given latent frames, and their latents.

    Only the first frame is given; the others are gray.

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
    """Encode a video [4k+1, 3, H, W] in [-1, 1] to normalized latents float32 [1, 16, t, h, w]."""
    pixels = video.movedim(0, 1)[None].to(vae.device, vae.dtype)
    mean, std = _statistics(vae)
    latents: Tensor = (vae.encode(pixels).latent_dist.mode().float() - mean) / std
    return latents


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Decode normalized latents [1, 16, t, h, w] to a video float32 [4k+1, 3, H, W] in [0, 1], on the CPU."""
    mean, std = _statistics(vae)
    raw = (latents.to(vae.device).float() * std + mean).to(vae.dtype)
    decoded: Tensor = vae.decode(raw, return_dict=False)[0][0]
    return (decoded.float() / 2 + 0.5).clamp(0, 1).movedim(1, 0).cpu()


def _statistics(vae: Any) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the latents in Wan's training, [1, 16, 1, 1, 1]."""
    mean, std = (
        torch.tensor(values, device=vae.device).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    return mean, std
