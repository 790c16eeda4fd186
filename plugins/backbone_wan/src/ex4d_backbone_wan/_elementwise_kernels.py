"""What lies between a block's products, as Triton kernels: each reads a row of channels once and writes it once.

They do what `elementwise` does, in float32 inside, so that only what is stored is rounded.
"""

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from ex4d_backbone_wan.quantised import LARGEST, TINY, Quantised

_WARPS = 8


@lru_cache(maxsize=8)
def works(device: torch.device) -> bool:
    """Return whether Triton can compile and launch these kernels here; it needs a C compiler and Python's headers."""
    row = torch.zeros(1, 1, 4, device=device)
    try:
        add_norm(row, row[0, :1], row[0, :1])
    except Exception:  # whatever the compiler, the linker or the driver raise
        return False
    return True


def add_norm(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    *,
    added: Tensor | None = None,
    gate: Tensor | None = None,
    eps: float = 1e-6,
    float8: bool = False,
) -> tuple[Tensor, Tensor | Quantised]:
    """See `elementwise.add_norm`."""
    batch, tokens, channels = x.shape
    made = x if added is None else torch.empty_like(x)
    normed = torch.empty_like(x, dtype=torch.float8_e4m3fn if float8 else x.dtype)
    factors = torch.empty(batch, tokens, 1, dtype=torch.float32, device=x.device) if float8 else normed
    with torch.cuda.device_of(x):
        _add_norm[(batch * tokens,)](
            x, x if added is None else added, *_by_batch(gate, x), *_by_batch(scale, x), *_by_batch(shift, x),
            made, normed, factors, tokens, channels, eps, LARGEST, TINY,
            ADD=added is not None, GATED=gate is not None, NORM=True, FLOAT8=float8,
            BLOCK=triton.next_power_of_2(channels), num_warps=_WARPS,
        )  # fmt: skip
    return made, Quantised(normed, factors) if float8 else normed


def add_gated(x: Tensor, added: Tensor, gate: Tensor) -> Tensor:
    """See `elementwise.add_gated`."""
    batch, tokens, channels = x.shape
    made = torch.empty_like(x)
    with torch.cuda.device_of(x):
        _add_norm[(batch * tokens,)](
            x, added, *_by_batch(gate, x), x, 0, x, 0, made, made, made, tokens, channels, 0.0, LARGEST, TINY,
            ADD=True, GATED=True, NORM=False, FLOAT8=False,
            BLOCK=triton.next_power_of_2(channels), num_warps=_WARPS,
        )  # fmt: skip
    return made


