"""Memory requirements of Wan, and placement of its weights in GPU and main memory.

Placements: all weights on the GPU; all but those that are used once per prompt, a quarter of them; or one block at a
time, copied while the previous block computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs
import psutil

from ex4d_core.errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from torch import nn

GIBI = 2**30
FLOAT = 4

CONTEXT_PARTS = ("to_k", "to_v", "add_k_proj", "add_v_proj")
"""Layers of each cross-attention that compute keys and values, once per prompt and first frame."""

_BUFFERS = 9
"""Largest number of activation tensors of all tokens at once, in the feed-forward."""

_START_BUFFERS = 2
"""Those in `StepCache` between the two calls of a step."""

_OTHER_STAGE = 24 * GIBI
"""Memory of a GPU that is left for depth estimation: three times that of DepthCrafter at 512x512."""

_VAE_PIXEL = 6_000
"""Activations of the VAE in values per pixel of a frame, in the last layers of the decoder."""

_VAE_WEIGHTS = GIBI // 2
"""Of the VAE in float32."""

_SPARE = GIBI // 2
"""For workspaces of libraries."""


class Placement(Enum):
    """Placement of the transformer's weights."""

    RESIDENT = "all on the GPU"
    CONTEXT_APART = "all on the GPU except the layers for keys and values of the prompt"
    STREAMED = "in main memory, one block at a time on the GPU"

    def saves_more_than(self, other: Placement) -> bool:
        """Return whether fewer weights are on the GPU."""
        places = list(Placement)
        return places.index(self) > places.index(other)


@attrs.frozen(kw_only=True)
class Needs:
    """Memory requirements of a transformer in bytes."""

    blocks: int
    """Weights of all blocks, without `context`."""
    context: int
    """Weights of `CONTEXT_PARTS` in all blocks."""
    block: int
    """Weights of one block, without `context`."""
    rest: int
    """Weights outside the blocks."""
    kept: int
    """Cached keys and values of both prompts, or of one without guidance."""
    working: int
    """Activations per batch member, and the largest weight that is expanded from 8 bits or GGUF."""
    start: int
    """Cached start of the first block, shared by the halves of the guidance."""
    halves: int = 2
    """Of the guidance; 1 without it."""

    def unguided(self) -> Needs:
        """Return the requirements of a run without guidance."""
        return attrs.evolve(self, kept=self.kept // 2, start=0, halves=1)

    def weights(self, place: Placement) -> int:
        """Return the bytes of the weights on the GPU with a placement."""
        blocks = {
            Placement.RESIDENT: self.blocks + self.context,
            Placement.CONTEXT_APART: self.blocks,
            Placement.STREAMED: 2 * self.block,
        }
        return blocks[place] + self.rest

    def of(self, place: Placement) -> int:
        """Return the total bytes with a placement."""
        batched = place is Placement.STREAMED  # so that each weight is copied once per step
        between = self.halves * self.working if batched else self.working + self.start
        return self.weights(place) + self.kept + between + _SPARE


def needs(transformer: Any, *, tokens: int, guided: bool = True) -> Needs:
    """Return the memory requirements of a transformer on any device, also on the meta device.

    Args:
        transformer: diffusers' WanTransformer3DModel, prepared or not.
        tokens: of a clip, a quarter of latent frames x height x width.
        guided: whether guidance is used.
    """
    from ex4d_backbone_wan.compute.blocks import wan_blocks

    inner = [len(wan_blocks(block)) for block in transformer.blocks]
    blocks = [sum(map(_bytes, (block, *_apart(block)))) for block in transformer.blocks]
    context = [sum(map(_bytes, _context(block))) for block in transformer.blocks]
    config = transformer.config
    channels = config.num_attention_heads * config.attention_head_dim
    length = 512 + (0 if config.image_dim is None else 257)
    width = transformer.patch_embedding.weight.element_size()
    both = Needs(
        blocks=sum(blocks) - sum(context),
        context=sum(context),
        block=max(whole - part for whole, part in zip(blocks, context, strict=True)),
        rest=_bytes(transformer) - sum(_bytes(block) for block in transformer.blocks),
        kept=2 * sum(inner) * 2 * length * channels * width,
        working=(_BUFFERS + max(inner) - 1) * tokens * channels * width + max(map(_expansion, transformer.modules())),
        start=_START_BUFFERS * tokens * channels * width,
    )
    return both if guided else both.unguided()


def choose(needs: Needs, budget: float) -> Placement:
    """Return the fastest placement within a budget in bytes.

    Raises:
        InvalidInput: the budget is too small for any; the message has the smallest one.
    """
    for place in Placement:
        if needs.of(place) <= budget:
            return place
    least = min(needs.of(place) for place in Placement) / GIBI
    raise InvalidInput(
        f"{budget / GIBI:.1f} GiB of GPU memory are too little for a clip of this size, which requires {least:.1f} GiB "
        "with weights in main memory; use fewer frames or a smaller size, such as --set backbone.num_frames=25"
    )


def budget(text: str, device: torch.device, *, held: int) -> float:
    """Return the bytes of a device that a transformer can use.

    Args:
        text: "auto" for the free memory, or a total in GiB.
        device: a GPU; on the CPU only the transformer counts.
        held: bytes that the transformer already uses.
    """
    import torch

    if device.type != "cuda":
        return float("inf") if text == "auto" else float(text) * GIBI
    torch.cuda.empty_cache()
    if text == "auto":
        return float(torch.cuda.mem_get_info(device)[0]) + held
    return float(text) * GIBI - torch.cuda.memory_allocated(device) + held


def vae_bytes(shape: Sequence[int], itemsize: int) -> int:
    """Return the memory to encode or decode a video without tiles, in bytes.

    Args:
        shape: [T, 3, H, W].
        itemsize: bytes of a value.
    """
    frames, channels, height, width = shape
    made = frames * channels * (2 * itemsize + 2 * FLOAT)  # its parts and the whole, and its conversion to float32
    return height * width * (_VAE_PIXEL * itemsize + made) + _VAE_WEIGHTS


def too_small(device: torch.device) -> InvalidInput:
    """Return the error for a GPU that is too small for all weights and a clip."""
    import torch

    # Memory reserved by this process can be reused.
    most = (torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)) / GIBI
    return InvalidInput(
        f"the {most:.1f} GiB available on {torch.cuda.get_device_name(device)} are too little for Wan with all "
        f"weights on the GPU; try --gpu-memory {int(most)}, which keeps weights in main memory"
    )


