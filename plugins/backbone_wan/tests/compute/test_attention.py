"""Tokens attend by the fastest kernel that there is; `test_parallel` has them on several processes."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from importlib.metadata import version
from types import ModuleType

import pytest
import torch
from torch.nn import functional

from ex4d_backbone_wan.compute import attention
from ex4d_backbone_wan.compute.attention import attend, flash_attention

GPU = torch.device("cuda", 0)


@pytest.fixture
def hopper(monkeypatch, tmp_path):
    """Return a function that makes the first GPU look like a Hopper with FlashAttention; tensors stay on the CPU."""

    def pretend(flash_attn_func, capability=(9, 0)):
        module = ModuleType("flash_attn.cute")
        module.flash_attn_func = flash_attn_func
        monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))
        monkeypatch.setitem(sys.modules, "flash_attn.cute", module)
        monkeypatch.setattr(attention, "version", lambda name: "4.0")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
        monkeypatch.setattr(torch.cuda, "device", nullcontext)
        monkeypatch.setattr(torch, "zeros", lambda *shape, device, dtype: torch.full(shape, 0, dtype=dtype))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("ENABLED", "DIR"):
        monkeypatch.setenv(f"FLASH_ATTENTION_CUTE_DSL_CACHE_{name}", "")
        monkeypatch.delenv(f"FLASH_ATTENTION_CUTE_DSL_CACHE_{name}")
    flash_attention.cache_clear()
    yield pretend
    flash_attention.cache_clear()


def last(query, key, value):
    """Return something else than attention does, as FlashAttention returns it."""
    return value[:, -1:].expand_as(query), None


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


def test_flash_attention_is_for_hopper_where_it_is_installed(hopper, monkeypatch, tmp_path):
    hopper(last)
    assert flash_attention(GPU) is not None
    assert os.environ["FLASH_ATTENTION_CUTE_DSL_CACHE_DIR"] == str(tmp_path / "cache" / "flash_attention")
    assert flash_attention(torch.device("cpu")) is None
    flash_attention.cache_clear()
    monkeypatch.setattr(attention, "version", version)
    assert flash_attention(GPU) is None
    flash_attention.cache_clear()
    hopper(last, capability=(8, 9))
    assert flash_attention(GPU) is None


@pytest.mark.parametrize(
    ("dtype", "head", "used"), [(torch.bfloat16, 128, True), (torch.float32, 128, False), (torch.bfloat16, 64, False)]
)
def test_flash_attention_is_for_the_heads_of_wan(hopper, monkeypatch, dtype, head, used):
    hopper(last)
    flash = flash_attention(GPU)
    monkeypatch.setattr(attention, "flash_attention", lambda device: flash)
    query, key, value = torch.randn(3, 1, 4, 2, head).to(dtype)
    made = attend(query, key, value)
    assert torch.equal(made, last(query, key, value)[0]) == used
    assert torch.allclose(made.float(), expected(query, key, value), atol=2e-2) != used


def test_flash_attention_that_does_not_work_is_said_once(hopper):
    def broken(*_):
        raise RuntimeError("no ptxas")

    hopper(broken)
    with pytest.warns(UserWarning, match="flash-attn-4 .* does not work here, so cuDNN attends: no ptxas") as told:
        assert [flash_attention(GPU), flash_attention(GPU)] == [None, None]
    assert len(told) == 1


def test_flash_attention_works_where_nothing_can_be_kept(hopper, monkeypatch, tmp_path):
    hopper(last)
    (tmp_path / "file").touch()
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "file"))
    assert flash_attention(GPU) is not None
    assert "FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED" not in os.environ


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