def norm_rotate(x: Tensor, norm: nn.RMSNorm, rotary: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """See `elementwise.norm_rotate`."""
    batch, tokens, channels = x.shape
    made = torch.empty(batch, tokens, channels, dtype=x.dtype, device=x.device)
    cos, sin = rotary if rotary is not None else (x, x)
    eps = torch.finfo(x.dtype).eps if norm.eps is None else norm.eps
    with torch.cuda.device_of(x):
        _norm_rotate[(tokens, batch)](
            x, norm.weight, cos, sin, made, x.stride(0), x.stride(1), channels, cos.shape[-1], eps,
            ROTATE=rotary is not None, BLOCK=triton.next_power_of_2(channels), num_warps=_WARPS,
        )  # fmt: skip
    return made


def quantise(x: Tensor, *, gelu: bool = False) -> Quantised:
    """See `elementwise.quantise`."""
    channels = x.shape[-1]
    x = x.contiguous()
    made = torch.empty_like(x, dtype=torch.float8_e4m3fn)
    factors = torch.empty(*x.shape[:-1], 1, dtype=torch.float32, device=x.device)
    with torch.cuda.device_of(x):
        _quantise[(factors.numel(),)](
            x, made, factors, channels, LARGEST, TINY,
            GELU=gelu, BLOCK=triton.next_power_of_2(channels), num_warps=2 * _WARPS if channels > 8192 else _WARPS,
        )  # fmt: skip
    return Quantised(made, factors)


def linear_gelu(x: Tensor, linear: nn.Linear) -> Tensor:
    """See `elementwise.linear_gelu`; cuBLAS has both in one kernel."""
    made = torch._addmm_activation(linear.bias, x.flatten(0, 1), linear.weight.t(), use_gelu=True)
    return made.unflatten(0, x.shape[:2])


def _by_batch(value: Tensor | None, x: Tensor) -> tuple[Tensor, int]:
    """Return [B, 1, C], [1, C] or [C] and how far apart the values of two batch members lie."""
    if value is None:
        return x, 0
    return value, value.stride(0) if value.ndim == 3 and value.shape[0] > 1 else 0


@triton.jit
def _row_to_float8(value, made, factor, place, inside, largest, tiny):
    """Write a row divided by what takes its largest value to the largest that 8 bits have."""
    scale = tl.maximum(tl.max(tl.abs(value), 0) / largest, tiny)
    tl.store(factor, scale)
    # Rounding must not take the largest value beyond what there is: it would be NaN.
    value = tl.minimum(tl.maximum(value / scale, -largest), largest)
    tl.store(made + place, value.to(tl.float8e4nv), mask=inside)


@triton.jit(do_not_specialize=["tokens"])
def _add_norm(
    x, added, gate, gate_stride, scale, scale_stride, shift, shift_stride, made, normed, factors,
    tokens, channels, eps, largest, tiny,
    ADD: tl.constexpr, GATED: tl.constexpr, NORM: tl.constexpr, FLOAT8: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    batch = row // tokens
    column = tl.arange(0, BLOCK)
    inside = column < channels
    place = row.to(tl.int64) * channels + column
    value = tl.load(x + place, mask=inside, other=0).to(tl.float32)
    if ADD:
        more = tl.load(added + place, mask=inside, other=0).to(tl.float32)
        if GATED:
            more *= tl.load(gate + batch * gate_stride + column, mask=inside, other=0).to(tl.float32)
        total = (value + more).to(made.dtype.element_ty)
        tl.store(made + place, total, mask=inside)
        value = total.to(tl.float32)
    if NORM:
        mean = tl.sum(value, 0) / channels
        off = tl.where(inside, value - mean, 0.0)
        value = off / tl.sqrt(tl.sum(off * off, 0) / channels + eps)
        value *= tl.load(scale + batch * scale_stride + column, mask=inside, other=0).to(tl.float32)
        value += tl.load(shift + batch * shift_stride + column, mask=inside, other=0).to(tl.float32)
        if FLOAT8:
            _row_to_float8(value, normed, factors + row, place, inside, largest, tiny)
        else:
            tl.store(normed + place, value.to(normed.dtype.element_ty), mask=inside)


@triton.jit
def _norm_rotate(
    x, weight, cos, sin, made, batch_stride, row_stride, channels, head, eps,
    ROTATE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, batch = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < channels
    value = tl.load(x + batch * batch_stride + row * row_stride + column, mask=inside, other=0).to(tl.float32)
    value = value / tl.sqrt(tl.sum(value * value, 0) / channels + eps)
    value *= tl.load(weight + column, mask=inside, other=0).to(tl.float32)
    if ROTATE:
        # Two channels that lie side by side turn together; both have the same angle.
        pair = tl.arange(0, BLOCK // 2)
        angle = row * head + 2 * pair % head
        turn_cos = tl.load(cos + angle, mask=2 * pair < channels, other=0)
        turn_sin = tl.load(sin + angle, mask=2 * pair < channels, other=0)
        first, second = tl.split(tl.reshape(value, [BLOCK // 2, 2]))
        turned = tl.join(first * turn_cos - second * turn_sin, first * turn_sin + second * turn_cos)
        value = tl.reshape(turned, [BLOCK])
    place = (batch * tl.num_programs(0) + row) * channels + column
    tl.store(made + place, value.to(made.dtype.element_ty), mask=inside)


@triton.jit
def _quantise(x, made, factors, channels, largest, tiny, GELU: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    column = tl.arange(0, BLOCK)
    inside = column < channels
    place = row.to(tl.int64) * channels + column
    value = tl.load(x + place, mask=inside, other=0).to(tl.float32)
    if GELU:
        # x/2 (1 + tanh u) is x sigmoid(2u), with u = sqrt(2/pi) (x + 0.044715 x^3): Hendrycks and Gimpel (2016).
        value *= tl.sigmoid(1.5957691216057308 * (value + 0.044715 * value * value * value))
    _row_to_float8(value, made, factors + row, place, inside, largest, tiny)