def has_room(size: float, device: torch.device) -> bool:
    """Return whether weights fit beside a stage that computes meanwhile, for which a part of the memory is left.

    Args:
        size: of the weights in bytes.
        device: of the weights.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] > size + _OTHER_STAGE
    return bool(psutil.virtual_memory().available > 2 * size)


def place(transformer: Any, where: Placement, *, device: torch.device) -> None:
    """Place a transformer on a device, entirely or partly.

    Args:
        transformer: on the CPU or on the device, prepared, so that keys and values of a prompt are cached.
        where: the result of `choose`.
        device: of the computation.
    """
    import torch

    from ex4d_backbone_wan.compute.blocks import wan_blocks

    if where is not Placement.RESIDENT:
        for _, block in wan_blocks(transformer):
            _set_apart(block.attn2)
    if where is Placement.STREAMED:
        _stream(transformer, device)
    else:
        transformer.to(device)
        if device.type == "cuda" and hasattr(torch.accelerator, "empty_host_cache"):  # not in PyTorch 2.11
            torch.accelerator.empty_host_cache()  # pinned memory of the weights


def in_pieces(model: nn.Module, *, device: torch.device) -> None:
    """Offload a rarely used model, such as the text encoder, layer by layer."""
    from diffusers.hooks import apply_group_offloading

    apply_group_offloading(model, onload_device=device, offload_type="leaf_level")


def _stream(transformer: Any, device: torch.device) -> None:
    """Copy the weights of each block to the device while the previous block computes."""
    import torch
    from diffusers.hooks import apply_group_offloading

    is_gpu = device.type == "cuda"
    with torch.cuda.device(device) if is_gpu else nullcontext():  # for the stream of the copies
        apply_group_offloading(
            transformer,
            onload_device=device,
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=is_gpu,
        )
    # Weights outside the blocks stay on the device: copying them would not overlap with computation.
    group = transformer._diffusers_hook.get_hook("group_offloading").group
    for module in group.modules:
        module.to(device)
    for tensor in (*group.parameters, *group.buffers):
        tensor.data = tensor.data.to(device)
    group.modules, group.parameters, group.buffers = [], [], []


def _set_apart(attn: Any) -> None:
    """Remove the layers for the context from a module's children, so that they stay on the CPU."""
    for name in CONTEXT_PARTS:
        part = getattr(attn, name, None)
        if part is not None:
            delattr(attn, name)
            # Not a child anymore, but still an attribute.
            object.__setattr__(attn, name, part.to("cpu"))


def _context(block: Any) -> list[nn.Module]:
    from ex4d_backbone_wan.compute.blocks import wan_blocks

    parts = (getattr(each.attn2, name, None) for _, each in wan_blocks(block) for name in CONTEXT_PARTS)
    return [part for part in parts if part is not None]


def _apart(block: Any) -> list[nn.Module]:
    held = set(block.modules())
    return [part for part in _context(block) if part not in held]


def _expansion(module: nn.Module) -> int:
    """Return the bytes to expand the weight of a `StoredLinear`."""
    return int(getattr(module, "expansion", 0))


def _bytes(module: nn.Module) -> int:
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
