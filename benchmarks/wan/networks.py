"""Networks of Wan with real sizes and random values, created on the device, and their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from ex4d_backbone_wan.compute.engine import EngineConfig
from ex4d_backbone_wan.denoiser import Conditioning, Denoiser
from ex4d_backbone_wan.networks import Networks, make_denoiser
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.weights.adapter import CameraEncoder
from ex4d_backbone_wan.weights.loading import IMAGE_MEAN, IMAGE_STD, ImageEncoder
from ex4d_core.types import Guidance

SIZES = {
    "14B": {
        "num_attention_heads": 40,
        "ffn_dim": 13824,
        "num_layers": 40,
        "in_channels": 36,
        "text_dim": 4096,
        "image_dim": 1280,
        "added_kv_proj_dim": 5120,
    },
    "tiny": {
        "num_attention_heads": 4,
        "attention_head_dim": 24,
        "ffn_dim": 192,
        "num_layers": 4,
        "in_channels": 36,
        "text_dim": 32,
        "image_dim": 64,
        "added_kv_proj_dim": 96,
    },
}
SPATIAL, TEMPORAL = 8, 4
"""Pixels and frames per latent pixel and frame."""
CLIP_H = {"num_attention_heads": 16, "num_hidden_layers": 32}
CAMERA_HIDDEN = 1024
PROMPT_TOKENS = 100
KEPT_IN_FLOAT = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
"""Parameters that diffusers keeps in float32."""


@attrs.frozen
class Setting:
    """Sizes of networks and clip, and the device."""

    device: torch.device
    clip: tuple[int, int, int]
    """Frames, height, width."""
    name: str
    """Key of `SIZES`."""

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.device.type == "cuda" else torch.float32

    @property
    def sizes(self) -> dict[str, int]:
        return SIZES[self.name]

    @property
    def latent_size(self) -> tuple[int, int, int]:
        frames, height, width = self.clip
        return 1 + (frames - 1) // TEMPORAL, height // SPATIAL, width // SPATIAL

    @property
    def tokens(self) -> int:
        frames, height, width = self.latent_size
        return frames * height * width // 4

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.sizes["num_attention_heads"] * self.sizes.get("attention_head_dim", 128)

    def noise(self, *shape: int, seed: int) -> Tensor:
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(shape, device=self.device, dtype=self.dtype, generator=generator)


def random_transformer(setting: Setting) -> Any:
    """Return Wan's transformer with reproducible values."""
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        transformer = WanTransformer3DModel(**setting.sizes).eval().requires_grad_(False)
    return with_random_values(transformer, setting)


def with_random_values(transformer: Any, setting: Setting) -> Any:
    """Return a transformer on the meta device with reproducible values on that of the setting."""
    config = transformer.config
    rope = type(transformer.rope)(config.attention_head_dim, config.patch_size, config.rope_max_seq_len)
    generator = torch.Generator(setting.device).manual_seed(0)
    for name, parameter in list(transformer.named_parameters()):
        kept = any(part in name.split(".") for part in KEPT_IN_FLOAT)
        value = torch.empty(parameter.shape, device=setting.device, dtype=torch.float32 if kept else setting.dtype)
        if parameter.ndim == 1:
            value.fill_(1.0 if name.endswith("weight") else 0.0)
        else:
            value.normal_(0, 0.5 * parameter[0].numel() ** -0.5, generator=generator)
        owner, _, leaf = name.rpartition(".")
        setattr(transformer.get_submodule(owner), leaf, nn.Parameter(value, requires_grad=False))
    transformer.rope = rope.to(setting.device)
    return transformer


def random_vae(setting: Setting) -> Any:
    """Return Wan's VAE."""
    from diffusers import AutoencoderKLWan

    with torch.device(setting.device):
        network = AutoencoderKLWan(**({"base_dim": 8} if setting.name == "tiny" else {}))
    return network.eval().requires_grad_(False).to(setting.dtype)


