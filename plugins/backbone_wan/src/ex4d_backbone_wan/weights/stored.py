"""Weights that stay as they are in the file, in 8 bits or GGUF, and are expanded layer by layer when they are used."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

_ROWS = 1024
"""Rows that are expanded at once: dequantizing GGUF needs several times the memory of the result."""


@attrs.frozen(eq=False, kw_only=True)
class StoredWeight:
    """The weight of a layer in a file."""

    data: Tensor
    """float8 [out, in], or bytes of GGUF [out, bytes of a row]."""
    scale: Tensor | None = None
    """float32 [1, 1] or [out, 1], by which float8 is multiplied."""
    kind: Any = None
    """GGMLQuantizationType of GGUF."""

    def expanded(self, dtype: torch.dtype) -> Tensor:
        """Return the weight [out, in] on the device of its data."""
        scales = self.data.new_ones((1, 1), dtype=torch.float32) if self.scale is None else self.scale
        by_row = torch.split(scales.expand(len(self.data), 1), _ROWS)
        rows = zip(torch.split(self.data, _ROWS), by_row, strict=True)
        return torch.cat([self._rows(data, scale).to(dtype) for data, scale in rows])

    def _rows(self, data: Tensor, scale: Tensor) -> Tensor:
        if self.kind is None:
            return data.float() if self.scale is None else data.float() * scale
        from diffusers.quantizers.gguf import utils

        dequantized: Tensor = utils.dequantize_gguf_tensor(utils.GGUFParameter(data, quant_type=self.kind))
        return dequantized


class StoredLinear(nn.Module):
    """A linear layer with a stored weight, to which low-rank matrices are added when it is expanded.

    Args:
        linear: the layer to replace, for its sizes and bias; it may be on the meta device.
        stored: its weight.
        dtype: of the expanded weight.
    """

    data: Tensor
    scale: Tensor | None
    down: Tensor
    up: Tensor

    def __init__(self, linear: nn.Linear, stored: StoredWeight, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features, self.dtype = linear.in_features, linear.out_features, dtype
        self._kind = stored.kind
        self.register_buffer("data", stored.data, persistent=False)
        self.register_buffer("scale", stored.scale, persistent=False)
        self.register_buffer("down", stored.data.new_empty((0, self.in_features), dtype=dtype), persistent=False)
        self.register_buffer("up", stored.data.new_empty((self.out_features, 0), dtype=dtype), persistent=False)
        self.bias = linear.bias

    @property
    def weight(self) -> Tensor:
        """The expanded weight with the low-rank matrices, [out, in]."""
        weight = StoredWeight(data=self.data, scale=self.scale, kind=self._kind).expanded(self.dtype)
        return torch.addmm(weight, self.up, self.down) if len(self.down) else weight

    @property
    def expansion(self) -> int:
        """Bytes of memory to expand the weight: twice its size, with the low-rank matrices."""
        return 2 * self.in_features * self.out_features * self.dtype.itemsize

    def add_low_rank(self, down: Tensor, up: Tensor) -> None:
        """Add the product of two matrices, [rank, in] and [out, rank]."""
        self.down = torch.cat([self.down, down.to(self.down)])
        self.up = torch.cat([self.up, up.to(self.up)], dim=1)

    def expanded(self) -> nn.Linear:
        """Return an ordinary layer with the same weight."""
        weight = self.weight
        linear = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        linear.weight, linear.bias = nn.Parameter(weight, requires_grad=False), self.bias
        return linear

    def forward(self, x: Tensor) -> Tensor:
        """Return the product [..., out]."""
        return functional.linear(x, self.weight, self.bias)
