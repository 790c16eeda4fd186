"""The processes that train together, one for each GPU, as `accelerate launch` or torchrun starts them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ex4d_training.velocity import WanVelocity


class Team:
    """This process among those that train together; alone where nothing started several.

    Args:
        device: where this process computes; by default its GPU, or the CPU where there is none.
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
        """How many there are."""
        return int(self._state.num_processes)

    @property
    def rank(self) -> int:
        """Which one this is, from 0."""
        return int(self._state.process_index)

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over the team, in one exchange."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])

    def wait(self) -> None:
        """Wait for all others."""
        self._state.wait_for_everyone()

    def end(self) -> None:
        """Leave the team."""
        if self.size > 1:
            self._state.destroy_process_group()


def share_out(model: WanVelocity, *, device: torch.device) -> None:
    """Have each process of the team keep an equal part of the frozen weights, a block's gathered while it computes.

    What is trained stays whole everywhere: it is small, and its gradients are averaged by `Team.average`.

    Args:
        model: on the CPU or on the device; changed in place.
        device: of this process; no more than a block of the weights is whole there at a time.
    """
    from torch.distributed.fsdp import fully_shard

    trained = {parameter for parameter in model.parameters() if parameter.requires_grad}
    for block in model.transformer.blocks:
        fully_shard(block.to(device), ignored_params=trained)
    model.to(device)
    fully_shard(model.transformer, ignored_params=trained)
