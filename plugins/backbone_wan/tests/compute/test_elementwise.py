"""Kernels and plain torch compute the same; plain torch is diffusers' block, as test_acceleration shows."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ex4d_backbone_wan.compute import blocks, elementwise
from ex4d_backbone_wan.compute.attention import attend
from ex4d_backbone_wan.compute.elementwise import ContextPart
from ex4d_backbone_wan.compute.quantized import QuantizedLinear, quantize_rows

CPU = torch.device("cpu")
SHAPES = [(2, 5, 96), (1, 3, 5120)]


@pytest.fixture
def kernels():
    pytest.importorskip("triton")
    from ex4d_backbone_wan.compute import _elementwise_kernels as kernels

    torch.manual_seed(0)
    return kernels


def close(made, expected, *, bits):
    """Say whether values differ by rounding only: in their own precision, or in that of 8 bits."""
    made, expected = ((each.floats() if bits == 8 else each).float() for each in (made, expected))
    # A step of bfloat16 is 8e-3, and each of the two has rounded once or twice.
    assert (made - expected).norm() <= {8: 5e-3, 16: 4e-3, 32: 1e-6}[bits] * expected.norm()


def tokens(shape, dtype):
    x, added = (torch.randn(shape, device="cuda").to(dtype) * 3 + 1 for _ in range(2))
    scale, shift, gate = torch.randn(shape[0], 6, shape[-1], device="cuda").chunk(6, dim=1)[:3]
    return x, added, scale, shift, gate


def test_a_row_of_zeros_stays_one_in_8_bits():
    assert torch.equal(quantize_rows(torch.zeros(2, 3)).floats(), torch.zeros(2, 3))


def test_8_bits_keep_the_largest_of_each_row_and_are_off_by_a_sixteenth_at_most():
    torch.manual_seed(0)
    rows = torch.randn(4, 50) * torch.tensor([1e-4, 1.0, 3.0, 1e4])[:, None]
    made = quantize_rows(rows).floats()
    torch.testing.assert_close(made.abs().amax(-1), rows.abs().amax(-1))
    # Three bits after the leading one; below the largest over 2^14, steps are even.
    assert ((made - rows).abs() <= rows.abs() / 16 + rows.abs().amax(-1, keepdim=True) / 2**17).all()


def test_a_linear_layer_in_8_bits_is_off_by_little():
    torch.manual_seed(0)
    linear, x = nn.Linear(96, 64), torch.randn(2, 5, 96)
    made = QuantizedLinear(linear, device=linear.weight.device)(quantize_rows(x))
    assert made.shape == (2, 5, 64)
    assert 0.001 < (made - linear(x)).norm() / linear(x).norm() < 0.05


@pytest.mark.parametrize("images", [0, 9])
def test_a_token_that_repeats_counts_as_often_as_it_does(images):
    torch.manual_seed(0)
    query, image = torch.randn(2, 5, 48), torch.randn(2, 2, images, 3, 16)
    key, value = torch.randn(2, 2, 7, 3, 16)
    more = (ContextPart(*image),) if images else ()
    made = elementwise.attend_context(query, (ContextPart(key, value, repeats=4), *more), eps=0.5)
    repeated = (torch.cat([each, each[:, -1:].expand(-1, 3, -1, -1)], dim=1) for each in (key, value))
    torch.testing.assert_close(made, elementwise.attend_context(query, (ContextPart(*repeated), *more), eps=0.5))
    normed = (query / (query.square().mean(-1, keepdim=True) + 0.5).sqrt()).unflatten(-1, (3, 16))
    expected = attend(normed, key, value) + (attend(normed, *image) if images else 0)
    alone = elementwise.attend_context(query, (ContextPart(key, value), *more), eps=0.5)
    torch.testing.assert_close(alone, expected.flatten(2))
    assert not torch.allclose(made, alone)


@pytest.mark.parametrize("told", [0, 3, 511, 512])
def test_the_filling_of_a_prompt_is_there_once(told):
    context = torch.zeros(2, 512, 4)
    context[:, :told] = torch.randn(2, told, 4, generator=torch.Generator().manual_seed(0))
    tokens, repeats = blocks._without_repeats(context)
    assert (tokens.shape[1] + repeats - 1, repeats) == (512, 512 - told or 1)
    assert torch.equal(tokens, context[:, : tokens.shape[1]])
    assert torch.equal(context[:, tokens.shape[1] :], context[:, -1:].expand(-1, repeats - 1, -1))


def test_a_context_that_is_not_finite_stays_whole():
    tokens, repeats = blocks._without_repeats(torch.full((1, 512, 4), torch.nan))
    assert (tokens.shape[1], repeats) == (512, 1)


def test_a_gelu_may_come_before_8_bits():
    x = torch.linspace(-3, 3, 50)[None]
    expected = quantize_rows(functional.gelu(x, approximate="tanh"))
    torch.testing.assert_close(elementwise.quantize(x, gelu=True).floats(), expected.floats())


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gated", [True, False])
def test_kernels_add_and_normalize_as_plain_torch_does(kernels, shape, dtype, gated):
    x, added, scale, shift, gate = tokens(shape, dtype)
    before = x.clone()
    for more in ({}, {"added": added, "gate": gate if gated else None}):
        sums, normed = kernels.add_norm(x, 1 + scale, shift, **more)
        expected_sums, expected = elementwise.add_norm(x, 1 + scale, shift, **more)
        close(sums, expected_sums, bits=16)
        close(normed, expected, bits=16)
        assert normed.dtype == dtype
    close(kernels.add_gated(x, added, gate), elementwise.add_gated(x, added, gate), bits=16)
    assert torch.equal(x, before)
    apart = x.mT.contiguous().mT  # as a convolution's output comes
    close(kernels.add_norm(apart, 1 + scale, shift)[1], elementwise.add_norm(x, 1 + scale, shift)[1], bits=16)


@pytest.mark.gpu
@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_make_8_bits_as_plain_torch_does(kernels, shape):
    x, added, _, shift, gate = tokens(shape, torch.bfloat16)
    weight = torch.randn(shape[-1], device="cuda")
    given = {"added": added, "gate": gate, "float8": True}
    made, expected = (each.add_norm(x, weight, shift, **given)[1] for each in (kernels, elementwise))
    close(made, expected, bits=8)
    for gelu in (True, False):
        close(kernels.quantize(x, gelu=gelu), elementwise.quantize(x, gelu=gelu), bits=8)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("head", [32, 24])
def test_kernels_turn_keys_as_plain_torch_does(kernels, dtype, head):
    key = torch.randn(2, 7, 96, device="cuda").to(dtype)
    norm = nn.RMSNorm(96, eps=1e-6, device="cuda", dtype=dtype).requires_grad_(False)
    nn.init.normal_(norm.weight)
    angles = torch.randn(7, head // 2, device="cuda").repeat_interleave(2, dim=1)[None, :, None]
    rotary = (angles.cos(), angles.sin())
    close(kernels.norm_rotate(key, norm, rotary), elementwise.norm_rotate(key.float(), norm.float(), rotary), bits=16)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("head", "images"), [(32, 257), (128, 257), (128, 0), (24, 5)])
def test_kernels_attend_to_the_context_as_plain_torch_does(kernels, dtype, head, images):
    def tokens(count):
        return torch.randn(2, count, 3, head, device="cuda").to(dtype)

    query, text = 3 * tokens(133).flatten(2), ContextPart(tokens(70), tokens(70), repeats=443)
    context = (text, ContextPart(tokens(images), tokens(images))) if images else (text,)
    wide = tuple(ContextPart(part.key.float(), part.value.float(), part.repeats) for part in context)
    made, expected = (
        kernels.attend_context(query, context, eps=0.5),
        elementwise.attend_context(query.float(), wide, eps=0.5),
    )
    close(made, expected, bits=16)


@pytest.mark.gpu
def test_products_of_8_bits_are_what_they_stand_for(kernels):
    linear, x = nn.Linear(128, 64, device="cuda", dtype=torch.bfloat16), torch.randn(2, 8, 128, device="cuda")
    made = QuantizedLinear(linear, device=linear.weight.device)(kernels.quantize(x.bfloat16()))
    expected = QuantizedLinear(linear.cpu(), device=CPU)(elementwise.quantize(x.bfloat16().cpu()))
    assert (made.cpu() - expected).norm() < 1e-2 * expected.norm()


@pytest.mark.gpu
def test_cublas_has_the_same_gelu(kernels):
    linear = nn.Linear(128, 64, device="cuda", dtype=torch.bfloat16).requires_grad_(False)
    x = torch.randn(2, 8, 128, device="cuda").bfloat16()
    made, expected = kernels.linear_gelu(x, linear), elementwise.linear_gelu(x, linear)
    assert (made - expected).norm() < 1e-2 * expected.norm()
