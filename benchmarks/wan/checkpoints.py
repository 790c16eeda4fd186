"""Checkpoints of DepthCrafter, Wan and VACE with random values, in the cache of the hub.

    python -m benchmarks.wan.checkpoints FOLDER [--tiny]

writes 57 GB (DepthCrafter in float16, Wan2.1-I2V-14B in bfloat16, EX-4D's adapter, the LoRA of `--speed turbo`, and
VACE 1.3B with the text encoder of Wan); choose a folder in memory, such as /dev/shm. `HF_HUB_CACHE=FOLDER ex4d run ...`
then finds them without options. Values repeat one random block, scaled so that activations stay finite; the tokenizer
has as many words as that of Wan.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ex4d_backbone_vace.options import VaceOptions
from ex4d_backbone_vace.testing import TRANSFORMER as TINY_VACE
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.testing import CLIP, TEXT, TRANSFORMER
from ex4d_backbone_wan.testing import VAE as TINY_VAE
from ex4d_depth_depthcrafter.options import DepthCrafterOptions

SHARD = 5 << 30
BLOCK = 1 << 22
RANK, TURBO_RANK, CAMERA_HIDDEN = 16, 64, 1024


@attrs.frozen(kw_only=True)
class Sizes:
    """Configurations of the networks that differ from the defaults of their classes."""

    transformer: Mapping[str, Any]
    vace: Mapping[str, Any]
    vae: Mapping[str, Any]
    text: Mapping[str, Any]
    clip: Mapping[str, Any]
    depth_unet: Mapping[str, Any]
    depth_vae: Mapping[str, Any]
    depth_clip: Mapping[str, Any]
    camera_hidden: int
    words: int
    """Of the tokenizer."""

    @property
    def width(self) -> int:
        """Channels of the tokens of the transformer."""
        return int(self.transformer["num_attention_heads"] * self.transformer.get("attention_head_dim", 128))


_CLIP_H = {
    **{"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16},
    **{"image_size": 224, "patch_size": 14, "hidden_act": "gelu"},
}
REAL = Sizes(
    transformer={
        **{"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40, "in_channels": 36, "text_dim": 4096},
        **{"image_dim": 1280, "added_kv_proj_dim": 5120},
    },
    vace={
        **{"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30, "text_dim": 4096},
        "vace_layers": list(range(0, 30, 2)),
    },
    vae={},
    text={
        **{"vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64},
        **{"feed_forward_proj": "gated-gelu"},
    },
    clip=_CLIP_H,
    depth_unet={"num_attention_heads": (5, 10, 20, 20)},
    depth_vae={
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "latent_channels": 4,
        "layers_per_block": 2,
        "scaling_factor": 0.18215,
    },
    depth_clip={**_CLIP_H, "projection_dim": 1024},
    camera_hidden=CAMERA_HIDDEN,
    words=256_300,
)
TINY = Sizes(
    transformer=TRANSFORMER,
    vace=TINY_VACE,
    vae=TINY_VAE,
    text={**TEXT, "vocab_size": 1024},
    clip=CLIP,
    depth_unet={
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        "layers_per_block": 1,
        "num_attention_heads": (2, 4),
        "cross_attention_dim": 32,
        "addition_time_embed_dim": 32,
        "projection_class_embeddings_input_dim": 96,
    },
    depth_vae={
        "block_out_channels": (32, 32, 32, 32),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "latent_channels": 4,
        "layers_per_block": 1,
        "scaling_factor": 0.18215,
    },
    depth_clip={**CLIP, "image_size": 224, "patch_size": 32, "projection_dim": 32},
    camera_hidden=16,
    words=900,
)
SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    **{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction"},
    **{"interpolation_type": "linear", "sigma_max": 700.0, "sigma_min": 0.002, "steps_offset": 1},
    **{"timestep_spacing": "leading", "timestep_type": "continuous", "use_karras_sigmas": True},
}
COLORS = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}


def write_hub_cache(cache: Path, sizes: Sizes) -> None:
    """Write all checkpoints into a cache of the hub, unless they are there."""
    depth, wan, vace = DepthCrafterOptions(), WanOptions(), VaceOptions()
    turbo, turbo_file = wan.turbo_lora.rsplit("/", 1)
    texts = _snapshot(cache, wan.model, wan.model_revision)
    for repo, revision, write in (
        (depth.unet, depth.unet_revision, _write_depth_unet),
        (depth.base, depth.base_revision, _write_depth_base),
        (wan.model, wan.model_revision, _write_wan),
        (wan.adapter, wan.adapter_revision, _write_adapter),
        (turbo, wan.turbo_revision, lambda folder, sizes: _write_turbo(folder / turbo_file, sizes)),
        (vace.model, vace.model_revision, lambda folder, sizes: _write_vace(folder, sizes, texts=texts)),
    ):
        _write_repo(cache, repo, revision, lambda folder, write=write: write(folder, sizes))


def _write_repo(cache: Path, repo: str, revision: str, write: Callable[[Path], None]) -> None:
    """Write the files of a repository as blobs, and a snapshot of links to them."""
    home = cache / f"models--{repo.replace('/', '--')}"
    if (home / "refs" / revision).is_file():
        return
    snapshot = _snapshot(cache, repo, revision)
    snapshot.mkdir(parents=True)
    write(snapshot)
    (home / "blobs").mkdir()
    for file in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        name = hashlib.sha256(f"{repo}/{file.relative_to(snapshot)}".encode()).hexdigest()
        blob = home / "blobs" / name
        file.rename(blob)
        file.symlink_to(os.path.relpath(blob, file.parent))
    (home / "refs").mkdir()
    (home / "refs" / revision).write_text(snapshot.name)


def _snapshot(cache: Path, repo: str, revision: str) -> Path:
    commit = revision if len(revision) == 40 else hashlib.sha1(repo.encode(), usedforsecurity=False).hexdigest()
    return cache / f"models--{repo.replace('/', '--')}" / "snapshots" / commit


def _write_depth_unet(folder: Path, sizes: Sizes) -> None:
    from diffusers import UNetSpatioTemporalConditionModel

    _write_network(folder, lambda: UNetSpatioTemporalConditionModel(**sizes.depth_unet), torch.float16)


def _write_depth_base(folder: Path, sizes: Sizes) -> None:
    from diffusers import AutoencoderKLTemporalDecoder
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    vae, clip = sizes.depth_vae, CLIPVisionConfig(**sizes.depth_clip)
    _write_network(folder / "vae", lambda: AutoencoderKLTemporalDecoder(**vae), torch.float16, variant="fp16.")
    _write_network(
        folder / "image_encoder", lambda: CLIPVisionModelWithProjection(clip), torch.float16, "model", variant="fp16."
    )
    for name, content in (
        ("scheduler/scheduler_config.json", SCHEDULER),
        ("feature_extractor/preprocessor_config.json", COLORS),
    ):
        (folder / name).parent.mkdir()
        (folder / name).write_text(json.dumps(content))


def _write_wan(folder: Path, sizes: Sizes) -> None:
    from diffusers import AutoencoderKLWan, WanTransformer3DModel
    from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

    text, clip = UMT5Config(**sizes.text), CLIPVisionConfig(**sizes.clip)
    _write_network(folder / "transformer", lambda: WanTransformer3DModel(**sizes.transformer), torch.bfloat16)
    _write_network(folder / "vae", lambda: AutoencoderKLWan(**sizes.vae), torch.float32)
    _write_network(folder / "text_encoder", lambda: UMT5EncoderModel(text), torch.bfloat16, "model")
    _write_network(folder / "image_encoder", lambda: CLIPVisionModel(clip), torch.bfloat16, "model")
    (folder / "image_processor").mkdir()
    (folder / "image_processor" / "preprocessor_config.json").write_text(json.dumps(COLORS))
    _write_tokenizer(folder / "tokenizer", sizes.words)


def _write_adapter(folder: Path, sizes: Sizes) -> None:
    hidden, width = sizes.camera_hidden, sizes.width
    shapes: dict[str, tuple[int, ...]] = {
        "latent_encoder.0": (hidden, 32, 1, 1, 1),
        "latent_encoder.2": (hidden, hidden, 1, 1, 1),
        "latent_encoder.4": (hidden, hidden, 1, 1, 1),
        "latent_patch_embedding": (width, hidden, 1, 2, 2),
    }
    tensors = {f"{name}.weight": filled(shape, torch.float32) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": torch.zeros(shape[0]) for name, shape in shapes.items()}
    ffn = sizes.transformer["ffn_dim"]
    layers = {f"{kind}.{name}": (width, width) for kind in ("self_attn", "cross_attn") for name in "qkvo"}
    layers |= {"ffn.0": (ffn, width), "ffn.2": (width, ffn)}
    for block in range(sizes.transformer["num_layers"]):
        for name, (outputs, inputs) in layers.items():
            layer = f"blocks.{block}.{name}"
            tensors[f"{layer}.lora_A.default.weight"] = filled((RANK, inputs), torch.float32)
            tensors[f"{layer}.lora_B.default.weight"] = 0.1 * filled((outputs, RANK), torch.float32)
    torch.save(tensors, folder / "ex4d.ckpt")


def _write_turbo(file: Path, sizes: Sizes) -> None:
    """Write a LoRA under the names of LightX2V's distilled ones."""
    ffn, width = sizes.transformer["ffn_dim"], sizes.width
    layers = {f"{kind}.{name}": (width, width) for kind in ("self_attn", "cross_attn") for name in "qkvo"}
    layers |= {"ffn.0": (ffn, width), "ffn.2": (width, ffn)}
    tensors: dict[str, Tensor] = {}
    for block in range(sizes.transformer["num_layers"]):
        for name, (outputs, inputs) in layers.items():
            layer = f"diffusion_model.blocks.{block}.{name}"
            tensors[f"{layer}.lora_down.weight"] = filled((TURBO_RANK, inputs), torch.bfloat16)
            tensors[f"{layer}.lora_up.weight"] = 0.1 * filled((outputs, TURBO_RANK), torch.bfloat16)
    save_file(tensors, file)


