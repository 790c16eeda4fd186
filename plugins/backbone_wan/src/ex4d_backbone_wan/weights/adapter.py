"""The EX-4D adapter: LoRAs of the transformer, and an encoder of the guidance."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ex4d_backbone_wan.weights.checkpoint import Lora
from ex4d_backbone_wan.weights.tensor_files import open_tensors, read_all
from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import check_state_dict, group_names
from ex4d_core.hub.untrusted_weights import loading
from ex4d_core.reading import parse_json

CAMERA_KEYS = ("latent_encoder.", "latent_patch_embedding.")
"""Prefixes of the camera encoder's tensors, which are in one file with the LoRA."""

_PREFIXES = ("base_model.model.", "transformer.", "model.")
_FOREIGN = ("diffusion_model.", "lora_unet_")
"""Prefixes in LoRAs of other trainers, which diffusers can convert."""
_FOREIGN_ENDS = (".lora_down.weight", ".lora_up.weight", ".alpha")
_METADATA = "lora_adapter_metadata"


class CameraEncoder(nn.Module):
    """Encodes the guidance into one token per patch, which is added after Wan's patch embedding.

    Args:
        channels: of both latents.
        hidden: channels between the layers.
        width: channels of the transformer's tokens.
        patch: latent frames, rows and columns per token.
    """

    def __init__(self, *, channels: int, hidden: int, width: int, patch: tuple[int, int, int] = (1, 2, 2)) -> None:
        super().__init__()
        self.width = width
        # Named and numbered as in the file.
        self.latent_encoder = nn.Sequential(
            nn.Conv3d(channels, hidden, 1),
            nn.SiLU(),
            nn.Conv3d(hidden, hidden, 1),
            nn.SiLU(),
            nn.Conv3d(hidden, hidden, 1),
        )
        self.latent_patch_embedding = nn.Conv3d(hidden, width, patch, stride=patch)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, where: str) -> Self:
        """Create the encoder from its tensors.

        Raises:
            InvalidInput: the tensors do not match; the differences are listed.
        """
        first, last = (tensors.get(f"{name}.weight") for name in ("latent_encoder.0", "latent_patch_embedding"))
        if first is None or last is None or first.ndim != 5 or last.ndim != 5:
            raise InvalidInput(
                f"{where} has no camera encoder (tensors that begin with {' or '.join(CAMERA_KEYS)}), so it is not an "
                "EX-4D adapter; use backbone.loras for other LoRAs"
            )
        with loading(Path(where), "camera encoder"), torch.device("meta"):
            frames, rows, columns = last.shape[2:]
            encoder = cls(
                channels=first.shape[1], hidden=first.shape[0], width=last.shape[0], patch=(frames, rows, columns)
            )
        check_state_dict(where, found=_shapes(tensors), expected=_shapes(encoder.state_dict()))
        if odd := [name for name, tensor in tensors.items() if not tensor.is_floating_point()]:
            raise InvalidInput(f"{where} has {odd[0]} in {tensors[odd[0]].dtype}, which is not a floating-point number")
        encoder.load_state_dict(dict(tensors), assign=True)
        return encoder

    def forward(self, color_latent: Tensor, mask_latent: Tensor) -> Tensor:
        """Return tokens [B, N, D] for latents of color and mask, both [B, 16, t, h, w]; N = t * h/2 * w/2."""
        encoded = self.latent_encoder(torch.cat([color_latent, mask_latent], dim=1))
        tokens: Tensor = self.latent_patch_embedding(encoded).flatten(2).transpose(1, 2)
        return tokens


