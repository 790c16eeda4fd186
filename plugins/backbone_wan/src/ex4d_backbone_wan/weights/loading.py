"""Load the networks of Wan from either layout into the classes of diffusers and transformers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import torch

from ex4d_backbone_wan.weights.adapter import CameraEncoder, apply_loras, camera_tensors
from ex4d_backbone_wan.weights.checkpoint import Kind, WanCheckpoint
from ex4d_backbone_wan.weights.lazy_loading import load_network
from ex4d_backbone_wan.weights.single_file import open_network
from ex4d_backbone_wan.weights.user_files import Lora
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.hub.untrusted_weights import check_kinds, numbers, one_at_a_time, only_weights, read_config

IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean color of CLIP's training data, in [0, 1]."""
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)

_TRANSFORMERS: Mapping[Kind, str] = {"wan": "WanTransformer3DModel", "vace": "WanVACETransformer3DModel"}

_TOKENIZER_FILES = (
    *("config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "*.txt", "*.model"),
)


@attrs.frozen(eq=False, kw_only=True)
class TextEncoder:
    """umt5, which embeds the tokens of a prompt."""

    tokenizer: Any
    model: Any
    """A UMT5EncoderModel."""


@attrs.frozen(eq=False, kw_only=True)
class ImageEncoder:
    """The vision encoder of CLIP, which embeds the patches of an image."""

    model: Any
    """A CLIPVisionModel."""
    mean: tuple[float, ...]
    """Mean color of its training data, in [0, 1]."""
    std: tuple[float, ...]
    size: int
    """Side of its square input, in pixels."""


def load_transformer(
    checkpoint: WanCheckpoint,
    *,
    device: torch.device,
    dtype: torch.dtype,
    adapters: Sequence[Lora] | None = None,
    merge: bool = True,
    merge_on: torch.device | None = None,
    store: bool = False,
) -> Any:
    """Load the transformer of diffusers with the distilled LoRA, EX-4D's and further LoRAs, in this order.

    Args:
        checkpoint: the files.
        device: of the network.
        dtype: of its weights, except those that diffusers keeps in float32.
        adapters: LoRAs to use; by default those of the checkpoint.
        merge: whether to add them to the weights; else they stay separate, in float32, as for training.
        merge_on: device that merges, by default `device`.
        store: whether weights in 8 bits or GGUF stay as they are in the file, with LoRAs beside them.

    Raises:
        InvalidInput: a file is damaged, or its tensors do not match the network; they are listed.
        InputNotFound: a file does not exist.
    """
    cls = imported("diffusers", _TRANSFORMERS[checkpoint.kind])
    kept = cls._keep_in_fp32_modules  # as from_pretrained does
    network = load_network(checkpoint, "transformer", _maker(cls), device=device, dtype=dtype, kept=kept, store=store)
    if adapters is None:
        own = (Lora(path=checkpoint.adapter),) if checkpoint.adapter else ()
        distilled = (checkpoint.distilled,) if checkpoint.distilled else ()
        adapters = (*distilled, *own, *checkpoint.loras)
    apply_loras(network, adapters, merge=merge, merge_on=merge_on)
    return network


def load_camera_encoder(checkpoint: WanCheckpoint, *, device: torch.device, dtype: torch.dtype) -> CameraEncoder | None:
    """Load EX-4D's camera encoder; None if the checkpoint has no adapter.

    Raises:
        InvalidInput: the file is damaged, or its tensors do not match the encoder or the transformer.
        InputNotFound: the file does not exist.
    """
    if checkpoint.adapter is None:
        return None
    with one_at_a_time():
        encoder = CameraEncoder.from_tensors(camera_tensors(checkpoint.adapter), where=str(checkpoint.adapter))
    width = _width(checkpoint)
    if encoder.width != width:
        raise InvalidInput(
            f"{checkpoint.adapter} was trained for a transformer of width {encoder.width} and {checkpoint.folder} has "
            f"{width}; choose the adapter for this Wan, or backbone.adapter=none"
        )
    encoder = encoder.to(device=device, dtype=dtype)
    return encoder.eval().requires_grad_(False)


def load_vae(checkpoint: WanCheckpoint, *, device: torch.device, dtype: torch.dtype) -> Any:
    """Load the AutoencoderKLWan.

    Raises:
        InvalidInput: a file is damaged, or its tensors do not match the network; they are listed.
        InputNotFound: a file does not exist.
    """
    make = _maker(imported("diffusers", "AutoencoderKLWan"))
    network = load_network(checkpoint, "vae", make, device=device, dtype=dtype)
    if network.config.patch_size is not None:
        raise InvalidInput(f"the vae in {checkpoint.folder} is not that of Wan 2.1; choose another backbone.model")
    return network


def load_text_encoder(checkpoint: WanCheckpoint, *, device: torch.device, dtype: torch.dtype) -> TextEncoder:
    """Load umt5 and its tokenizer.

    Raises:
        InvalidInput: a file is damaged, or its tensors do not match the network; they are listed.
        InputNotFound: a file does not exist.
    """
    config_class, model = imported("transformers", "UMT5Config"), imported("transformers", "UMT5EncoderModel")

    def make(config: Mapping[str, Any]) -> Any:
        return model(config_class.from_dict(dict(config)))

    tokenizer = _load_tokenizer(checkpoint.tokenizer)
    network = load_network(checkpoint, "text_encoder", make, device=device, dtype=dtype)
    network.tie_weights()
    return TextEncoder(tokenizer=tokenizer, model=network)


def load_image_encoder(checkpoint: WanCheckpoint, *, device: torch.device, dtype: torch.dtype) -> ImageEncoder:
    """Load the vision encoder of CLIP.

    Raises:
        InvalidInput: a file is damaged, or its tensors do not match the network; they are listed.
        InputNotFound: a file does not exist, or this Wan has no image encoder.
    """
    config_class, model = imported("transformers", "CLIPVisionConfig"), imported("transformers", "CLIPVisionModel")

    def make(config: Mapping[str, Any]) -> Any:
        return model(config_class.from_dict(dict(config.get("vision_config", config))))

    network = load_network(checkpoint, "image_encoder", make, device=device, dtype=dtype)
    where = checkpoint.image_processor
    processor = read_config(where) if where.is_file() else {}
    return ImageEncoder(
        model=network,
        mean=numbers(processor, "image_mean", 3, IMAGE_MEAN, where=where),
        std=numbers(processor, "image_std", 3, IMAGE_STD, where=where),
        size=network.config.image_size,
    )


def stored_bytes(checkpoint: WanCheckpoint, part: str, dtype: torch.dtype) -> int:
    """Return the approximate bytes of a network in memory: those of its files, or fewer in a smaller dtype.

    Raises:
        InvalidInput: a file is damaged.
    """
    size = 0
    for file in checkpoint.files.get(part, ()):  # type: ignore[call-overload]  # the camera encoder has no files
        with open_network(file) as opened:
            size += min(file.stat().st_size, sum(map(math.prod, opened.shapes.values())) * dtype.itemsize)
    return size


def takes_images(checkpoint: WanCheckpoint) -> bool:
    """Return whether the transformer is conditioned on a first image, so that it needs an image encoder.

    Raises:
        InvalidInput: the file is damaged.
    """
    if checkpoint.kind == "vace":
        return False
    if not checkpoint.is_single:
        return "image_encoder" in checkpoint.files
    with open_network(checkpoint.files["transformer"][0]) as opened:
        return any(name.startswith("img_emb.") for name in opened.shapes)


def imported(library: str, name: str) -> Any:
    """Import a class of a library."""
    with one_at_a_time():
        return getattr(import_module(library), name)


def _maker(cls: Any) -> Callable[[Mapping[str, Any]], Any]:
    def make(config: Mapping[str, Any]) -> Any:
        check_kinds(config, cls)
        return cls.from_config(config)

    return make


def _width(checkpoint: WanCheckpoint) -> int:
    """Return the number of channels of the transformer's tokens."""
    for file in checkpoint.files["transformer"]:
        with open_network(file) as opened:
            if shape := opened.shapes.get("patch_embedding.weight"):
                return shape[0]
    raise InvalidInput(f"{checkpoint.folder} has no tensor patch_embedding.weight, so it is not a Wan transformer")


def _load_tokenizer(folder: Path) -> Any:
    if not any(folder.glob("*.json")):
        raise InputNotFound(f"{folder} has no tokenizer; check which model the folder contains")
    with only_weights(folder, _TOKENIZER_FILES, what="tokenizer") as clean:
        tokenizer = imported("transformers", "AutoTokenizer").from_pretrained(
            str(clean), local_files_only=True, trust_remote_code=False
        )
        tokenizer("a", padding="max_length", max_length=8, truncation=True, return_tensors="pt")  # as for prompts
    return tokenizer
