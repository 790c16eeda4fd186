"""Where transformers come from in test_denoiser; imported by other processes too, so it is a module of its own."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import current_process
from pathlib import Path

import attrs
import torch
from torch import distributed

from ex4d_backbone_wan.weights.loading import imported
from ex4d_core.errors import InvalidInput


@attrs.frozen
class Saved:
    """A folder that diffusers has written."""

    folder: Path

    def load(self, *, device, dtype):
        cls = imported("diffusers", "WanTransformer3DModel")  # another thread of the process imports it too
        return cls.from_pretrained(self.folder).to(device, dtype)


@attrs.frozen
class Failing:
    """Something goes wrong in the process of a rank while the others wait for it."""

    rank: int
    how: str
    more: str = ""

    def load(self, *, device, dtype):
        if distributed.get_rank() != self.rank:
            distributed.all_reduce(torch.zeros(1))
            time.sleep(3600)  # longer than a test may take
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise InvalidInput("the weights are those of a horse" + self.more)


@attrs.frozen
class Ending:
    """Ends the process of a rank as soon as it is sent there, before it meets the others."""

    rank: int

    def __reduce__(self):
        return _arrive, (self.rank,)


def _arrive(rank):
    if current_process().name == f"GPU {rank}":
        os.kill(os.getpid(), signal.SIGKILL)
    return Ending(rank)
