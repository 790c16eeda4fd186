"""A tiny Wan with random weights, in the files that the authors give and in the folders that the hub has."""

from __future__ import annotations

import json
import math
import shutil
import string
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.weights import WanCheckpoint, locate

WIDTH, LAYERS, FFN, TEXT, IMAGE = 24, 3, 32, 16, 20
CONFIG = {"model_type": "i2v", "num_heads": 2, "clip": {"num_heads": 2}}
RANK = 4

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def linear(name: str, outputs: int, inputs: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def norm(name: str, width: int) -> Shapes:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def conv(name: str, outputs: int, inputs: int, *kernel: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs, *kernel)
    yield f"{name}.bias", (outputs,)


def transformer(*, width: int = WIDTH, image: int | None = IMAGE, channels: int = 36) -> Shapes:
    """Names and shapes of the original DiT."""
    yield from conv("patch_embedding", width, channels, 1, 2, 2)
    yield from linear("text_embedding.0", width, TEXT)
    yield from linear("text_embedding.2", width, width)
    yield from linear("time_embedding.0", width, 8)
    yield from linear("time_embedding.2", width, width)
    yield from linear("time_projection.1", 6 * width, width)
    yield from linear("head.head", 16 * 4, width)
    yield "head.modulation", (1, 2, width)
    if image is not None:
        yield from norm("img_emb.proj.0", image)
        yield from linear("img_emb.proj.1", image, image)
        yield from linear("img_emb.proj.3", width, image)
        yield from norm("img_emb.proj.4", width)
    for block in (f"blocks.{number}" for number in range(LAYERS)):
        for attention, names in (("self_attn", "qkvo"), ("cross_attn", "qkvo")):
            for name in names:
                yield from linear(f"{block}.{attention}.{name}", width, width)
            yield f"{block}.{attention}.norm_q.weight", (width,)
            yield f"{block}.{attention}.norm_k.weight", (width,)
        if image is not None:
            yield from linear(f"{block}.cross_attn.k_img", width, width)
            yield from linear(f"{block}.cross_attn.v_img", width, width)
            yield f"{block}.cross_attn.norm_k_img.weight", (width,)
        yield from norm(f"{block}.norm3", width)
        yield from linear(f"{block}.ffn.0", FFN, width)
        yield from linear(f"{block}.ffn.2", width, FFN)
        yield f"{block}.modulation", (1, 6, width)


def text() -> Shapes:
    """Names and shapes of the original umt5: 42 words, 2 layers of 2 heads."""
    yield "token_embedding.weight", (42, TEXT)
    yield "norm.weight", (TEXT,)
    for block in ("blocks.0", "blocks.1"):
        yield from ((f"{block}.attn.{name}.weight", (TEXT, TEXT)) for name in "qkvo")
        yield from ((f"{block}.ffn.{name}.weight", (24, TEXT)) for name in ("fc1", "gate.0"))
        yield f"{block}.ffn.fc2.weight", (TEXT, 24)
        yield f"{block}.pos_embedding.embedding.weight", (32, 2)
        yield from ((f"{block}.{name}.weight", (TEXT,)) for name in ("norm1", "norm2"))


def image() -> Shapes:
    """Names and shapes of the original CLIP, with some of what Wan does not use: 2 layers of 2 heads, 28x28 pixels."""
    yield "log_scale", ()
    yield "textual.token_embedding.weight", (7, IMAGE)
    yield "visual.cls_embedding", (1, 1, IMAGE)
    yield "visual.pos_embedding", (1, 5, IMAGE)
    yield "visual.patch_embedding.weight", (IMAGE, 3, 14, 14)
    yield "visual.head", (IMAGE, IMAGE)
    yield from norm("visual.pre_norm", IMAGE)
    yield from norm("visual.post_norm", IMAGE)
    for layer in ("visual.transformer.0", "visual.transformer.1"):
        yield from norm(f"{layer}.norm1", IMAGE)
        yield from norm(f"{layer}.norm2", IMAGE)
        yield from linear(f"{layer}.attn.to_qkv", 3 * IMAGE, IMAGE)
        yield from linear(f"{layer}.attn.proj", IMAGE, IMAGE)
        yield from linear(f"{layer}.mlp.0", 2 * IMAGE, IMAGE)
        yield from linear(f"{layer}.mlp.2", IMAGE, 2 * IMAGE)


def residual(name: str, outputs: int, inputs: int) -> Shapes:
    yield f"{name}.residual.0.gamma", (inputs, 1, 1, 1)
    yield from conv(f"{name}.residual.2", outputs, inputs, 3, 3, 3)
    yield f"{name}.residual.3.gamma", (outputs, 1, 1, 1)
    yield from conv(f"{name}.residual.6", outputs, outputs, 3, 3, 3)
    if outputs != inputs:
        yield from conv(f"{name}.shortcut", outputs, inputs, 1, 1, 1)


def middle(name: str, width: int) -> Shapes:
    yield from residual(f"{name}.middle.0", width, width)
    yield f"{name}.middle.1.norm.gamma", (width, 1, 1)
    yield from conv(f"{name}.middle.1.to_qkv", 3 * width, width, 1, 1)
    yield from conv(f"{name}.middle.1.proj", width, width, 1, 1)
    yield from residual(f"{name}.middle.2", width, width)


def vae(base: int = 2, z: int = 16) -> Shapes:
    """Names and shapes of the original VAE: 4 levels of 2 blocks, which its converter takes for granted."""
    yield from conv("conv1", 2 * z, 2 * z, 1, 1, 1)
    yield from conv("conv2", z, z, 1, 1, 1)
    yield from conv("encoder.conv1", base, 3, 3, 3, 3)
    widths = [base, base, 2 * base, 4 * base, 4 * base]
    for level, (inputs, outputs) in enumerate(pairwise(widths)):
        yield from residual(f"encoder.downsamples.{3 * level}", outputs, inputs)
        yield from residual(f"encoder.downsamples.{3 * level + 1}", outputs, outputs)
        if level < 3:
            yield from conv(f"encoder.downsamples.{3 * level + 2}.resample.1", outputs, outputs, 3, 3)
        if level in (1, 2):
            yield from conv(f"encoder.downsamples.{3 * level + 2}.time_conv", outputs, outputs, 3, 1, 1)
    yield from middle("encoder", 4 * base)
    yield "encoder.head.0.gamma", (4 * base, 1, 1, 1)
    yield from conv("encoder.head.2", 2 * z, 4 * base, 3, 3, 3)
    yield from conv("decoder.conv1", 4 * base, z, 3, 3, 3)
    yield from middle("decoder", 4 * base)
    inputs = 4 * base
    for level, outputs in enumerate((4 * base, 4 * base, 2 * base, base)):
        for block in range(3):
            yield from residual(f"decoder.upsamples.{4 * level + block}", outputs, inputs if block == 0 else outputs)
        inputs = outputs // 2  # what goes up loses half of its channels
        if level < 3:
            yield from conv(f"decoder.upsamples.{4 * level + 3}.resample.1", inputs, outputs, 3, 3)
        if level < 2:
            yield from conv(f"decoder.upsamples.{4 * level + 3}.time_conv", 2 * outputs, outputs, 3, 1, 1)
    yield "decoder.head.0.gamma", (base, 1, 1, 1)
    yield from conv("decoder.head.2", 3, base, 3, 3, 3)


def adapter(*, width: int = WIDTH, hidden: int = 6) -> Shapes:
    """Names and shapes of EX-4D's file."""
    yield from conv("latent_encoder.0", hidden, 32, 1, 1, 1)
    yield from conv("latent_encoder.2", hidden, hidden, 1, 1, 1)
    yield from conv("latent_encoder.4", hidden, hidden, 1, 1, 1)
    yield from conv("latent_patch_embedding", width, hidden, 1, 2, 2)
    sizes = {f"{kind}.{name}": (width, width) for kind in ("self_attn", "cross_attn") for name in "qkvo"}
    sizes |= {"ffn.0": (FFN, width), "ffn.2": (width, FFN)}
    for number in range(LAYERS):
        for name, (outputs, inputs) in sizes.items():
            yield f"blocks.{number}.{name}.lora_A.default.weight", (RANK, inputs)
            yield f"blocks.{number}.{name}.lora_B.default.weight", (outputs, RANK)


def drawn(shapes: Shapes, seed: int) -> dict[str, Tensor]:
    """Return random tensors that keep what goes through them about as large as it is."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...]) -> Tensor:
        noise = torch.randn(shape, generator=generator)
        return noise * 0.2 + 1 if len(shape) < 2 else noise / math.sqrt(math.prod(shape[1:]))

    return {name: draw(shape) for name, shape in shapes}


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of single letters; a trained one would differ from run to run."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder.mkdir(parents=True)
    pieces = ["<pad>", "</s>", "<unk>", "▁", *string.ascii_lowercase, *".,!-01234567"]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(rank)) for rank, piece in enumerate(pieces)], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    told = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "additional_special_tokens": [], **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))


def save_shards(folder: Path, tensors: dict[str, Tensor], count: int) -> None:
    """Write tensors into several files, as the authors and the hub do."""
    stem, names = "diffusion_pytorch_model", list(tensors)
    home = {name: f"{stem}-{i % count + 1:05}-of-{count:05}.safetensors" for i, name in enumerate(names)}
    for file in sorted(set(home.values())):
        save_file({name: tensors[name] for name in names if home[name] == file}, folder / file)
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": home}))


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """A folder in the original layout, the transformer in 3 shards, and in it `ex4d.ckpt`."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("original")
    save_shards(folder, drawn(transformer(), 1), 3)
    torch.save(drawn(vae(), 2), folder / "Wan2.1_VAE.pth")
    words = {name: tensor.bfloat16() for name, tensor in drawn(text(), 3).items()}
    torch.save(words, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    torch.save(drawn(image(), 4), folder / "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth")
    torch.save(drawn(adapter(), 5), folder / "ex4d.ckpt")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save_tokenizer(folder / "google" / "umt5-xxl")
    return folder


@pytest.fixture(scope="session")
def diffusers_folder(original, tmp_path_factory) -> Path:
    """The same weights as the hub has them, as diffusers and transformers write them, the transformer in shards."""
    from ex4d_backbone_wan.weights import loading

    folder = tmp_path_factory.mktemp("diffusers")
    checkpoint = locate(WanOptions(model=str(original), adapter="none"))
    wanted: dict[str, Any] = {"device": torch.device("cpu"), "dtype": torch.float32}
    loading.load_transformer(checkpoint, **wanted).save_pretrained(folder / "transformer", max_shard_size="50KB")
    loading.load_vae(checkpoint, **wanted).save_pretrained(folder / "vae")
    loading.load_text_encoder(checkpoint, **wanted).model.save_pretrained(folder / "text_encoder")
    loading.load_image_encoder(checkpoint, **wanted).model.save_pretrained(folder / "image_encoder")
    shutil.copytree(original / "google" / "umt5-xxl", folder / "tokenizer")
    (folder / "image_processor").mkdir()
    told = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3]}
    (folder / "image_processor" / "preprocessor_config.json").write_text(json.dumps(told))
    save_file(drawn(adapter(), 5), folder / "ex4d.safetensors")
    return folder


