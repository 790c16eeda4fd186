"""AdamW on float32 copies of the parameters, with an exponential moving average (EMA)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import torch
from torch import Tensor, nn

from ex4d_training.distributed import Team


@attrs.frozen(kw_only=True)
class Pace:
    """Learning rate schedule and other settings of the optimizer."""

    learning_rate: float
    warmup: int = 0
    """Steps of linear warm-up."""
    steps: int | None = None
    """Length of a cosine decay to 0; None keeps the rate constant."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Limit of the global gradient norm."""
    ema: float = 0.999
    """Decay of the EMA; smaller in the first steps."""

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        if self.steps is None:
            return self.learning_rate * rise
        along = torch.tensor(min(1.0, step / self.steps) * torch.pi)
        return self.learning_rate * rise * float(0.5 + 0.5 * torch.cos(along))


class Optimizer:
    """Updates parameters; processes with equal parameters keep them equal.

    Args:
        parameters: trained parameters by name, in any precision.
        pace: settings.
        team: the processes; gradients are averaged over them.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, pace: Pace, team: Team) -> None:
        self.pace = pace
        self.steps = 0
        self._team = team
        self._computing = list(parameters.values())
        self.masters = {name: value.detach().float().clone() for name, value in parameters.items()}
        self.means = {name: value.clone() for name, value in self.masters.items()}
        fused = all(value.is_cuda for value in self.masters.values())
        self.adamw = torch.optim.AdamW(
            list(self.masters.values()), lr=pace.learning_rate, weight_decay=pace.weight_decay, fused=fused
        )

    @torch.no_grad()
    def step(self) -> Tensor:
        """Take one step and clear the gradients; return their norm before clipping."""
        masters = list(self.masters.values())
        gradients = [
            torch.zeros_like(master) if value.grad is None else value.grad.float()
            for value, master in zip(self._computing, masters, strict=True)
        ]
        self._team.average(gradients)
        norm = torch.nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, (self.pace.clip / norm.clamp(min=self.pace.clip)))
        for master, gradient in zip(masters, gradients, strict=True):
            master.grad = gradient
        for group in self.adamw.param_groups:
            group["lr"] = self.pace.rate(self.steps)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        for value in self._computing:
            value.grad = None
        torch._foreach_copy_([value.data for value in self._computing], masters)
        self.steps += 1
        stays = min(self.pace.ema, self.steps / (10 + self.steps))
        torch._foreach_lerp_(list(self.means.values()), masters, 1 - stays)
        return norm

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Have the parameters take values, such as the running means, until the next step."""
        torch._foreach_copy_([value.data for value in self._computing], [values[name] for name in self.masters])
