"""Tuning makes the networks faster and smaller; what they compute stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ex4d_depth_depthcrafter import optimizations
from ex4d_depth_depthcrafter.estimator import DepthCrafter

CPU = torch.device("cpu")


def silent(done: int, total: int) -> None:
    """Take progress and say nothing."""


def feed_forward() -> nn.Module:
    """Return a small feed-forward layer as the UNet has them."""
    attention = pytest.importorskip("diffusers.models.attention")
    torch.manual_seed(0)
    return attention.FeedForward(16, activation_fn="geglu").eval()


@torch.no_grad()
def test_feed_forward_layers_give_in_pieces_what_they_give_at_once(monkeypatch):
    layer, tokens = feed_forward(), torch.randn(7, 5, 16)
    at_once = layer(tokens)
    monkeypatch.setattr(optimizations, "_TOKENS", 10)
    optimizations.optimize(layer, CPU)
    sizes = []
    layer.net[0].register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    torch.testing.assert_close(layer(tokens), at_once)
    assert sizes == [2, 2, 2, 1]


def test_on_the_cpu_group_normalization_stays_pytorchs():
    norm = nn.GroupNorm(2, 4)
    optimizations.optimize(norm, CPU)
    assert "forward" not in vars(norm)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 64, 7, 9), (1, 96, 3, 40, 33), (3, 320, 600), (1, 2560, 5, 5), (1, 64, 1, 1)])
def test_group_normalization_is_as_exact_as_pytorchs(shape, dtype):
    pytest.importorskip("triton")
    from ex4d_depth_depthcrafter._group_norm_kernels import normalize

    torch.manual_seed(0)
    norm = nn.GroupNorm(32, shape[1])
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.to("cuda", dtype)
    # A mean far from 0, where a careless sum of squares loses its digits.
    x = (torch.randn(shape, device="cuda") * 3 + 50).to(dtype)
    made = normalize(x, norm)
    exact = functional.group_norm(x.double(), 32, norm.weight.double(), norm.bias.double(), norm.eps)
    assert made.dtype == dtype
    assert made.shape == x.shape
    off, stock_off = ((each.double() - exact).abs().max() for each in (made, norm(x)))
    assert off <= 4 * stock_off + torch.finfo(dtype).eps


@pytest.mark.gpu
def test_the_tuned_networks_see_the_depth_that_the_stock_ones_see(options, clip, monkeypatch):
    pytest.importorskip("triton")
    device, video = torch.device("cuda"), clip(6)
    tuned = DepthCrafter(options(dtype="float32"), device=device)
    fast = tuned.diffusion.inverse_depth(video.frames, progress=silent)
    assert "forward" in vars(tuned.diffusion._networks.vae.decoder.conv_norm_out)
    monkeypatch.setattr("ex4d_depth_depthcrafter.networks.optimize", lambda *_: None)
    stock = DepthCrafter(options(dtype="float32"), device=device)
    plain = stock.diffusion.inverse_depth(video.frames, progress=silent)
    # Convolutions round to TF32, in another order.
    assert (fast - plain).abs().max() < 5e-3