@pytest.fixture
def copy(original, tmp_path) -> Path:
    """The original folder, to spoil."""
    return Path(shutil.copytree(original, tmp_path / "copy"))


@pytest.fixture
def hub_copy(diffusers_folder, tmp_path) -> Path:
    """The folder in the hub's layout, to spoil."""
    return Path(shutil.copytree(diffusers_folder, tmp_path / "hub_copy"))


@pytest.fixture
def find():
    """Locate a folder's checkpoint with the adapter in it, if there is one."""

    def find(folder: Path, **given: Any) -> WanCheckpoint:
        found = next(iter(sorted(folder.glob("ex4d.*"))), "none")
        return locate(WanOptions(**{"model": str(folder), "adapter": str(found), **given}))

    return find


@pytest.fixture
def load(find):
    """Load one network of a folder onto the CPU: `load(folder, "vae")`."""
    from ex4d_backbone_wan.weights import loading

    def load(folder: Path, part: str, *, dtype: torch.dtype = torch.float32, given: Any = (), **others: Any) -> Any:
        function = getattr(loading, f"load_{part}")
        return function(find(folder, **dict(given)), device=torch.device("cpu"), dtype=dtype, **others)

    return load


@pytest.fixture
def change():
    """Change tensors of a file: `change(path, {"name": tensor, "other": None})`; None takes one out."""

    def change(path: Path, tensors: dict[str, Tensor | None]) -> None:
        is_pickled = path.suffix != ".safetensors"
        old = torch.load(path, weights_only=True) if is_pickled else load_file(path)
        new = {name: tensor for name, tensor in {**old, **tensors}.items() if tensor is not None}
        torch.save(new, path) if is_pickled else save_file(new, path)

    return change


@pytest.fixture
def wan():
    """The original names and shapes, and how tensors are drawn and written."""
    return SimpleNamespace(
        transformer=transformer,
        text=text,
        image=image,
        vae=vae,
        adapter=adapter,
        drawn=drawn,
        save_shards=save_shards,
        save_tokenizer=save_tokenizer,
        config=CONFIG,
        width=WIDTH,
        layers=LAYERS,
        rank=RANK,
    )


@pytest.fixture
def denoise():
    """Call a transformer once with fixed noise."""

    def denoise(transformer: Any) -> Tensor:
        generator, config = torch.Generator().manual_seed(9), transformer.config

        def noise(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        given = {"hidden_states": noise(1, config.in_channels, 3, 4, 4), "encoder_hidden_states": noise(1, 512, TEXT)}
        if config.image_dim is not None:
            given["encoder_hidden_states_image"] = noise(1, 257, config.image_dim)
        with torch.no_grad():
            return transformer(**given, timestep=torch.tensor([700.0]), return_dict=False)[0]

    return denoise
