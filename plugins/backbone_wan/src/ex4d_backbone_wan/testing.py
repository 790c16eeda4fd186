"""A tiny Wan with random weights in diffusers' layout, with an adapter and a distilled LoRA, for tests.

python -m ex4d_backbone_wan.testing FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

TRANSFORMER = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 36,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 48,
    "num_layers": 2,
    "image_dim": 32,
    "added_kv_proj_dim": 24,
}
VAE = {"base_dim": 4, "num_res_blocks": 1}
TEXT = {"vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
CLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
}
WIDTH, HIDDEN, RANK = 24, 16, 4
"""Channels of the transformer's tokens, of the adapter's camera encoder, and of its LoRA."""


def save_tiny_wan(folder: Path, *, seed: int = 0) -> Path:
    """Write a whole checkpoint into a folder, with `ex4d.safetensors` and `turbo.safetensors`, and return the folder.

    Args:
        folder: to write into.
        seed: of the weights.
    """
    import diffusers
    import transformers

    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        diffusers.WanTransformer3DModel(**TRANSFORMER).save_pretrained(folder / "transformer")
        diffusers.AutoencoderKLWan(**VAE).save_pretrained(folder / "vae")
        text = transformers.UMT5EncoderModel(transformers.UMT5Config(**TEXT))
        text.save_pretrained(folder / "text_encoder")
        clip = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**CLIP))
        clip.save_pretrained(folder / "image_encoder")
        save_file(_adapter(), folder / "ex4d.safetensors")
        save_file(_distilled(), folder / "turbo.safetensors")
    save_tokenizer(folder / "tokenizer")
    return folder


def _adapter() -> dict[str, Tensor]:
    shapes = {
        "latent_encoder.0": (HIDDEN, 32, 1, 1, 1),
        "latent_encoder.2": (HIDDEN, HIDDEN, 1, 1, 1),
        "latent_encoder.4": (HIDDEN, HIDDEN, 1, 1, 1),
        "latent_patch_embedding": (WIDTH, HIDDEN, 1, 2, 2),
    }
    tensors = {f"{name}.weight": torch.randn(shape) * 0.3 for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": torch.randn(shape[0]) * 0.3 for name, shape in shapes.items()}
    for name in ("blocks.0.self_attn.q", "blocks.1.cross_attn.o"):
        tensors[f"{name}.lora_A.default.weight"] = torch.randn(RANK, WIDTH)
        tensors[f"{name}.lora_B.default.weight"] = torch.randn(WIDTH, RANK)
    return tensors


def _distilled() -> dict[str, Tensor]:
    """Return a LoRA with deltas of whole tensors, by the names of LightX2V."""
    tensors = {}
    for layer, outputs, inputs in (
        ("blocks.0.self_attn.q", WIDTH, WIDTH),
        ("blocks.1.cross_attn.k_img", WIDTH, WIDTH),
        ("blocks.1.ffn.0", TRANSFORMER["ffn_dim"], WIDTH),
        ("time_projection.1", 6 * WIDTH, WIDTH),
    ):
        tensors[f"{layer}.lora_down.weight"] = torch.randn(RANK, inputs) * 0.3
        tensors[f"{layer}.lora_up.weight"] = torch.randn(outputs, RANK) * 0.3
        tensors[f"{layer}.diff_b"] = torch.randn(outputs) * 0.1
    deltas = {
        "blocks.0.norm3.diff": (WIDTH,),
        "blocks.0.self_attn.norm_k.diff": (WIDTH,),
        "blocks.1.diff_m": (1, 6, WIDTH),
        "head.diff_m": (1, 2, WIDTH),
        "head.head.diff": (64, WIDTH),
        "patch_embedding.diff": (WIDTH, 36, 1, 2, 2),
        "img_emb.proj.4.diff_b": (WIDTH,),
    }
    tensors |= {name: torch.randn(shape) * 0.1 for name, shape in deltas.items()}
    return {f"diffusion_model.{name}": tensor for name, tensor in tensors.items()}


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(("<pad>", "</s>", "<unk>", "a", "red", "blue", "ball"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    saved.save_pretrained(folder)


if __name__ == "__main__":
    save_tiny_wan(Path(sys.argv[1]))
