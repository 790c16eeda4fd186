"""The trained model: the Wan transformer as a velocity field, frozen, with the EX-4D adapter.

`attach_adapter` creates it, `adapter_tensors` renames its trained parameters as in the file of EX-4D.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ex4d_backbone_wan.denoiser import TIME_SCALE
from ex4d_backbone_wan.weights.adapter import CAMERA_KEYS, CameraEncoder, camera_tokens

Sample = Mapping[str, Tensor]
"""A batch of clips: `latents` [B, C, t, h, w], `color` and `mask` of the same shape, `text` [B, L, C2]; `y`
[B, C3, t, h, w] if the transformer takes a first frame; `image` [B, 257, C4] if it takes image features."""

LORA_LAYERS = r"blocks\.\d+\.(attn[12]\.(to_[qkv]|to_out\.0)|ffn\.net\.(0\.proj|2))"
"""Layers with LoRA: all of a block except the keys and values of the image."""

_ORIGINAL = (
    ("attn1.to_out.0.", "self_attn.o."),
    ("attn2.to_out.0.", "cross_attn.o."),
    ("attn1.to_", "self_attn."),
    ("attn2.to_", "cross_attn."),
    ("ffn.net.0.proj.", "ffn.0."),
    ("ffn.net.2.", "ffn.2."),
)
"""Names of these layers in diffusers, and in the original files of Wan."""


class WanVelocity(nn.Module):
    """Predicts noise minus clean latents from noisy latents and the conditioning.

    Args:
        transformer: WanTransformer3DModel of diffusers.
        camera_encoder: camera encoder of EX-4D; None for plain Wan.
    """

    def __init__(self, transformer: Any, camera_encoder: CameraEncoder | None = None) -> None:
        super().__init__()
        self.transformer = transformer
        self.camera_encoder = camera_encoder

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the inputs."""
        dtype: torch.dtype = self.transformer.patch_embedding.weight.dtype
        return dtype

    def forward(self, noisy: Tensor, sigma: Tensor, sample: Sample) -> Tensor:
        """Return the velocity [B, C, t, h, w].

        Args:
            noisy: [B, C, t, h, w], `(1 - sigma) * latents + sigma * noise`.
            sigma: [B] in 0..1.
            sample: conditioning; its `latents` are not used.
        """
        inputs = {name: value.to(self.dtype) for name, value in sample.items() if name != "latents"}
        seen = noisy.to(self.dtype)
        if "y" in inputs:
            seen = torch.cat([seen, inputs["y"]], dim=1)
        tokens = None if self.camera_encoder is None else self.camera_encoder(inputs["color"], inputs["mask"])
        with camera_tokens(self.transformer, tokens):
            velocity: Tensor = self.transformer(
                hidden_states=seen,
                timestep=TIME_SCALE * sigma,
                encoder_hidden_states=inputs["text"],
                encoder_hidden_states_image=inputs.get("image"),
                return_dict=False,
            )[0]
        return velocity


def attach_adapter(transformer: Any, *, rank: int, hidden: int, channels: int, seed: int) -> WanVelocity:
    """Freeze a transformer and attach an adapter that does not change its output yet.

    The second matrices of the LoRA and the last layer of the camera encoder are initialized with 0.

    Args:
        transformer: WanTransformer3DModel of diffusers; changed in place.
        rank: rank of the LoRA, and its alpha, which the file format cannot store.
        hidden: hidden channels of the camera encoder.
        channels: number of latent channels of color and mask together.
        seed: seed of the initial values.
    """
    from peft import LoraConfig

    weight = transformer.patch_embedding.weight
    transformer.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # On the CPU, so that the values are equal on all devices.
        encoder = CameraEncoder(
            channels=channels, hidden=hidden, width=weight.shape[0], patch=tuple(transformer.config.patch_size)
        )
    for parameter in encoder.latent_patch_embedding.parameters():
        nn.init.zeros_(parameter)
    transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LORA_LAYERS))
    generator = torch.Generator().manual_seed(seed + 1)
    for name, parameter in transformer.named_parameters():
        if ".lora_A." in name:
            # Kaiming initialization with a = sqrt(5), as in peft: uniform within 1 / sqrt(inputs).
            bound = parameter.shape[1] ** -0.5
            drawn = torch.rand(parameter.shape, generator=generator) * (2 * bound) - bound
            parameter.data.copy_(drawn)
    return WanVelocity(transformer, encoder.to(weight))


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are not frozen, by name and in a fixed order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def adapter_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors of a `WanVelocity` as in the adapter file of EX-4D."""
    return {reference_name(name): tensor for name, tensor in tensors.items()}


def reference_name(name: str) -> str:
    """Return the name of a trained parameter of a `WanVelocity` in the adapter file of EX-4D."""
    plain = name.removeprefix("camera_encoder.").removeprefix("transformer.")
    if plain.startswith(CAMERA_KEYS):
        return plain
    for ours, theirs in _ORIGINAL:
        plain = plain.replace(ours, theirs)
    return plain
