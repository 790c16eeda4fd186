"""Tokens attend by the fastest kernel that there is; `test_parallel` has them on several processes."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch.nn import functional

from ex4d_backbone_wan.attention import attend, flash_attention

GPU = torch.device("cuda", 0)


@pytest.fixture
def hopper(monkeypatch):
    """Return a function that makes the first GPU look like a Hopper with FlashAttention, or without."""

    def pretend(**contents):
        module = ModuleType("flash_attn.cute")
        module.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))
        monkeypatch.setitem(sys.modules, "flash_attn.cute", module)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))

    flash_attention.cache_clear()
    yield pretend
    flash_attention.cache_clear()


def expected(query, key, value):
    query, key, value = (each.transpose(1, 2).float() for each in (query, key, value))
    return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_queries_see_the_softmax_s_mean(dtype):
    torch.manual_seed(0)
    query, (key, value) = torch.randn(2, 5, 3, 16, dtype=dtype), torch.randn(2, 2, 7, 3, 16, dtype=dtype)
    made = attend(query, key, value)
    assert made.dtype == dtype
    torch.testing.assert_close(made.float(), expected(query, key, value), atol=1e-2, rtol=1e-2)


def test_flash_attention_is_for_hopper_where_it_is_installed(hopper, monkeypatch):
    hopper()
    assert flash_attention(torch.device("cpu")) is None
    assert flash_attention(GPU) is None  # an older package of that name
    flash_attention.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 9))
    assert flash_attention(GPU) is None


def test_flash_attention_that_does_not_work_is_said_once(hopper, monkeypatch):
    def broken(*_):
        raise RuntimeError("no ptxas")

    hopper(flash_attn_func=broken)
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: (1, 2, 3))
    with pytest.warns(
        UserWarning, match="flash-attn-4 is installed but does not work here, so cuDNN attends: "
    ) as told:
        assert [flash_attention(GPU), flash_attention(GPU)] == [None, None]
    assert len(told) == 1


@pytest.mark.gpu
def test_flash_attention_sees_what_others_see():
    flash_attention.cache_clear()
    flash = flash_attention(GPU)
    if flash is None:
        pytest.skip("needs a Hopper and flash-attn-4")
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 300, 5, 128, device=GPU, dtype=torch.bfloat16)
    assert torch.equal(attend(query, key, value), flash(query, key, value))
    wanted = expected(query, key, value)
    assert (flash(query, key, value) - wanted).norm() < 4e-3 * wanted.norm()
