"""The operations of a block between its products as Triton kernels, which read and write each row once.

They compute the functions of `elementwise` in float32 and round only when storing. Blocks in Triton are powers of two;
a row is split into two of them, because a single one would leave a third of its lanes idle for Wan's 5120 channels.
"""

import math
from functools import lru_cache, partial

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from triton.tools.tensor_descriptor import TensorDescriptor

from ex4d_backbone_wan.compute import elementwise
from ex4d_backbone_wan.compute.quantized import LARGEST, TINY, Quantized

_WARPS = 4
_QUERIES, _KEYS = 64, 64
"""Of a tile of attention to the context."""


@lru_cache(maxsize=8)
def works(device: torch.device) -> bool:
    """Return whether Triton can compile and launch these kernels; it requires a C compiler and Python's headers."""
    row = torch.zeros(1, 1, 16, dtype=torch.bfloat16, device=device)
    try:
        add_norm(row, row[0, :1], row[0, :1])
        attend_context(row, (elementwise.ContextPart(*[row[:, :, None]] * 2),), eps=1.0)
    except Exception:  # compiler, linker and driver raise many kinds
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
) -> tuple[Tensor, Tensor | Quantized]:
    """See `elementwise.add_norm`."""
    batch, tokens, channels = x.shape
    x = x.contiguous()  # rows of a convolution's output may lie apart
    made = x if added is None else torch.empty_like(x)
    normed = torch.empty_like(x, dtype=torch.float8_e4m3fn if float8 else x.dtype)
    factors = torch.empty(batch, tokens, 1, dtype=torch.float32, device=x.device) if float8 else normed
    with torch.cuda.device_of(x):
        _add_norm[(batch * tokens,)](
            x, x if added is None else added, *_by_batch(gate, x), *_by_batch(scale, x), *_by_batch(shift, x),
            made, normed, factors, tokens, channels, eps, LARGEST, TINY,
            ADD=added is not None, GATED=gate is not None, NORM=True, FLOAT8=float8,
            **_halves(channels), num_warps=_WARPS,
        )  # fmt: skip
    return made, Quantized(normed, factors) if float8 else normed


def add_gated(x: Tensor, added: Tensor, gate: Tensor) -> Tensor:
    """See `elementwise.add_gated`."""
    batch, tokens, channels = x.shape
    made = torch.empty_like(x)
    with torch.cuda.device_of(x):
        _add_norm[(batch * tokens,)](
            x, added, *_by_batch(gate, x), x, 0, x, 0, made, made, made, tokens, channels, 0.0, LARGEST, TINY,
            ADD=True, GATED=True, NORM=False, FLOAT8=False,
            **_halves(channels), num_warps=_WARPS,
        )  # fmt: skip
    return made


