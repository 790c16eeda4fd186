"""Checkpoints of a network as people share them: one file, in 8 bits with scales or as GGUF, and with a prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import torch
from torch import Tensor

from ex4d_backbone_wan.weights.checkpoint import Kind
from ex4d_backbone_wan.weights.gguf_files import open_gguf
from ex4d_backbone_wan.weights.stored import StoredWeight
from ex4d_backbone_wan.weights.tensor_files import TensorFile, open_tensors
from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import Shapes

_PREFIX = re.compile(r"(model\.)?diffusion_model\.")

_SCALES = (".scale_weight", ".weight_scale")
"""Names of the scales of a layer's weight: those of ComfyUI's older files, and those of newer ones and lightx2v."""

_NOT_WEIGHTS = (".scale_input", ".input_scale", ".comfy_quant")
"""Further tensors of an 8-bit layer: scales of its inputs for 8-bit products, and the name of the format."""

_EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2)

_MARKER = "scaled_fp8"

_NAME_OF_2_2 = re.compile(r"wan[ ._-]?2[._]2|(high|low)[ ._-]?noise", re.IGNORECASE)
"""Text-to-video files of Wan 2.2 differ from those of Wan 2.1 by name only; each has one of two ranges of noise."""

_IMAGES, _VIDEO_LATENTS = 36, 16
"""Channels that the transformers of Wan 2.1 take: image-to-video and text-to-video."""


@contextmanager
def open_network(path: Path) -> Iterator[TensorFile]:
    """Open a file of a network within a `with` block: 8-bit weights are multiplied by their scales when read.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is damaged, contains other objects than tensors, or has scales per block, as NVFP4.
        PluginFailed: it is GGUF, and the package that reads it is not installed.
    """
    with (open_gguf if path.suffix == ".gguf" else open_tensors)(path) as file:
        names = {_PREFIX.sub("", name, count=1) if _PREFIX.match(name) else name: name for name in file.shapes}
        scales = _scales(path, names, file.shapes)
        left = {name: key for name, key in names.items() if not _is_scale(name, names)}

        def read(name: str) -> Tensor:
            tensor = file.read(left[name])
            if name not in scales:
                return tensor
            scale = file.read(scales[name]).float()
            return tensor.float() * (scale.reshape(()) if scale.numel() == 1 else scale.reshape(-1, 1))

        def stored(name: str) -> StoredWeight | None:
            if found := file.stored(left[name]):
                return found
            data = file.read(left[name])
            if data.dtype not in _EIGHT_BITS or data.ndim != 2:
                return None
            scale = file.read(scales[name]).float().reshape(-1, 1) if name in scales else None
            return StoredWeight(data=data, scale=scale)

        shapes = {name: file.shapes[key] for name, key in left.items()}
        yield attrs.evolve(file, shapes=shapes, read=read, stored=stored)


def check_kind(where: str, shapes: Shapes, kind: Kind) -> None:
    """Refuse a transformer of another kind.

    Args:
        where: the file or folder, for the message.
        shapes: of its tensors.
        kind: the expected kind.

    Raises:
        InvalidInput: it is of another kind, or is only a part of VACE.
    """
    is_vace = any(name.startswith("vace_") for name in shapes)
    if is_vace and kind == "wan":
        raise InvalidInput(f"{where} is a VACE model; run it with --backbone vace, or use a Wan2.1 I2V file")
    if kind != "vace":
        return
    if not is_vace:
        raise InvalidInput(f"{where} is not a VACE model; use Wan2.1-VACE-1.3B or 14B, or run it with --backbone wan")
    if not any(name.startswith("blocks.") for name in shapes):
        raise InvalidInput(
            f"{where} has only the blocks that VACE adds to Wan2.1 T2V; use a file with the whole transformer"
        )


def check_single_file(where: str, shapes: Shapes) -> None:
    """Refuse a transformer that is not of Wan 2.1, or has the names of diffusers.

    Args:
        where: the file, for the message.
        shapes: of its tensors.

    Raises:
        InvalidInput: it is another model.
    """
    if any(name.startswith("condition_embedder.") for name in shapes):
        raise InvalidInput(
            f"{where} has the names of diffusers; put it into a folder transformer/ with its config.json and choose "
            "the folder above as backbone.model"
        )
    if _NAME_OF_2_2.search(Path(where).name):
        raise InvalidInput(
            f"{where} is named as a file of Wan 2.2, whose tensors have the shapes of Wan 2.1, but which handles only "
            "a part of the noise levels; use a Wan2.1 file, or rename it if it is one"
        )
    patches = shapes.get("patch_embedding.weight", ())
    channels = patches[1] if len(patches) > 1 else 0
    has_images = any(name.startswith("img_emb.") for name in shapes)
    if (channels, has_images) not in ((_IMAGES, True), (_VIDEO_LATENTS, False)) and "head.head.weight" in shapes:
        kind = "without an image embedding " if not has_images else ""
        raise InvalidInput(
            f"{where} takes {channels} channels {kind}and is not Wan 2.1 but a file of Wan 2.2 or another model; use a "
            "Wan2.1 I2V or T2V file"
        )


def _scales(path: Path, names: Mapping[str, str], shapes: Shapes) -> dict[str, str]:
    """Return the names of the scales in the file, by the weight that they belong to."""
    found = {}
    for name, key in names.items():
        weight = _weight(name, names)
        if weight is None or not name.endswith((*_SCALES, ".weight_scale_2")):
            continue
        rows, count = shapes[names[weight]][:1], 1
        for side in shapes[key]:
            count *= side
        if name.endswith(".weight_scale_2") or (count != 1 and (count,) != rows):
            raise InvalidInput(
                f"{path} has scales per block ({name}), as NVFP4 and MXFP8 do, which is not supported; use a file in "
                "bf16, fp8 (e4m3) or GGUF"
            )
        found[weight] = key
    return found


def _is_scale(name: str, names: Mapping[str, str]) -> bool:
    return name == _MARKER or _weight(name, names) is not None


def _weight(name: str, names: Mapping[str, str]) -> str | None:
    """Return the weight that a tensor of a quantized layer belongs to."""
    for end in (*_SCALES, ".weight_scale_2", *_NOT_WEIGHTS):
        if name.endswith(end) and (weight := f"{name.removesuffix(end)}.weight") in names:
            return weight
    return None
