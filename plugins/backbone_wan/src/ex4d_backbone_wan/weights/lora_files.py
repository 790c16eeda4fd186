"""Read LoRA files of several trainers: pairs of low-rank matrices, and deltas of whole tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import attrs
from torch import Tensor

from ex4d_backbone_wan.weights.tensor_files import open_tensors
from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import group_names
from ex4d_core.reading import parse_json

_METADATA = "lora_adapter_metadata"


@attrs.frozen(eq=False, kw_only=True)
class LoraFile:
    """The content of a LoRA file, by diffusers' names. Names that are not understood stay, and match no layer."""

    pairs: Mapping[str, Tensor]
    """Low-rank matrices, such as `blocks.0.attn1.to_q.lora_A.weight`, scaled by alpha."""
    deltas: Mapping[str, Tensor]
    """Added to whole tensors, such as `blocks.0.norm2.bias`."""
    settings: Mapping[str, Any]
    """Entries of peft's configuration that determine the scale of the pairs."""


class _Entry(NamedTuple):
    """A tensor of the file: its layer, and its role there (`A`, `B`, `B.bias`, `alpha`, or the name of a parameter)."""

    layer: str
    role: str


def read_lora(path: Path, *, skip: tuple[str, ...] = ()) -> LoraFile:
    """Read a LoRA file of EX-4D, peft, diffusers, kohya, musubi or ComfyUI.

    Args:
        path: the file.
        skip: prefixes of tensors that are not part of the LoRA.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is damaged, has no LoRA, or is of a kind that is not supported.
    """
    with open_tensors(path) as file:
        names = [name for name in file.shapes if not name.startswith(skip)]
        _check_kind(path, names)
        entries = {name: _entry(name) for name in names}
        tensors = {name: file.read(name) for name in names}
        text = file.metadata.get(_METADATA, "")
    if not any(entries.values()):
        raise InvalidInput(f"{path} has no LoRA; check which file it is")
    found = {entry: tensors[name] for name, entry in entries.items() if entry}
    pairs, deltas = _scaled(found, path), {}
    for (layer, role), tensor in found.items():
        if role not in _LOW_RANK:
            deltas[f"{layer}.{role}".removesuffix(".")] = tensor
    # Listed as unexpected, because no layer has this name.
    deltas |= {name: tensors[name] for name, entry in entries.items() if entry is None}
    renamed = _diffusers_names({**pairs, **deltas})
    pairs = {name: tensor for name, tensor in renamed.items() if ".lora_" in name}
    deltas = {name: tensor for name, tensor in renamed.items() if ".lora_" not in name}
    return LoraFile(pairs=pairs, deltas=deltas, settings=_settings(path, text, pairs))


_LOW_RANK = ("A", "B", "B.bias", "alpha")

_ROLES = (
    (r"(.+)\.lora(?:_A|_down|\.down)(?:\.default)?\.weight", "A"),
    (r"(.+)\.lora(?:_B|_up|\.up)(?:\.default)?\.weight", "B"),
    (r"(.+)\.lora_B(?:\.default)?\.bias", "B.bias"),
    (r"(.+)\.alpha", "alpha"),
    (r"(.+(?:modulation|emb_pos|scale_shift_table|pos_embed))\.diff", ""),
    (r"(.+)\.diff", "weight"),
    (r"(.+)\.diff_b", "bias"),
    (r"(.+)\.diff_m", "modulation"),
)
"""Patterns of names, and the role of the tensor; an empty one if the pattern has the name of the parameter."""

_KINDS = {
    "DoRA": (".dora_scale", ".lora_magnitude_vector"),
    "LoKr": (".lokr_",),
    "LoHa": (".hada_",),
    "OFT": (".oft_", ".boft_"),
    "GLoRA": (".a1.weight", ".b1.weight"),
}
"""Kinds of adapters that are not LoRAs, by parts of the names of their tensors."""

_PREFIXES = ("base_model.model.", "diffusion_model.", "transformer.", "model.", "pipe.dit.")

_UNDERSCORED = re.compile(r"(?:lora_unet|lycoris)_+(?:blocks_(\d+)_)?(.+)")
"""Names of kohya and musubi, which have `_` in place of `.`."""

