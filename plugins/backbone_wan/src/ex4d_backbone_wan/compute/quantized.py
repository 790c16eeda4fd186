"""Products of 8-bit floats, with one scale per row of activations and weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST = torch.finfo(torch.float8_e4m3fn).max
TINY = 1e-12
"""Smallest scale, for rows of zeros."""


class Quantized(NamedTuple):
    """Values divided by a scale for each row."""

    values: Tensor
    """float8_e4m3fn [..., C]."""
    scales: Tensor
    """float32 [..., 1]."""

    def floats(self) -> Tensor:
        """Dequantize, float32 [..., C]."""
        return self.values.float() * self.scales


def quantize_rows(x: Tensor) -> Quantized:
    """Quantize rows along the last axis, scaled to the full range of 8-bit floats."""
    x = x.float()
    scales = (x.abs().amax(-1, keepdim=True) / LARGEST).clamp_min(TINY)
    return Quantized((x / scales).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn), scales)


class QuantizedLinear(nn.Module):
    """A linear layer with 8-bit weights and `Quantized` inputs.

    Args:
        linear: the layer to quantize; the result is on the same device.
        device: that quantizes.
    """

    weight: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, *, device: torch.device) -> None:
        super().__init__()
        home = linear.weight.device
        weight = quantize_rows(linear.weight.data.to(device))
        self.register_buffer("weight", weight.values.to(home))
        self.register_buffer("scales", weight.scales.to(home))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.data)
        self.dtype = linear.weight.dtype

    def forward(self, x: Quantized) -> Tensor:
        """Return the product [..., C_out] in the original dtype of the weight."""
        shape = x.values.shape[:-1]
        values, scales = x.values.flatten(0, -2), x.scales.flatten(0, -2)
        if not values.is_cuda:
            weight = Quantized(self.weight, self.scales).floats().to(self.dtype)
            return functional.linear(x.floats().to(self.dtype), weight, self.bias)
        made = torch._scaled_mm(
            values,
            self.weight.t(),
            scale_a=scales,
            scale_b=self.scales.t(),
            bias=self.bias,
            out_dtype=self.dtype,
            use_fast_accum=True,
        )
        return made.view(*shape, -1)