@contextmanager
def camera_tokens(transformer: Any, tokens: Tensor | None) -> Iterator[None]:
    """Add tokens to the output of the transformer's patch embedding within a `with` block.

    Args:
        transformer: a WanTransformer3DModel, also one that is compiled, offloaded or spread over GPUs.
        tokens: [1, N, D] of `CameraEncoder`, added to every sample of a batch; None adds nothing.

    Raises:
        InvalidInput: in the block, if the number of patches differs from the number of tokens.
    """
    if tokens is None:
        yield
        return
    given = tokens.transpose(1, 2)

    def add(_: nn.Module, __: tuple[Any, ...], embedded: Tensor) -> Tensor:
        if given.shape[1:] != (embedded.shape[1], embedded[0, 0].numel()):
            raise InvalidInput(
                f"{given.shape[2]} camera tokens of width {given.shape[1]} do not fit a video of "
                f"{embedded[0, 0].numel()} patches of width {embedded.shape[1]}; encode the guidance at its size"
            )
        return embedded + given.to(embedded).reshape(-1, *embedded.shape[1:])

    handle = transformer.patch_embedding.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def camera_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of the camera encoder from the file of an adapter.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is damaged.
    """
    return {name: tensor for name, tensor in read_all(path).items() if name.startswith(CAMERA_KEYS)}


def apply_loras(transformer: Any, loras: Sequence[Lora], *, merge: bool, merge_on: torch.device | None = None) -> None:
    """Apply LoRAs to a transformer, in order.

    Args:
        transformer: a WanTransformer3DModel on its device.
        loras: files and scales.
        merge: whether to add them to the weights, rounding once per LoRA; else they stay separate and active, in
            float32, with the names `lora_0`, `lora_1` ...
        merge_on: device that merges, block by block; by default that of the weights.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: a file is damaged, or has tensors that do not match the transformer; they are listed.
    """
    if not loras:
        return
    names = [f"lora_{number}" for number in range(len(loras))]
    for name, lora in zip(names, loras, strict=True):
        _attach(transformer, lora, name)
    transformer.set_adapters(names, [lora.weight for lora in loras])
    if merge:
        _merge(transformer, merge_on or transformer.device)
        transformer.unload_lora()


def _merge(transformer: Any, device: torch.device) -> None:
    """Merge the LoRAs of each layer; a GPU needs seconds, transfers included, and a CPU minutes."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    home = transformer.device
    for part in (*transformer.blocks, transformer):
        layers = [module for module in part.modules() if isinstance(module, BaseTunerLayer) and not module.merged]
        for layer in layers:
            layer.to(device)
            layer.merge()
            layer.to(home)


def lora_tensors(path: Path) -> dict[str, Tensor]:
    """Read the low-rank matrices of a file, by diffusers' names: `blocks.0.attn1.to_q.lora_A.weight`.

    Supported are files of EX-4D, with original names and `.default.`, of peft and diffusers, and of other trainers
    that diffusers can convert. Tensors of the camera encoder are skipped.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is damaged, has no LoRA in a supported format, or has changes that are not low-rank.
    """
    found = {name: tensor for name, tensor in read_all(path).items() if not name.startswith(CAMERA_KEYS)}
    if any(name.startswith(_FOREIGN) or name.endswith(_FOREIGN_ENDS) for name in found):
        found = _from_other_trainers(found, path)
    found = {_plain(name): tensor for name, tensor in found.items()}
    if any("_attn." in name or ".ffn.0." in name for name in found):
        from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

        with loading(path, "LoRA"):
            found = convert_wan_transformer_to_diffusers(found)
    if not found:
        raise InvalidInput(f"{path} has no LoRA; check which file it is")
    return found