def prompt(setting: Setting, *, seed: int) -> Tensor:
    """Return the embedding of a prompt of 100 tokens, padded with 0 like that of the text encoder."""
    text = setting.noise(1, 512, setting.sizes["text_dim"], seed=seed)
    text[:, PROMPT_TOKENS:] = 0
    return text


def inputs(setting: Setting, batch: int = 1) -> dict[str, Any]:
    """Return the inputs of one call of the transformer, equal for all batch members."""
    sizes = setting.sizes
    return {
        "hidden_states": setting.noise(1, sizes["in_channels"], *setting.latent_size, seed=1).repeat(batch, 1, 1, 1, 1),
        "timestep": torch.full((batch,), 900.0, device=setting.device),
        "encoder_hidden_states": prompt(setting, seed=2).repeat(batch, 1, 1),
        "encoder_hidden_states_image": setting.noise(1, 257, sizes["image_dim"], seed=3).repeat(batch, 1, 1),
        "return_dict": False,
    }


def conditioning(setting: Setting) -> Conditioning:
    """Return random conditioning in the sizes of a clip."""
    given = inputs(setting)
    return Conditioning(
        text=given["encoder_hidden_states"],
        negative_text=prompt(setting, seed=7),
        image=given["encoder_hidden_states_image"],
        y=given["hidden_states"][:, 16:],
        camera=0.1 * setting.noise(1, setting.tokens, setting.width, seed=4),
    )


def guidance(setting: Setting) -> Guidance:
    """Return random colors, visible in seven squares of ten."""
    frames, height, width = setting.clip
    generator = torch.Generator().manual_seed(5)
    mask = torch.rand((frames, height // 32, width // 32), generator=generator) > 0.3
    mask = mask.repeat_interleave(32, 1).repeat_interleave(32, 2)
    color = torch.randint(0, 256, (*mask.shape, 3), generator=generator, dtype=torch.uint8) * mask[..., None]
    return Guidance(color=color, mask=mask, fps=24)


@attrs.frozen
class RandomSource:
    """Creates a transformer of random values, equal in each process."""

    setting: Setting

    def load(self, *, device: torch.device, dtype: torch.dtype) -> Any:
        """See `TransformerSource`; the dtype is that of the setting, and values are drawn on its kind of device."""
        drawn_on = device if device.type == self.setting.device.type else self.setting.device
        return random_transformer(attrs.evolve(self.setting, device=drawn_on)).to(device)


class RandomNetworks(Networks):
    """All networks of Wan, with cached embeddings of prompts."""

    def __init__(self, options: WanOptions, setting: Setting) -> None:
        super().__init__(options, device=setting.device)
        self._setting = setting

    @cached_property
    def vae(self) -> Any:
        return random_vae(self._setting)

    @cached_property
    def image_encoder(self) -> Any:
        from transformers import CLIPVisionConfig, CLIPVisionModel

        width = self._setting.sizes["image_dim"]
        more = CLIP_H if self._setting.name == "14B" else {"num_attention_heads": 4}
        config = CLIPVisionConfig(
            hidden_size=width, intermediate_size=4 * width, patch_size=14, image_size=224, hidden_act="gelu", **more
        )
        with torch.device(self.device):
            model = CLIPVisionModel(config).eval().requires_grad_(False).to(self.dtype)
        return ImageEncoder(model=model, mean=IMAGE_MEAN, std=IMAGE_STD, size=224)

    @cached_property
    def camera_encoder(self) -> Any:
        with torch.device(self.device):
            encoder = CameraEncoder(channels=32, hidden=CAMERA_HIDDEN, width=self._setting.width)
        return encoder.eval().requires_grad_(False).to(self.dtype)

    @cached_property
    def denoiser(self) -> Denoiser:
        config = EngineConfig.of(self._options, RandomSource(self._setting), dtype=self.dtype)
        return make_denoiser(
            config, device=self.device, gpus=self._options.gpus, guided=self._options.sampling_guidance > 1
        )

    def texts(self, prompts: Sequence[str], *, folder: Path | None = None) -> list[Tensor]:
        return [prompt(self._setting, seed=seed).cpu() for seed, _ in enumerate(prompts)]
