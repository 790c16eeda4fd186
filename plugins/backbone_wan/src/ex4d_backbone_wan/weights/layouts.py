"""Map original files of Wan to the classes of diffusers and transformers: names of tensors, and sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from ex4d_backbone_wan.weights.checkpoint import CheckpointLayout, Part
from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import Shapes


@attrs.frozen
class TensorSource:
    """Source of a network's tensor: a tensor in the file, or one of several equal parts of its rows."""

    key: str
    part: int = 0
    parts: int = 1


TensorSources = dict[str, TensorSource]
"""By name in the class of the network."""

HEAD_DIM = 128
"""Channels of an attention head in every Wan; not stored in its files."""

CLIP_HEAD_DIM = 80
"""Channels of an attention head in the image encoder, a ViT-H/14."""


def tensor_sources(layout: CheckpointLayout, part: Part, keys: Iterable[str]) -> TensorSources:
    """Return the sources of all tensors of a network, given the names in its files."""
    return _SOURCES[layout, part](list(keys))


def original_config(part: Part, shapes: Shapes, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a network's class (for the encoders, of its configuration's class).

    Args:
        part: which network.
        shapes: of the tensors in its original files.
        config: its config.json, for sizes that cannot be derived from shapes, such as the number of heads.

    Raises:
        InvalidInput: a tensor that determines a size is missing or has an unexpected shape.
    """
    try:
        return _CONFIGS[part](shapes, config)
    except KeyError as error:
        raise InvalidInput(
            f"the original files of the {part} have no tensor {error.args[0]}, which determines its size; check which "
            "model they contain"
        ) from error
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise InvalidInput(
            f"the tensors in the original files of the {part} have unexpected shapes; check which model "
            "they contain, and their config.json"
        ) from error


def _same(keys: list[str]) -> TensorSources:
    return {key: TensorSource(key) for key in keys}


def _transformer(keys: list[str]) -> TensorSources:
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    # It only renames, so that it accepts names in place of tensors.
    return {
        name: TensorSource(key)
        for name, key in convert_wan_transformer_to_diffusers({key: key for key in keys}).items()
    }


def _vae(keys: list[str]) -> TensorSources:
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    return {name: TensorSource(key) for name, key in convert_wan_vae_to_diffusers({key: key for key in keys}).items()}


_TEXT_RULES = (
    (r"token_embedding\.", "shared."),
    (r"norm\.", "encoder.final_layer_norm."),
    (r"blocks\.(\d+)\.norm1\.", r"encoder.block.\1.layer.0.layer_norm."),
    (r"blocks\.(\d+)\.norm2\.", r"encoder.block.\1.layer.1.layer_norm."),
    (r"blocks\.(\d+)\.attn\.", r"encoder.block.\1.layer.0.SelfAttention."),
    (r"blocks\.(\d+)\.pos_embedding\.embedding\.", r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias."),
    (r"blocks\.(\d+)\.ffn\.gate\.0\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
    (r"blocks\.(\d+)\.ffn\.fc1\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
    (r"blocks\.(\d+)\.ffn\.fc2\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
)


def _text(keys: list[str]) -> TensorSources:
    return _tied({_renamed(key, _TEXT_RULES): TensorSource(key) for key in keys})


def _tied(found: TensorSources) -> TensorSources:
    """Add both names of the word embedding, which is one tensor."""
    embedding = [found[name] for name in _EMBEDDINGS if name in found]
    return {**found, **dict.fromkeys(_EMBEDDINGS, embedding[0])} if embedding else found


_EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight")

_IMAGE_RULES = (
    (r"visual\.cls_embedding", "embeddings.class_embedding"),
    (r"visual\.patch_embedding\.", "embeddings.patch_embedding."),
    (r"visual\.pos_embedding", "embeddings.position_embedding.weight"),
    (r"visual\.pre_norm\.", "pre_layrnorm."),
    (r"visual\.post_norm\.", "post_layernorm."),
    (r"visual\.transformer\.(\d+)\.norm1\.", r"encoder.layers.\1.layer_norm1."),
    (r"visual\.transformer\.(\d+)\.norm2\.", r"encoder.layers.\1.layer_norm2."),
    (r"visual\.transformer\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.out_proj."),
    (r"visual\.transformer\.(\d+)\.mlp\.0\.", r"encoder.layers.\1.mlp.fc1."),
    (r"visual\.transformer\.(\d+)\.mlp\.2\.", r"encoder.layers.\1.mlp.fc2."),
)
_QKV = re.compile(r"visual\.transformer\.(\d+)\.attn\.to_qkv\.(weight|bias)")
_NOT_SEEN = re.compile(r"textual\.|log_scale$|visual\.head$")
"""The text encoder of CLIP and its heads, which Wan does not use."""


def _image(keys: list[str]) -> TensorSources:
    found: TensorSources = {}
    for key in keys:
        if qkv := _QKV.fullmatch(key):
            layer = f"encoder.layers.{qkv[1]}.self_attn"
            names = [f"{layer}.{name}_proj.{qkv[2]}" for name in "qkv"]
            found |= {name: TensorSource(key, part, 3) for part, name in enumerate(names)}
        elif not _NOT_SEEN.match(key):
            found[_renamed(key, _IMAGE_RULES)] = TensorSource(key)
    return found


def _hub_image(keys: list[str]) -> TensorSources:
    # Older versions of transformers have this prefix, and store a table of 0, 1, 2 ... that is not a weight.
    return {key.removeprefix("vision_model."): TensorSource(key) for key in keys if not key.endswith("position_ids")}


def _renamed(key: str, rules: Iterable[tuple[str, str]]) -> str:
    """Rename by the first rule that matches the beginning; unknown names stay and are refused later."""
    for pattern, name in rules:
        if match := re.match(pattern, key):
            return match.expand(name) + key[match.end() :]
    return key


_SOURCES: Mapping[tuple[CheckpointLayout, Part], Callable[[list[str]], TensorSources]] = {
    ("original", "transformer"): _transformer,
    ("original", "vae"): _vae,
    ("original", "text_encoder"): _text,
    ("original", "image_encoder"): _image,
    ("diffusers", "transformer"): _same,
    ("diffusers", "vae"): _same,
    ("diffusers", "text_encoder"): lambda keys: _tied(_same(keys)),
    ("diffusers", "image_encoder"): _hub_image,
}


def _transformer_config(shapes: Shapes, config: Mapping[str, Any]) -> dict[str, Any]:
    dim, channels, *patch = shapes["patch_embedding.weight"]
    heads = config.get("num_heads", max(1, dim // config.get("head_dim", HEAD_DIM)))
    size = 1
    for side in patch:
        size *= side
    sizes = {
        "patch_size": tuple(patch),
        "num_attention_heads": heads,
        "attention_head_dim": dim // heads,
        "in_channels": channels,
        "out_channels": shapes["head.head.weight"][0] // size,
        "text_dim": shapes["text_embedding.0.weight"][1],
        "freq_dim": shapes["time_embedding.0.weight"][1],
        "ffn_dim": shapes["blocks.0.ffn.0.weight"][0],
        "num_layers": _count(shapes, r"blocks\.(\d+)\."),
        "cross_attn_norm": "blocks.0.norm3.weight" in shapes,
        "eps": config.get("eps", 1e-6),
        "image_dim": shapes.get("img_emb.proj.0.weight", (None,))[0],
        "added_kv_proj_dim": dim if "blocks.0.cross_attn.k_img.weight" in shapes else None,
        "pos_embed_seq_len": shapes.get("img_emb.emb_pos", (None, None))[1],
    }
    return sizes | _vace_config(shapes, config, layers=sizes["num_layers"])


def _vace_config(shapes: Shapes, config: Mapping[str, Any], *, layers: int) -> dict[str, Any]:
    """Return the sizes of the branch of VACE, whose blocks belong to evenly spaced layers in every VACE."""
    if "vace_patch_embedding.weight" not in shapes:
        return {}
    count = _count(shapes, r"vace_blocks\.(\d+)\.")
    spaced = list(range(0, layers, layers // count))[:count]
    return {
        "vace_layers": config.get("vace_layers", spaced),
        "vace_in_channels": shapes["vace_patch_embedding.weight"][1],
    }


def _vae_config(shapes: Shapes, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"base_dim": shapes["encoder.conv1.weight"][0], "z_dim": shapes["conv2.weight"][0], **config}


def _text_config(shapes: Shapes, config: Mapping[str, Any]) -> dict[str, Any]:
    vocabulary, dim = shapes["token_embedding.weight"]
    buckets, heads = shapes["blocks.0.pos_embedding.embedding.weight"]
    return {
        "vocab_size": vocabulary,
        "d_model": dim,
        "d_kv": shapes["blocks.0.attn.q.weight"][0] // heads,
        "d_ff": shapes["blocks.0.ffn.fc1.weight"][0],
        "num_layers": _count(shapes, r"blocks\.(\d+)\."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
    }


def _image_config(shapes: Shapes, config: Mapping[str, Any]) -> dict[str, Any]:
    dim, _, patch, _ = shapes["visual.patch_embedding.weight"]
    side = round((shapes["visual.pos_embedding"][1] - 1) ** 0.5)
    return {
        "hidden_size": dim,
        "intermediate_size": shapes["visual.transformer.0.mlp.0.weight"][0],
        "num_hidden_layers": _count(shapes, r"visual\.transformer\.(\d+)\."),
        "num_attention_heads": config.get("num_heads", max(1, dim // CLIP_HEAD_DIM)),
        "image_size": side * patch,
        "patch_size": patch,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
    }


_CONFIGS: Mapping[Part, Callable[[Shapes, Mapping[str, Any]], dict[str, Any]]] = {
    "transformer": _transformer_config,
    "vae": _vae_config,
    "text_encoder": _text_config,
    "image_encoder": _image_config,
}


def _count(shapes: Shapes, pattern: str) -> int:
    return 1 + max(int(match[1]) for key in shapes if (match := re.match(pattern, key)))