def _write_vace(folder: Path, sizes: Sizes, *, texts: Path) -> None:
    """Write VACE; its text encoder and tokenizer are those of Wan, as links to the files there."""
    from diffusers import AutoencoderKLWan, WanVACETransformer3DModel

    _write_network(folder / "transformer", lambda: WanVACETransformer3DModel(**sizes.vace), torch.bfloat16)
    _write_network(folder / "vae", lambda: AutoencoderKLWan(**sizes.vae), torch.float32)
    for name in ("text_encoder", "tokenizer"):
        (folder / name).mkdir()
        for file in (texts / name).iterdir():
            os.link(file.resolve(), folder / name / file.name)


def _write_network(
    folder: Path,
    make: Callable[[], nn.Module],
    dtype: torch.dtype,
    stem: str = "diffusion_pytorch_model",
    variant: str = "",
) -> None:
    """Write a network as the hub does: its configuration, and one file, or shards and an index."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        network: Any = make()
    config = network.config
    (folder / "config.json").write_text(
        config.to_json_string() if hasattr(config, "to_json_string") else json.dumps(dict(config))
    )
    tied = set(getattr(network, "_tied_weights_keys", None) or ())
    shards: list[dict[str, Tensor]] = [{}]
    for name, tensor in network.state_dict().items():
        if name in tied:
            continue
        if sum(value.nbytes for value in shards[-1].values()) > SHARD:
            _save(shards[-1], folder / f"{stem}-{len(shards):05}.safetensors")
            shards[-1] = dict.fromkeys(shards[-1])  # type: ignore[arg-type]  # only its names are needed
            shards.append({})
        shards[-1][name] = _values(name, tuple(tensor.shape), dtype)
    if len(shards) == 1:
        _save(shards[0], folder / f"{stem}.{variant}safetensors")
        return
    _save(shards[-1], folder / f"{stem}-{len(shards):05}.safetensors")
    homes = {name: f"{stem}-{number:05}.safetensors" for number, shard in enumerate(shards, start=1) for name in shard}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": homes}))


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    save_file(tensors, file, metadata={"format": "pt"})


def _values(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    is_scale = name.endswith(("weight", "gamma")) and ("norm" in name or len(shape) < 2)
    if is_scale or len(shape) < 2:
        return torch.full(shape, float(is_scale), dtype=dtype)
    return filled(shape, dtype)


def filled(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return values that keep the magnitude of activations: a random block, repeated."""
    values = torch.empty(shape, dtype=dtype)
    flat, fan_in = values.view(-1), max(1, values[0].numel())
    block = (_block()[: flat.numel()] * (0.5 * fan_in**-0.5)).to(dtype)
    for start in range(0, flat.numel(), block.numel()):
        flat[start : start + block.numel()].copy_(block[: flat.numel() - start])
    return values


@cache
def _block() -> Tensor:
    return torch.randn(BLOCK, generator=torch.Generator().manual_seed(0))


def _write_tokenizer(folder: Path, words: int) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"\u2581{number:x}", -10.0) for number in range(words))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    saved.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write checkpoints with random values.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try the benchmark on a CPU")
    given = parser.parse_args()
    write_hub_cache(given.folder, TINY if given.tiny else REAL)


if __name__ == "__main__":
    main()
