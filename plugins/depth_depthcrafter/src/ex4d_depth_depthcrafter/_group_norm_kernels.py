"""Group normalization of channels-last tensors as Triton kernels.

PyTorch's kernel supports channels first only, so that the convolutions before and after it transpose the tensor, and
uses one block per group: 32 for a window of frames, on a GPU with more than a hundred multiprocessors. Here a tensor is
read once for its moments and once for normalization, by as many programs as fit. Moments are float32, per channel and
block of rows, and merged by the method of Chan, Golub and LeVeque (1983).
"""

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

_ROWS, _CHANNELS = 32, 64
"""Tile of a program, in registers."""
_TURNS = 16
"""Tiles per program."""
_BLOCK = _ROWS * _TURNS
_MERGED = 64
"""Blocks of rows merged in one iteration."""


@lru_cache(maxsize=8)
def works(device: torch.device) -> bool:
    """Return whether Triton can compile and launch these kernels; it requires a C compiler and Python's headers."""
    try:
        normalize(torch.zeros(1, 4, 2, 2, device=device), nn.GroupNorm(2, 4, device=device))
    except Exception:  # whatever the compiler, the linker or the driver raise
        return False
    return True


def normalize(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Apply `norm` to a CUDA tensor [N, C, ...], channels last in memory."""
    last = x.movedim(1, -1).contiguous()
    number, channels = last.shape[0], last.shape[-1]
    rows = last[0, ..., 0].numel()
    blocks = triton.cdiv(rows, _BLOCK)
    moments = torch.empty(2, number, blocks, channels, dtype=torch.float32, device=x.device)
    affine = torch.empty(2, number, channels, dtype=torch.float32, device=x.device)
    made = torch.empty_like(last)
    grid = (blocks, triton.cdiv(channels, _CHANNELS), number)
    members = channels // norm.num_groups
    with torch.cuda.device(x.device):
        _measure[grid](last, *moments, rows, channels, ROWS=_ROWS, CHANNELS=_CHANNELS, TURNS=_TURNS)
        _merge[(norm.num_groups, number)](
            *moments, norm.weight, norm.bias, *affine, rows, channels, members, norm.eps,
            BLOCK=_BLOCK, BLOCKS=_MERGED, MEMBERS=triton.next_power_of_2(members),
        )  # fmt: skip
        _apply[grid](last, *affine, made, rows, channels, ROWS=_ROWS, CHANNELS=_CHANNELS, TURNS=_TURNS)
    return made.movedim(-1, 1)


@triton.jit(do_not_specialize=["rows"])
def _measure(x, means, squares, rows, channels, ROWS: tl.constexpr, CHANNELS: tl.constexpr, TURNS: tl.constexpr):
    """Write each channel's mean and sum of squared deviations over a block of rows."""
    block, number = tl.program_id(0), tl.program_id(2)
    column = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    start = block * ROWS * TURNS
    x += number.to(tl.int64) * rows * channels
    # Deviations from one of the values: the sum of squares stays precise if the mean is far from 0.
    near = tl.load(x + start.to(tl.int64) * channels + column, mask=column < channels, other=0).to(tl.float32)
    total = tl.zeros([ROWS, CHANNELS], tl.float32)
    square = tl.zeros([ROWS, CHANNELS], tl.float32)
    for turn in range(TURNS):
        row = start + turn * ROWS + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & (column < channels)[None, :]
        value = tl.load(x + row.to(tl.int64)[:, None] * channels + column[None, :], mask=inside, other=0).to(tl.float32)
        off = tl.where(inside, value - near[None, :], 0.0)
        total += off
        square += off * off
    count = tl.minimum(rows - start, ROWS * TURNS).to(tl.float32)
    mean = tl.sum(total, 0) / count
    place = (number * tl.num_programs(0) + block) * channels + column
    tl.store(means + place, near + mean, mask=column < channels)
    tl.store(squares + place, tl.sum(square, 0) - count * mean * mean, mask=column < channels)


@triton.jit(do_not_specialize=["rows", "members"])
def _merge(
    means, squares, weight, bias, scales, shifts, rows, channels, members, eps,
    BLOCK: tl.constexpr, BLOCKS: tl.constexpr, MEMBERS: tl.constexpr,
):  # fmt: skip
    """Write the scale and shift of each channel of a group."""
    group, number = tl.program_id(0), tl.program_id(1)
    blocks = tl.cdiv(rows, BLOCK)
    member = tl.arange(0, MEMBERS)
    column = group * members + member
    size = 1.0 * rows * members
    total = tl.zeros([BLOCKS, MEMBERS], tl.float32)
    for first in range(0, blocks, BLOCKS):
        block = first + tl.arange(0, BLOCKS)
        inside = (block < blocks)[:, None] & (member < members)[None, :]
        count = tl.minimum(rows - block * BLOCK, BLOCK).to(tl.float32)
        place = (number * blocks + block)[:, None] * channels + column[None, :]
        total += tl.load(means + place, mask=inside, other=0) * count[:, None]
    mean = tl.sum(tl.sum(total, 1), 0) / size
    square = tl.zeros([BLOCKS, MEMBERS], tl.float32)
    for first in range(0, blocks, BLOCKS):
        block = first + tl.arange(0, BLOCKS)
        inside = (block < blocks)[:, None] & (member < members)[None, :]
        count = tl.minimum(rows - block * BLOCK, BLOCK).to(tl.float32)
        place = (number * blocks + block)[:, None] * channels + column[None, :]
        off = tl.load(means + place, mask=inside, other=0) - mean
        within = tl.load(squares + place, mask=inside, other=0)
        square += tl.where(inside, within + count[:, None] * off * off, 0.0)
    scale = 1 / tl.sqrt(tl.sum(tl.sum(square, 1), 0) / size + eps)
    scale = scale * tl.load(weight + column, mask=member < members, other=0).to(tl.float32)
    shift = tl.load(bias + column, mask=member < members, other=0).to(tl.float32) - mean * scale
    tl.store(scales + number * channels + column, scale, mask=member < members)
    tl.store(shifts + number * channels + column, shift, mask=member < members)


@triton.jit(do_not_specialize=["rows"])
def _apply(x, scales, shifts, made, rows, channels, ROWS: tl.constexpr, CHANNELS: tl.constexpr, TURNS: tl.constexpr):
    """Apply scale and shift to a block of rows."""
    number = tl.program_id(2)
    column = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    scale = tl.load(scales + number * channels + column, mask=column < channels, other=0)
    shift = tl.load(shifts + number * channels + column, mask=column < channels, other=0)
    start = number.to(tl.int64) * rows * channels
    for turn in range(TURNS):
        row = (tl.program_id(0) * TURNS + turn) * ROWS + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & (column < channels)[None, :]
        place = start + row.to(tl.int64)[:, None] * channels + column[None, :]
        value = tl.load(x + place, mask=inside, other=0).to(tl.float32)
        tl.store(made + place, value * scale[None, :] + shift[None, :], mask=inside)