def norm_rotate(x: Tensor, norm: nn.RMSNorm, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """See `elementwise.norm_rotate`; it is used if the head size is not a power of two."""
    batch, tokens, channels = x.shape
    halves, head = _halves(channels), rotary[0].shape[-1]
    if head & (head - 1) or head > min(halves.values()):
        return elementwise.norm_rotate(x, norm, rotary)
    x = x.contiguous()
    made = torch.empty_like(x)
    eps = torch.finfo(x.dtype).eps if norm.eps is None else norm.eps
    with torch.cuda.device_of(x):
        _norm_rotate[(tokens, batch)](
            x, norm.weight, *rotary, made, channels, eps, HEAD=head, **halves, num_warps=_WARPS
        )  # fmt: skip
    return made


def attend_context(query: Tensor, context: elementwise.Context, *, eps: float) -> Tensor:
    """See `elementwise.attend_context`; used if the head size is not a power of two from 16, or for float32."""
    batch, tokens, channels = query.shape
    text, image = context[0], context[-1]
    heads, head = text.key.shape[2:]
    if head & (head - 1) or head < 16 or query.dtype == torch.float32:
        return elementwise.attend_context(query, context, eps=eps)
    query = query.contiguous()
    made = torch.empty_like(query)
    factors = torch.empty(batch, tokens, dtype=torch.float32, device=query.device)
    described = torch.cuda.get_device_capability(query.device)[0] == 9
    source = partial(_blocks, rows=_KEYS) if described else lambda x: x
    with torch.cuda.device_of(query):
        _steady[(batch * tokens,)](query, factors, channels, eps, **_halves(channels), num_warps=_WARPS)
        _attend_context[(triton.cdiv(tokens, _QUERIES), heads, batch)](
            query, factors, text.key, text.value, image.key, image.value, made,
            *map(source, (text.key, text.value, image.key, image.value)),
            tokens, text.key.shape[1], image.key.shape[1],
            math.log2(text.repeats), math.log2(math.e) / math.sqrt(head),
            IMAGE=len(context) > 1, FULL=image.key.shape[1] % _KEYS == 1, DESCRIBED=described,
            HEAD=head, QUERIES=_QUERIES, KEYS=_KEYS, num_warps=_WARPS, num_stages=3,
        )  # fmt: skip
    return made


def quantize(x: Tensor, *, gelu: bool = False) -> Quantized:
    """See `elementwise.quantize`."""
    channels = x.shape[-1]
    x = x.contiguous()
    made = torch.empty_like(x, dtype=torch.float8_e4m3fn)
    factors = torch.empty(*x.shape[:-1], 1, dtype=torch.float32, device=x.device)
    with torch.cuda.device_of(x):
        _quantize[(factors.numel(),)](
            x, made, factors, channels, LARGEST, TINY,
            GELU=gelu, **_halves(channels), num_warps=2 * _WARPS if channels > 8192 else _WARPS,
        )  # fmt: skip
    return Quantized(made, factors)


def linear_gelu(x: Tensor, linear: nn.Linear) -> Tensor:
    """See `elementwise.linear_gelu`; cuBLAS has both in one kernel."""
    made = torch._addmm_activation(linear.bias, x.flatten(0, 1), linear.weight.t(), use_gelu=True)
    return made.unflatten(0, x.shape[:2])


def _by_batch(value: Tensor | None, x: Tensor) -> tuple[Tensor, int]:
    """Return [B, 1, C], [1, C] or [C] and its stride between batch members."""
    if value is None:
        return x, 0
    return value, value.stride(0) if value.ndim == 3 and value.shape[0] > 1 else 0


def _blocks(x: Tensor, rows: int) -> TensorDescriptor:
    """Return a descriptor for Hopper's copy engine, of rows of one head in [B, M, heads, C / heads]."""
    return TensorDescriptor.from_tensor(x.flatten(2), [1, rows, x.shape[-1]])


def _halves(channels: int) -> dict[str, int]:
    """Return two powers of two that cover a row; the first is full."""
    first = 1 << (channels - 1).bit_length() - 1
    return {"FIRST": first, "SECOND": triton.next_power_of_2(channels - first)}


@triton.jit
def _load(row, column, inside):
    return tl.load(row + column, mask=inside, other=0).to(tl.float32)


@triton.jit
def _summed(x, added, gate, column, inside, ADD: tl.constexpr, GATED: tl.constexpr):
    """Return some channels of a row, rounded as they will be stored."""
    value = _load(x, column, inside)
    if ADD:
        more = _load(added, column, inside)
        if GATED:
            more *= _load(gate, column, inside)
        value = (value + more).to(x.dtype.element_ty).to(tl.float32)
    return value


@triton.jit
def _float8(value, scale, largest):
    # Rounding the largest value up would give NaN.
    return tl.minimum(tl.maximum(value * (1 / scale), -largest), largest).to(tl.float8e4nv)


@triton.jit
def _scale_of(a, b, largest, tiny):
    """Return the scale that maps the largest value of a row to the largest 8-bit float."""
    return tl.maximum(tl.maximum(tl.max(tl.abs(a), 0), tl.max(tl.abs(b), 0)) / largest, tiny)


@triton.jit(do_not_specialize=["tokens"])
def _add_norm(
    x, added, gate, gate_stride, scale, scale_stride, shift, shift_stride, made, normed, factors,
    tokens, channels, eps, largest, tiny,
    ADD: tl.constexpr, GATED: tl.constexpr, NORM: tl.constexpr, FLOAT8: tl.constexpr,
    FIRST: tl.constexpr, SECOND: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    batch, start = row // tokens, row.to(tl.int64) * channels
    x, added, made, normed = x + start, added + start, made + start, normed + start
    gate, scale, shift = gate + batch * gate_stride, scale + batch * scale_stride, shift + batch * shift_stride
    i, j = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND)
    in_i, in_j = i < channels, j < channels
    a, b = _summed(x, added, gate, i, in_i, ADD, GATED), _summed(x, added, gate, j, in_j, ADD, GATED)
    if ADD:
        tl.store(made + i, a.to(made.dtype.element_ty), mask=in_i)
        tl.store(made + j, b.to(made.dtype.element_ty), mask=in_j)
    if NORM:
        mean = (tl.sum(a, 0) + tl.sum(b, 0)) / channels
        a, b = a - mean, tl.where(in_j, b - mean, 0.0)
        steady = tl.rsqrt((tl.sum(a * a, 0) + tl.sum(b * b, 0)) / channels + eps)
        a = a * steady * _load(scale, i, in_i) + _load(shift, i, in_i)
        b = b * steady * _load(scale, j, in_j) + _load(shift, j, in_j)
        if FLOAT8:
            factor = _scale_of(a, b, largest, tiny)
            tl.store(factors + row, factor)
            tl.store(normed + i, _float8(a, factor, largest), mask=in_i)
            tl.store(normed + j, _float8(b, factor, largest), mask=in_j)
        else:
            tl.store(normed + i, a.to(normed.dtype.element_ty), mask=in_i)
            tl.store(normed + j, b.to(normed.dtype.element_ty), mask=in_j)


@triton.jit
def _turned(value, cos, sin, HEAD: tl.constexpr):
    """Rotate each pair of neighboring channels of whole heads."""
    first, second = tl.split(tl.reshape(value, [value.shape[0] // HEAD, HEAD // 2, 2]))
    turned = tl.join(first * cos - second * sin, first * sin + second * cos)
    return tl.reshape(turned, [value.shape[0]])


@triton.jit
def _norm_rotate(
    x, weight, cos, sin, made, channels, eps, HEAD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr
):  # fmt: skip
    token = tl.program_id(0)
    start = (tl.program_id(1) * tl.num_programs(0) + token).to(tl.int64) * channels
    x, made = x + start, made + start
    i, j = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND)
    in_i, in_j = i < channels, j < channels
    a, b = _load(x, i, in_i), _load(x, j, in_j)
    steady = tl.rsqrt((tl.sum(a * a, 0) + tl.sum(b * b, 0)) / channels + eps)
    a, b = a * steady * _load(weight, i, in_i), b * steady * _load(weight, j, in_j)
    # Both channels of a pair, and all heads, have the same angle.
    pair = token * HEAD + 2 * tl.arange(0, HEAD // 2)
    turn_cos, turn_sin = tl.load(cos + pair)[None, :], tl.load(sin + pair)[None, :]
    a, b = _turned(a, turn_cos, turn_sin, HEAD), _turned(b, turn_cos, turn_sin, HEAD)
    tl.store(made + i, a.to(made.dtype.element_ty), mask=in_i)
    tl.store(made + j, b.to(made.dtype.element_ty), mask=in_j)


@triton.jit
def _steady(x, factors, channels, eps, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """Compute the factor that gives a row a mean square of 1."""
    row = tl.program_id(0)
    i, j = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND)
    x += row.to(tl.int64) * channels
    a, b = _load(x, i, i < channels), _load(x, j, j < channels)
    tl.store(factors + row, tl.rsqrt((tl.sum(a * a, 0) + tl.sum(b * b, 0)) / channels + eps))


@triton.jit
def _rows(
    source, batch, start, column, tokens, stride, ROWS: tl.constexpr, HEAD: tl.constexpr, DESCRIBED: tl.constexpr
):  # fmt: skip
    """Load rows of one head, 0 after the last token; with a descriptor, by Hopper's copy engine."""
    if DESCRIBED:
        rows = source.load([batch.to(tl.int32), start, column]).reshape([ROWS, HEAD])
    else:
        row, channel = start + tl.arange(0, ROWS), tl.arange(0, HEAD)
        place = (batch * tokens + row[:, None]) * stride + column + channel[None, :]
        rows = tl.load(source + place, mask=(row < tokens)[:, None], other=0)
    return rows


@triton.jit
def _seen(
    query, key, value, keys_of, values_of, batch, column, stride, tokens, last, scale,
    KEYS: tl.constexpr, FULL: tl.constexpr, DESCRIBED: tl.constexpr,
):  # fmt: skip
    """Compute attention [queries, HEAD] block by block (Milakov and Gimelshein 2018, 1805.02867).

    Each query has a scale. The last token is processed first, because it may have repeats; the other 256 of the image
    then fill whole blocks.
    """
    rows: tl.constexpr = query.shape[0]
    head: tl.constexpr = query.shape[1]
    final = (batch * tokens + tokens - 1) * stride + column + tl.arange(0, head)
    product = query.to(tl.float32) * tl.load(key + final).to(tl.float32)[None, :]
    most = tl.sum(product, 1) * scale + last
    total = tl.full([rows], 1.0, tl.float32)
    seen = tl.zeros([rows, head], tl.float32) + tl.load(value + final).to(tl.float32)[None, :]
    for start in range(0, tokens - 1, KEYS):
        keys = _rows(keys_of, batch, start, column, tokens, stride, KEYS, head, DESCRIBED)
        score = tl.dot(query, tl.trans(keys))
        if not FULL:
            inside = start + tl.arange(0, KEYS) < tokens - 1
            score = tl.where(inside[None, :], score, float("-inf"))
        now = tl.maximum(most, tl.max(score, 1) * scale)
        weight, fade = tl.exp2(score * scale[:, None] - now[:, None]), tl.exp2(most - now)
        values = _rows(values_of, batch, start, column, tokens, stride, KEYS, head, DESCRIBED)
        seen = tl.dot(weight.to(values.dtype), values, seen * fade[:, None])
        total = total * fade + tl.sum(weight, 1)
        most = now
    return seen / total[:, None]


@triton.jit(do_not_specialize=["text_tokens", "image_tokens", "last"])
def _attend_context(
    query, factors, text_key, text_value, image_key, image_value, made,
    text_keys, text_values, image_keys, image_values, tokens, text_tokens, image_tokens, last, scale,
    IMAGE: tl.constexpr, FULL: tl.constexpr, DESCRIBED: tl.constexpr,
    HEAD: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    column, batch = tl.program_id(1) * HEAD, tl.program_id(2).to(tl.int64)
    stride = tl.num_programs(1) * HEAD
    start = tl.program_id(0) * QUERIES
    row = start + tl.arange(0, QUERIES)
    asked = _rows(query, batch, start, column, tokens, stride, QUERIES, HEAD, False)
    scale *= tl.load(factors + batch * tokens + row, mask=row < tokens, other=1)
    seen = _seen(
        asked, text_key, text_value, text_keys, text_values, batch, column, stride, text_tokens, last, scale,
        KEYS, False, DESCRIBED,
    )  # fmt: skip
    if IMAGE:
        seen += _seen(
            asked, image_key, image_value, image_keys, image_values, batch, column, stride, image_tokens, 0.0, scale,
            KEYS, FULL, DESCRIBED,
        )  # fmt: skip
    place = (batch * tokens + row[:, None]) * stride + column + tl.arange(0, HEAD)[None, :]
    tl.store(made + place, seen.to(made.dtype.element_ty), mask=(row < tokens)[:, None])


@triton.jit
def _quantize(
    x, made, factors, channels, largest, tiny, GELU: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0)
    x, made = x + row.to(tl.int64) * channels, made + row.to(tl.int64) * channels
    i, j = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND)
    in_i, in_j = i < channels, j < channels
    a, b = _load(x, i, in_i), _load(x, j, in_j)
    if GELU:
        a, b = _gelu(a), _gelu(b)
    factor = _scale_of(a, b, largest, tiny)
    tl.store(factors + row, factor)
    tl.store(made + i, _float8(a, factor, largest), mask=in_i)
    tl.store(made + j, _float8(b, factor, largest), mask=in_j)


@triton.jit
def _gelu(x):
    # x/2 (1 + tanh u) is x sigmoid(2u), with u = sqrt(2/pi) (x + 0.044715 x^3): Hendrycks and Gimpel (2016).
    return x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))
