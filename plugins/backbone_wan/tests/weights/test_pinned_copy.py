"""Facts about tensors on their way to a device."""

from __future__ import annotations

import pytest
import torch

from ex4d_backbone_wan.weights.pinned_copy import Mover, copy_in_pieces

CPU = torch.device("cpu")


def buffers(size=64):
    return {"locked": torch.empty(size, dtype=torch.uint8), "arrived": torch.empty(size, dtype=torch.uint8)}


@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(), (1,), (16,), (17,), (3, 5, 7)])
def test_pieces_make_the_whole(given, shape):
    source = torch.randn(shape).to(given)
    target, waits = torch.zeros(shape, dtype=torch.bfloat16), []
    copy_in_pieces(source, target, **buffers(), wait=lambda: waits.append(None))
    assert torch.equal(target, source.bfloat16())
    assert len(waits) == -(-source.numel() * source.element_size() // 64)


def test_a_view_that_is_not_contiguous_is_copied_as_it_reads():
    source, target = torch.randn(6, 8).T, torch.zeros(8, 6)
    copy_in_pieces(source, target, **buffers(), wait=lambda: None)
    assert torch.equal(target, source)


def test_on_the_cpu_a_tensor_of_the_right_precision_is_not_copied():
    tensor = torch.randn(4)
    with Mover(CPU) as mover:
        assert mover.move(tensor, dtype=torch.float32).data_ptr() == tensor.data_ptr()
        assert mover.move(tensor, dtype=torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_many_tensors_arrive_on_a_gpu_as_they_were():
    device, generator = torch.device("cuda"), torch.Generator().manual_seed(0)
    tensors = [torch.randn(size, generator=generator) for size in (1, 1000, 40_000, 300_000) * 8]
    with Mover(device, piece=1 << 16) as mover:
        moved = list(mover.map(lambda tensor: mover.move(tensor, dtype=torch.bfloat16), tensors))
    assert all(torch.equal(ours.cpu(), tensor.bfloat16()) for ours, tensor in zip(moved, tensors, strict=True))
