"""How much of a GPU's memory Wan takes, and what waits in main memory where that is too much.

Weights can stay on the GPU, all of them; or all but those that are needed once for a prompt, a quarter; or a block at
a time, which travels while the block before it computes.
"""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from ex4d_core.errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from torch import nn

GIBI = 2**30

CONTEXT_PARTS = ("to_k", "to_v", "add_k_proj", "add_v_proj")
"""Of each cross attention: what makes keys and values of text and image, once for a prompt and a first frame."""

_BUFFERS = 9
"""Tensors of all tokens that are alive at once, at most: in the feed-forward."""

_START_BUFFERS = 2
"""Those in `StepCache` between the two calls of a step."""

_SPARE = GIBI // 2
"""For the libraries' workspaces."""


class Placement(Enum):
    """Where the transformer's weights are."""

    RESIDENT = "all on the GPU"
    CONTEXT_APART = "all on the GPU but what makes keys and values of the prompt"
    STREAMED = "in main memory, one block after the other on the GPU"

    def saves_more_than(self, other: Placement) -> bool:
        """Return whether less is on the GPU."""
        places = list(Placement)
        return places.index(self) > places.index(other)


@attrs.frozen(kw_only=True)
class Needs:
    """Bytes that a transformer takes of a GPU, part by part."""

    blocks: int
    """Weights of all blocks, but for the context's."""
    context: int
    """Weights of `CONTEXT_PARTS` in all blocks."""
    block: int
    """Weights of one block, but for the context's."""
    rest: int
    """Weights outside of the blocks."""
    kept: int
    """Keys and values of both prompts."""
    working: int
    """What is between the layers, for each batch member."""
    start: int
    """What the halves of the guidance share where they go through one after the other."""

    def weights(self, place: Placement) -> int:
        """Return the bytes of the weights that are on the GPU with all of them at a place."""
        blocks = {
            Placement.RESIDENT: self.blocks + self.context,
            Placement.CONTEXT_APART: self.blocks,
            Placement.STREAMED: 2 * self.block,
        }
        return blocks[place] + self.rest

    def of(self, place: Placement) -> int:
        """Return the bytes that are taken in all with the weights at a place."""
        batched = place is Placement.STREAMED  # so that each weight travels once a step
        between = 2 * self.working if batched else self.working + self.start
        return self.weights(place) + self.kept + between + _SPARE


def needs(transformer: Any, *, tokens: int) -> Needs:
    """Return what a transformer takes, wherever its weights are, also on the meta device.

    Args:
        transformer: diffusers' WanTransformer3DModel, prepared or not.
        tokens: of a clip: latent frames x height x width, a quarter of that.
    """
    blocks = [sum(map(_bytes, (block, *_apart(block)))) for block in transformer.blocks]
    context = [sum(map(_bytes, _context(block))) for block in transformer.blocks]
    config = transformer.config
    channels = config.num_attention_heads * config.attention_head_dim
    length = 512 + (0 if config.image_dim is None else 257)
    width = transformer.patch_embedding.weight.element_size()
    return Needs(
        blocks=sum(blocks) - sum(context),
        context=sum(context),
        block=max(whole - part for whole, part in zip(blocks, context, strict=True)),
        rest=_bytes(transformer) - sum(_bytes(block) for block in transformer.blocks),
        kept=2 * len(blocks) * 2 * length * channels * width,
        working=_BUFFERS * tokens * channels * width,
        start=_START_BUFFERS * tokens * channels * width,
    )


def choose(needs: Needs, budget: float) -> Placement:
    """Return the fastest place that keeps a budget in bytes.

    Raises:
        InvalidInput: none does; the message has the least budget.
    """
    for place in Placement:
        if needs.of(place) <= budget:
            return place
    least = min(needs.of(place) for place in Placement) / GIBI
    raise InvalidInput(
        f"{budget / GIBI:.1f} GiB of GPU memory are too little for a clip of this size, which takes {least:.1f} GiB "
        "with weights in main memory; take fewer frames or a smaller size, such as --set backbone.num_frames=25"
    )


def budget(text: str, device: torch.device, *, held: int) -> float:
    """Return how many bytes of a device a transformer may take.

    Args:
        text: "auto" for what it has free, or the GiB that all may take.
        device: a GPU; on the CPU nothing else is counted.
        held: bytes that the transformer has taken already.
    """
    import torch

    if device.type != "cuda":
        return float("inf") if text == "auto" else float(text) * GIBI
    torch.cuda.empty_cache()
    if text == "auto":
        return float(torch.cuda.mem_get_info(device)[0]) + held
    return float(text) * GIBI - torch.cuda.memory_allocated(device) + held


def too_small(device: torch.device) -> InvalidInput:
    """Return what to raise where a GPU does not hold all weights and what a clip takes besides."""
    import torch

    # What this process has taken it can give back.
    most = (torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)) / GIBI
    return InvalidInput(
        f"the {most:.1f} GiB that can be had of {torch.cuda.get_device_name(device)} are too little for Wan with all "
        f"weights on it; try --gpu-memory {int(most)}, which lets weights wait in main memory"
    )


def place(transformer: Any, where: Placement, *, device: torch.device) -> None:
    """Put a transformer on a device, or the part of it that is to be there; its blocks' weights may then travel.

    Args:
        transformer: on the CPU or on the device, prepared: what is kept of a context makes up for what is set apart.
        where: as `choose` says.
        device: that computes.
    """
    if where is not Placement.RESIDENT:
        for block in transformer.blocks:
            _set_apart(block.attn2)
    if where is Placement.STREAMED:
        _stream(transformer, device)
    else:
        transformer.to(device)


def in_pieces(model: nn.Module, *, device: torch.device) -> None:
    """Have a model that is called rarely, a text encoder say, bring one layer after the other to a device."""
    from diffusers.hooks import apply_group_offloading

    apply_group_offloading(model, onload_device=device, offload_type="leaf_level")


def _stream(transformer: Any, device: torch.device) -> None:
    """Have each block's weights come to the device while the block before computes."""
    import torch
    from diffusers.hooks import apply_group_offloading

    is_gpu = device.type == "cuda"
    with torch.cuda.device(device) if is_gpu else nullcontext():  # whose stream the weights come by
        apply_group_offloading(
            transformer,
            onload_device=device,
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=is_gpu,
        )
    # What is not in a block would travel there and back at each call, and nothing computes meanwhile: let it stay.
    group = transformer._diffusers_hook.get_hook("group_offloading").group
    for module in group.modules:
        module.to(device)
    for tensor in (*group.parameters, *group.buffers):
        tensor.data = tensor.data.to(device)
    group.modules, group.parameters, group.buffers = [], [], []


def _set_apart(attn: Any) -> None:
    """Take the context's projections out of a module's children, so that what moves these leaves them on the CPU."""
    for name in CONTEXT_PARTS:
        part = getattr(attn, name, None)
        if part is not None:
            delattr(attn, name)
            # No child any more, but still there by its name.
            object.__setattr__(attn, name, part.to("cpu"))


def _context(block: Any) -> list[nn.Module]:
    parts = (getattr(block.attn2, name, None) for name in CONTEXT_PARTS)
    return [part for part in parts if part is not None]


def _apart(block: Any) -> list[nn.Module]:
    return [part for part in _context(block) if part not in block.attn2.children()]


def _bytes(module: nn.Module) -> int:
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
