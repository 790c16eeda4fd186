"""What is trained: Wan's transformer as a velocity field, with EX-4D's adapter beside its frozen weights.

`attach_adapter` makes it, `adapter_tensors` names what it learned as the reference's file does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ex4d_backbone_wan.denoiser import TIME_SCALE
from ex4d_backbone_wan.weights.adapter import CAMERA_KEYS, CameraEncoder, camera_tokens

Sample = Mapping[str, Tensor]
"""A batch of clips: `latents` [B, C, t, h, w], `color` and `mask` of the same shape, `text` [B, L, C2]; where the
transformer takes a first frame, `y` [B, C3, t, h, w]; where it has an image encoder, `image` [B, 257, C4]."""

LORA_LAYERS = r"blocks\.\d+\.(attn[12]\.(to_[qkv]|to_out\.0)|ffn\.net\.(0\.proj|2))"
"""Layers that EX-4D's LoRA changes: all of a block but those of the image's keys and values."""

_ORIGINAL = (
    ("attn1.to_out.0.", "self_attn.o."),
    ("attn2.to_out.0.", "cross_attn.o."),
    ("attn1.to_", "self_attn."),
    ("attn2.to_", "cross_attn."),
    ("ffn.net.0.proj.", "ffn.0."),
    ("ffn.net.2.", "ffn.2."),
)
"""diffusers' names of these layers, and those in Wan's original files."""


class WanVelocity(nn.Module):
    """Predicts noise minus clean latents from noisy ones and from what is known of the clip.

    Args:
        transformer: diffusers' WanTransformer3DModel.
        camera_encoder: EX-4D's; None for Wan as it is.
    """

    def __init__(self, transformer: Any, camera_encoder: CameraEncoder | None = None) -> None:
        super().__init__()
        self.transformer = transformer
        self.camera_encoder = camera_encoder

    @property
    def dtype(self) -> torch.dtype:
        """Of what goes in."""
        dtype: torch.dtype = self.transformer.patch_embedding.weight.dtype
        return dtype

    def forward(self, noisy: Tensor, sigma: Tensor, sample: Sample) -> Tensor:
        """Return the velocity [B, C, t, h, w].

        Args:
            noisy: [B, C, t, h, w], `(1 - sigma) * latents + sigma * noise`.
            sigma: [B] in 0..1.
            sample: what is known; its `latents` are not looked at.
        """
        told = {name: value.to(self.dtype) for name, value in sample.items() if name != "latents"}
        seen = noisy.to(self.dtype)
        if "y" in told:
            seen = torch.cat([seen, told["y"]], dim=1)
        tokens = None if self.camera_encoder is None else self.camera_encoder(told["color"], told["mask"])
        with camera_tokens(self.transformer, tokens):
            velocity: Tensor = self.transformer(
                hidden_states=seen,
                timestep=TIME_SCALE * sigma,
                encoder_hidden_states=told["text"],
                encoder_hidden_states_image=told.get("image"),
                return_dict=False,
            )[0]
        return velocity


def attach_adapter(transformer: Any, *, rank: int, hidden: int, channels: int, seed: int) -> WanVelocity:
    """Return the transformer, frozen, with an adapter that changes nothing yet.

    The LoRA's second matrices and the camera encoder's last layer are zero, so step 0 is the frozen model.

    Args:
        transformer: diffusers' WanTransformer3DModel; it is changed in place.
        rank: of the LoRA, and its alpha, which the file has no place for.
        hidden: channels between the camera encoder's layers.
        channels: of the latents of color and mask together.
        seed: fixes the values that are not zero.
    """
    from peft import LoraConfig

    weight = transformer.patch_embedding.weight
    transformer.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Drawn on the CPU: the same on every device.
        encoder = CameraEncoder(
            channels=channels, hidden=hidden, width=weight.shape[0], patch=tuple(transformer.config.patch_size)
        )
    for parameter in encoder.latent_patch_embedding.parameters():
        nn.init.zeros_(parameter)
    transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LORA_LAYERS))
    generator = torch.Generator().manual_seed(seed + 1)
    for name, parameter in transformer.named_parameters():
        if ".lora_A." in name:
            # As Kaiming's rule with a = sqrt(5), which peft takes: evenly within 1 / sqrt(inputs).
            bound = parameter.shape[1] ** -0.5
            drawn = torch.rand(parameter.shape, generator=generator) * (2 * bound) - bound
            parameter.data.copy_(drawn)
    return WanVelocity(transformer, encoder.to(weight))


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return what is not frozen, by name and in a fixed order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def adapter_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an adapter's tensors under the names that the reference's file has, from those of a `WanVelocity`."""
    return {reference_name(name): tensor for name, tensor in tensors.items()}


def reference_name(name: str) -> str:
    """Return what the reference calls a trained parameter of a `WanVelocity`."""
    plain = name.removeprefix("camera_encoder.").removeprefix("transformer.")
    if plain.startswith(CAMERA_KEYS):
        return plain
    for ours, theirs in _ORIGINAL:
        plain = plain.replace(ours, theirs)
    return plain
