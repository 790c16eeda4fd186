"""The transformer of VACE in the form of Wan's: each block of the control branch is part of the layer that it controls.

diffusers computes the branch first and keeps its results for the layers. Both orders compute the same, because the
branch does not depend on the layers. Here, whatever works on the blocks of Wan works on VACE: acceleration, skipped
steps, placement in memory, and tokens on several GPUs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from ex4d_backbone_wan.compute.engine import CheckpointSource
from ex4d_backbone_wan.weights.loading import imported
from ex4d_core.errors import InvalidInput
from ex4d_core.hub.untrusted_weights import one_at_a_time


@attrs.define(eq=False)
class ControlState:
    """The control of a run, and the tokens of the branch between two layers."""

    tokens: Tensor | None = None
    """[1, N, D], the embedded control."""
    scales: Tensor | None = None
    """Scale of the control of each layer that has one."""
    branch: Tensor | None = None
    """[B, N, D], tokens after the previous block of the branch."""


class VaceLayer(nn.Module):
    """A block of Wan, and the block of the branch whose output is added to it.

    Args:
        block: of Wan.
        branch: of VACE, a WanVACETransformerBlock.
        number: of the block in the branch.
        state: shared by all layers.
    """

    def __init__(self, block: nn.Module, branch: Any, *, number: int, state: ControlState) -> None:
        super().__init__()
        self.block = block
        self.branch = _without_projections(branch)
        self.proj_in, self.proj_out = branch.proj_in, branch.proj_out
        self._number, self._state = number, state

    def forward(
        self, hidden_states: Tensor, encoder_hidden_states: Tensor, temb: Tensor, rotary_emb: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Return the tokens after the layer, [B, N, D]; the arguments are those of diffusers' WanTransformerBlock."""
        state, given = self._state, (encoder_hidden_states, temb, rotary_emb)
        assert state.scales is not None, "call the transformer in `controlled`"
        branch = self.branch(self._branch_input(hidden_states), *given)
        state.branch = branch
        tokens: Tensor = self.block(hidden_states, *given)
        added: Tensor = self.proj_out(branch) * state.scales[self._number]
        return tokens + added

    def _branch_input(self, hidden_states: Tensor) -> Tensor:
        if self.proj_in is None:
            assert self._state.branch is not None
            return self._state.branch
        tokens = self._state.tokens
        assert tokens is not None
        shared = getattr(self.block, "shared_tokens", None)
        own = tokens if shared is None else shared.part(tokens)
        projected: Tensor = self.proj_in(own)
        return projected + hidden_states


def in_layers(vace: Any) -> Any:
    """Return a WanTransformer3DModel that computes as a WanVACETransformer3DModel in `controlled`; it takes its parts.

    Args:
        vace: on any device, LoRAs merged.
    """
    cls = imported("diffusers", "WanTransformer3DModel")
    names = set(inspect.signature(cls.__init__).parameters)
    config = {name: value for name, value in vace.config.items() if name in names}
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        transformer = cls(**{**config, "num_layers": 0})
    transformer.register_to_config(num_layers=len(vace.blocks))
    for name in ("rope", "patch_embedding", "condition_embedder", "norm_out", "proj_out", "scale_shift_table"):
        setattr(transformer, name, getattr(vace, name))
    transformer.vace_patch_embedding = vace.vace_patch_embedding
    transformer.control = state = ControlState()
    layers = list(vace.blocks)
    for number, (layer, branch) in enumerate(zip(vace.config.vace_layers, vace.vace_blocks, strict=True)):
        layers[layer] = VaceLayer(layers[layer], branch, number=number, state=state)
    transformer.blocks = nn.ModuleList(layers)
    return transformer.eval().requires_grad_(False)


@contextmanager
def controlled(transformer: Any, control: Tensor, scale: Tensor) -> Iterator[None]:
    """Control all calls of a transformer within a `with` block.

    Args:
        transformer: from `in_layers`.
        control: [1, 96, t, h, w] on its device.
        scale: of the control, one number or one for each block of the branch.

    Raises:
        InvalidInput: the number of scales is wrong.
    """
    state, count = transformer.control, len(_branch_layers(transformer))
    if len(scale) not in (1, count):
        raise InvalidInput(
            f"backbone.conditioning_scale has {len(scale)} numbers and this VACE {count} layers with control; give one "
            f"number or {count}"
        )
    state.scales = scale.expand(count)
    state.tokens = transformer.vace_patch_embedding(control).flatten(2).transpose(1, 2)
    try:
        yield
    finally:
        state.tokens = state.scales = state.branch = None


class VaceSource(CheckpointSource):
    """Loads VACE from weights on this machine."""

    def load(self, *, device: torch.device, dtype: torch.dtype) -> Any:
        """See `TransformerSource`."""
        vace = super().load(device=device, dtype=dtype)
        with one_at_a_time():
            return in_layers(vace)


def _branch_layers(transformer: Any) -> list[nn.Module]:
    return [block for block in transformer.blocks if isinstance(block, VaceLayer)]


def _without_projections(branch: Any) -> Any:
    """Return a block of Wan with the parts of a block of the branch; only the projections differ."""
    from diffusers.models.transformers.transformer_wan import WanTransformerBlock

    inner, dim = branch.ffn.net[0].proj.out_features, branch.scale_shift_table.shape[-1]
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        block = WanTransformerBlock(dim, inner, branch.attn1.heads, eps=branch.norm1.eps)
    for name in ("norm1", "attn1", "norm2", "attn2", "norm3", "ffn", "scale_shift_table"):
        setattr(block, name, getattr(branch, name))
    return block