_LAYERS = (
    *(f"{attention}.{name}" for attention in ("self_attn", "cross_attn") for name in ("q", "k", "v", "o")),
    *(f"{attention}.norm_{name}" for attention in ("self_attn", "cross_attn") for name in ("q", "k")),
    *("cross_attn.k_img", "cross_attn.v_img", "cross_attn.norm_k_img", "norm3", "ffn.0", "ffn.2"),
    *(f"attn{number}.to_{name}" for number in (1, 2) for name in ("q", "k", "v", "out.0")),
    *("attn2.add_k_proj", "attn2.add_v_proj", "ffn.net.0.proj", "ffn.net.2"),
    *("patch_embedding", "text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2"),
    *("time_projection.1", "head.head", "img_emb.proj.0", "img_emb.proj.1", "img_emb.proj.3", "img_emb.proj.4"),
)
_DOTTED = {layer.replace(".", "_"): layer for layer in _LAYERS}


_OF_DIFFUSERS = re.compile(r"attn[12]\.|ffn\.net\.|condition_embedder\.|proj_out\.|scale_shift_table")


def _check_kind(path: Path, names: Iterable[str]) -> None:
    for kind, parts in _KINDS.items():
        if found := [name for name in names if any(part in name for part in parts)]:
            raise InvalidInput(
                f"{path} is a {kind}, which is not supported: it has {group_names(found)[:200]}; use a LoRA"
            )


def _entry(name: str) -> _Entry | None:
    """Parse the name of a tensor; None if it is not part of a LoRA."""
    for pattern, role in _ROLES:
        if match := re.fullmatch(pattern, name):
            return _Entry(_layer(match[1]), role)
    return None


def _layer(name: str) -> str:
    """Return the name of a layer without the prefixes of wrappers."""
    if match := _UNDERSCORED.fullmatch(name):
        block = f"blocks.{match[1]}." if match[1] else ""
        return block + _DOTTED[match[2]] if match[2] in _DOTTED else name
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), ""):
        name = name.removeprefix(prefix)
    return name


def _scaled(found: Mapping[_Entry, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the low-rank matrices, scaled by alpha / rank."""
    pairs = {f"{layer}.lora_A.weight": tensor for (layer, role), tensor in found.items() if role == "A"}
    for (layer, role), tensor in found.items():
        if role in ("B", "B.bias"):
            kind = role.removeprefix("B").removeprefix(".") or "weight"
            pairs[f"{layer}.lora_B.{kind}"] = tensor
    for (layer, role), tensor in found.items():
        if role != "alpha":
            continue
        name = f"{layer}.lora_A.weight"
        if name not in pairs or tensor.numel() != 1 or not pairs[name].ndim:
            raise InvalidInput(f"{path} has {layer}.alpha without a low-rank matrix; download it again")
        pairs[name] = pairs[name].float() * (float(tensor) / len(pairs[name]))
    return pairs


def _diffusers_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    if any(_OF_DIFFUSERS.search(name) for name in tensors):
        return tensors
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    # It only renames, so that it accepts names in place of tensors.
    renamed = convert_wan_transformer_to_diffusers({name: name for name in tensors})
    return {name: tensors[old] for name, old in renamed.items()}


def _settings(path: Path, text: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Read the scale from the metadata of a file of diffusers; by default, alpha is the rank.

    All other entries of peft's configuration are ignored: the tensors determine the layers.
    """
    if not text:
        return {}
    try:
        entries = parse_json(text)
    except ValueError as error:
        raise InvalidInput(f"{path} has metadata that is not JSON ({error}); download it again") from error
    entries = {_layer(name): value for name, value in entries.items()} if isinstance(entries, dict) else {}
    kept = {name: entries[name] for name, holds in _SCALES.items() if name in entries and holds(entries[name])}
    if dropped := sorted(set(_SCALES) & set(entries) - set(kept)):
        raise InvalidInput(f"{path} has {dropped[0]} = {ascii(entries[dropped[0]])[:80]}, which is not valid")
    layers = sorted({name.partition(".lora_")[0] for name in pairs})
    return {"metadata": {**kept, "target_modules": layers}} if kept else {}


def scale_of(settings: Mapping[str, Any], layer: str, *, rank: int) -> float:
    """Return the scale of a pair of matrices by the entries of peft's configuration, as peft computes it."""
    entries = settings.get("metadata", {})
    patterns = entries.get("alpha_pattern", {})
    found = [alpha for pattern, alpha in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", layer)]
    alpha = float(found[0] if found else entries.get("lora_alpha", 8 if entries else rank))
    return alpha / (rank**0.5 if entries.get("use_rslora") else rank)


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