def _plain(name: str) -> str:
    """Remove the prefixes and adapter name that wrappers add to a name."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return re.sub(r"\.(lora_[AB])\.default\.", r".\1.", name)


def _from_other_trainers(found: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    from diffusers.loaders import WanLoraLoaderMixin

    # It detects the prefix, scales by alpha in place, and silently skips changes of whole tensors.
    prefix = "" if any(name.startswith(_FOREIGN) for name in found) else _FOREIGN[0]
    copies = {f"{prefix}{name}": tensor.clone() for name, tensor in found.items()}
    with loading(path, "LoRA for Wan 2.1"):
        converted: dict[str, Tensor] = WanLoraLoaderMixin.lora_state_dict(dict(copies))
    taken = {id(tensor) for tensor in converted.values()}
    left = [name for name, tensor in copies.items() if ".diff" in name and id(tensor) not in taken and tensor.any()]
    if left:
        raise InvalidInput(
            f"{path} changes whole tensors, which is not supported: {group_names(left)}; use a version without them"
        )
    return converted


def _attach(transformer: Any, lora: Lora, adapter: str) -> None:
    """Attach a LoRA to its layers in float32, and check that all tensors match."""
    tensors = lora_tensors(lora.path)
    check_state_dict(lora.path, found=_shapes(tensors), expected=_places(transformer, tensors))
    # peft draws random numbers, which are replaced here; the global state must not change.
    settings = _settings(lora.path, tensors)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), loading(lora.path, "LoRA"):
        warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)  # several are intended
        transformer.load_lora_adapter(dict(tensors), prefix=None, adapter_name=adapter, **settings)
    for name, tensor in tensors.items():
        # peft has rounded it to the dtype of the layer; merging would round twice.
        layer, matrix, kind = name.rsplit(".", 2)
        parameter = transformer.get_parameter(f"{layer}.{matrix}.{adapter}.{kind}")
        parameter.data = tensor.to(device=parameter.device, dtype=torch.float32)


def _places(transformer: Any, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the expected shapes of the matrices, from the layers in their names."""
    layers = dict(transformer.named_modules())
    places: dict[str, tuple[int, ...]] = {}
    for name, tensor in tensors.items():
        layer_name, _, matrix = name.partition(".lora_")
        layer = layers.get(layer_name)
        if layer is None or not hasattr(layer, "in_features"):
            continue
        if matrix == "B.bias":
            places[name] = (layer.out_features,)
        elif matrix in ("A.weight", "B.weight"):
            rank = tensor.shape[0 if matrix == "A.weight" else -1]
            a, b = (f"{layer_name}.lora_{side}.weight" for side in "AB")
            places |= {a: (rank, layer.in_features), b: (layer.out_features, rank)}
    return places


def _settings(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read the scale from the metadata of a file of diffusers; by default, alpha is the rank.

    All other entries of peft's configuration are ignored: the tensors determine the layers.
    """
    with open_tensors(path) as file:
        text = file.metadata.get(_METADATA, "")
    if not text:
        return {}
    try:
        entries = parse_json(text)
    except ValueError as error:
        raise InvalidInput(f"{path} has metadata that is not JSON ({error}); download it again") from error
    entries = {_plain(name): value for name, value in entries.items()} if isinstance(entries, dict) else {}
    kept = {name: entries[name] for name, holds in _SCALES.items() if name in entries and holds(entries[name])}
    if dropped := sorted(set(_SCALES) & set(entries) - set(kept)):
        raise InvalidInput(f"{path} has {dropped[0]} = {ascii(entries[dropped[0]])[:80]}, which is not valid")
    layers = sorted({name.partition(".lora_")[0] for name in tensors})
    return {"metadata": {**kept, "target_modules": layers}} if kept else {}


def _is_scale(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MOST_SCALE


def _are_scales(value: object) -> bool:
    # Names are regular expressions; repetitions could take exponential time to match.
    return isinstance(value, dict) and all(
        re.fullmatch(r"[\w.^$\\-]+", name) and _is_scale(scale) for name, scale in value.items()
    )


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_MOST_SCALE = 2**20
_SCALES: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(("r", "lora_alpha"), _is_scale),
    **dict.fromkeys(("rank_pattern", "alpha_pattern"), _are_scales),
    **dict.fromkeys(("use_rslora", "lora_bias"), _is_flag),
}
"""Entries of peft's configuration that determine the scale of a LoRA, and checks of their values."""


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
