"""Compare Wan with each step of a reference run of EX-4D; printed by parity.py.

The reference run is a folder with its settings (config.json), its weights with the tensor names of the original layout
(dit, vae, t5, clip, ex4d) and its results (golden), all but config.json as .safetensors.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers.utils.logging import disable_progress_bar

from ex4d_backbone_wan.backbone import encode_known
from ex4d_backbone_wan.conditioning import Known
from ex4d_backbone_wan.denoiser import Conditioning, LocalDenoiser, Schedule
from ex4d_backbone_wan.generation import decode_frames
from ex4d_backbone_wan.networks import Networks
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.text_embeddings import LENGTH, embed_tokens
from ex4d_backbone_wan.weights import WanCheckpoint
from ex4d_backbone_wan.weights.loading import load_image_encoder, load_text_encoder, load_transformer, load_vae
from ex4d_core.errors import InputNotFound

ORIGINAL = {
    "dit.safetensors": "diffusion_pytorch_model.safetensors",
    "vae.safetensors": "Wan2.1_VAE.safetensors",
    "t5.safetensors": "models_t5_umt5.safetensors",
    "clip.safetensors": "models_clip_vit.safetensors",
    "config.json": "config.json",
}
"""Names of the files in the original layout."""

LIMIT = 1e-4
LEVELS = 1
CPU = torch.device("cpu")


@attrs.frozen(kw_only=True)
class Difference:
    """Difference of one step from the reference."""

    layout: str
    what: str
    measured: float
    limit: float = LIMIT


def differences(folder: Path, device: torch.device) -> Iterator[Difference]:
    """Yield the largest difference of each step from one run of the reference, from both layouts, in float32.

    Raises:
        InputNotFound: the folder has no such run.
    """
    for name in (*ORIGINAL, "ex4d.safetensors", "golden.safetensors"):
        if not (folder / name).is_file():
            raise InputNotFound(f"{folder} is no run of EX-4D's generation: it has no {name}")
    with tempfile.TemporaryDirectory() as temporary:
        adapter = str(folder / "ex4d.safetensors")
        original = original_layout(folder, Path(temporary) / "original")
        hub = diffusers_layout(WanOptions(model=str(original), adapter=adapter), Path(temporary) / "diffusers")
        for layout, model in (("original", original), ("diffusers", hub)):
            for what, measured, limit in _steps(folder, WanOptions(model=str(model), adapter=adapter), device):
                yield Difference(layout=layout, what=what, measured=measured, limit=limit)


def original_layout(run: Path, folder: Path) -> Path:
    """Copy the weights of a run to the original layout of Wan, and create a tokenizer, which the run does not have."""
    folder.mkdir()
    for name, called in ORIGINAL.items():
        shutil.copy(run / name, folder / called)
    make_tokenizer(folder / "google" / "umt5-xxl")
    return folder


def diffusers_layout(options: WanOptions, folder: Path) -> Path:
    """Save the networks of a checkpoint in diffusers' layout."""
    disable_progress_bar()
    checkpoint = Networks(options, device=CPU).checkpoint
    how = {"device": CPU, "dtype": torch.float32}
    load_transformer(checkpoint, adapters=(), **how).save_pretrained(folder / "transformer")
    load_vae(checkpoint, **how).save_pretrained(folder / "vae")
    load_text_encoder(checkpoint, **how).model.save_pretrained(folder / "text_encoder")
    load_image_encoder(checkpoint, **how).model.save_pretrained(folder / "image_encoder")
    make_tokenizer(folder / "tokenizer")
    return folder


def make_tokenizer(folder: Path) -> None:
    """Save a tokenizer of 64 words, `a0` to `a61`, that pads with 0 and ends with 1."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "</s>": 1, **{f"a{number}": number + 2 for number in range(62)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")
    saved.save_pretrained(folder)


def _steps(run: Path, given: WanOptions, device: torch.device) -> Iterator[tuple[str, float, float]]:
    config, theirs = json.loads((run / "config.json").read_text()), load_file(run / "golden.safetensors")
    options = attrs.evolve(
        given,
        dtype="float32",
        steps=config["steps"],
        guidance=config["cfg_scale"],
        shift=config["shift"],
    )
    networks = Networks(options, device=device)
    texts = _texts(networks.checkpoint, theirs, device)
    for name, text in texts.items():
        yield f"embedding of the {name} prompt", _apart(text, theirs[f"text.{name}.embedding"]), LIMIT
    known = Known(color=theirs["color01"][0].movedim(0, 1), mask=theirs["mask01"][0, 0] > 0.5)
    with torch.no_grad():
        encoded = encode_known(networks, known, text=texts["positive"], negative_text=texts["negative"])
    told = encoded.conditioning
    yield "image feature", _apart(told.image, theirs["image.clip_feature"]), LIMIT
    yield "first frame's latents, y", _apart(told.y, theirs["image.y"]), LIMIT
    yield "latents of the known part", _apart(encoded.color, theirs["vae.latent"]), LIMIT
    yield "camera tokens", _apart(told.camera, theirs["camera.tokens_5d"].flatten(2).transpose(1, 2)), LIMIT
    noise = torch.randn(theirs["noise"].shape, generator=torch.Generator().manual_seed(config["seed"]))
    yield "noise of the seed", _apart(noise, theirs["noise"]), 0.0
    schedule = Schedule(25, config["shift"])
    yield "noise levels of 25 steps", _apart(schedule.sigmas[:-1], theirs["scheduler25.sigmas"]), LIMIT
    yield "times of 25 steps", _apart(schedule.timesteps, theirs["scheduler25.timesteps"]), LIMIT
    for which, made, golden in zip(
        ("positive", "negative"), _first_calls(networks, told, noise, options), "01", strict=True
    ):
        yield f"transformer, first step, {which}", _apart(made, theirs[f"dit.{golden}.output"]), LIMIT
    latents = networks.denoiser.denoise(told, noise, **_sampling(options))
    yield "final latents", _apart(latents, theirs["final_latents"]), LIMIT
    with torch.no_grad():
        frames = decode_frames(networks, latents)
    yield "frames, in levels of 255", _apart(frames.float(), theirs["frames"].float()), LEVELS


def _texts(checkpoint: WanCheckpoint, theirs: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    model = load_text_encoder(checkpoint, device=device, dtype=torch.float32).model
    texts = {}
    for name in ("positive", "negative"):
        embedding = embed_tokens(model, theirs[f"text.{name}.ids"].to(device), theirs[f"text.{name}.mask"].to(device))
        texts[name] = functional.pad(embedding, (0, 0, 0, LENGTH - len(embedding)))[None]
    return texts


def _first_calls(networks: Networks, told: Conditioning, noise: Tensor, options: WanOptions) -> list[Tensor]:
    """Return the output of diffusers' transformer in the first step, for the positive and the negative prompt."""
    transformer = load_transformer(networks.checkpoint, device=networks.device, dtype=torch.float32)
    outputs: list[Tensor] = []
    transformer.register_forward_hook(lambda module, given, made: outputs.append(made[0]))
    denoiser = LocalDenoiser(transformer, device=networks.device, dtype=torch.float32)
    denoiser.denoise(told, noise, **_sampling(options))
    return outputs[:2]


def _sampling(options: WanOptions) -> dict[str, Any]:
    return {
        "schedule": Schedule(options.steps, options.shift),
        "guidance": options.guidance,
        "after_step": lambda step, latents: None,
    }


def _apart(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.cpu() - theirs).abs().max())
