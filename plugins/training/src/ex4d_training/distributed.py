"""The processes that train together, one per GPU, started by `accelerate launch` or torchrun."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ex4d_training.velocity import WanVelocity


class Team:
    """The process group; a single process if none was launched.

    Args:
        device: device of this process; its GPU by default, or the CPU without one.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        from accelerate import PartialState

        on_cpu = device is not None and device.type == "cpu"
        self._state = PartialState(cpu=on_cpu)
        self.device: torch.device = device if device is not None and self.size == 1 else self._state.device
        if self.device.type == "cuda":
            index = torch.cuda.current_device() if self.device.index is None else self.device.index
            self.device = torch.device("cuda", index)
            torch.cuda.set_device(self.device)

    @property
    def size(self) -> int:
        """Number of processes."""
        return int(self._state.num_processes)

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return int(self._state.process_index)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes, in one all-reduce."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])

    def wait(self) -> None:
        """Wait for all processes."""
        self._state.wait_for_everyone()

    def end(self) -> None:
        """Leave the process group."""
        if self.size > 1:
            self._state.destroy_process_group()


def shard_weights(model: WanVelocity, *, device: torch.device) -> None:
    """Shard the frozen weights over the processes; the weights of a block are gathered while it computes.

    Trained parameters are replicated: they are small, and `Team.average` averages their gradients.

    Args:
        model: on the CPU or on the device; changed in place.
        device: device of this process; it holds the complete weights of at most one block.
    """
    from torch.distributed.fsdp import fully_shard

    trained = {parameter for parameter in model.parameters() if parameter.requires_grad}
    for block in model.transformer.blocks:
        fully_shard(block.to(device), ignored_params=trained)
    model.to(device)
    fully_shard(model.transformer, ignored_params=trained)
