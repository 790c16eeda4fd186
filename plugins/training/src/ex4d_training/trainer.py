"""The loop: batches in, steps, and now and then a look at the losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import attrs
import torch
from torch import Tensor, nn

from ex4d_core.errors import Ex4dError
from ex4d_training.distributed import Team
from ex4d_training.optimizer import Optimizer, Pace
from ex4d_training.step import train_step
from ex4d_training.velocity import Sample, trained_parameters

Report = Callable[[int, dict[str, float]], None]
"""Called as `report(steps_done, {"loss": ..., "norm": ..., "rate": ...})`."""


class TrainingStopped(Ex4dError, RuntimeError):
    """Training cannot go on; what was saved before is good."""


@attrs.frozen(kw_only=True)
class Recipe:
    """How each step is made."""

    pace: Pace
    shift: float = 5.0
    """Moves noise levels to noisier latents."""
    accumulate: int = 1
    """Batches whose gradients are added up for a step."""
    seed: int = 42
    """Fixes the noise of every step."""
    look_every: int = 10
    """Steps between two looks at the losses, for which the host waits for the device."""


class Trainer:
    """Trains what is not frozen in a model.

    A step depends on the recipe, the batches, the trained values and the number of the step alone, so whoever gives a
    trainer these goes on as if nothing had been between.

    Args:
        model: called as `model(noisy, sigma, sample)`; see `velocity.WanVelocity`.
        batches: of this process, on the model's device, without an end.
        recipe: how steps are made.
        team: the processes that train together.
        report: told the mean loss since the last time.
    """

    def __init__(
        self, model: nn.Module, batches: Iterator[Sample], *, recipe: Recipe, team: Team, report: Report | None = None
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.optimizer = Optimizer(trained_parameters(model), pace=recipe.pace, team=team)
        self._batches = batches
        self._team = team
        self._report = report
        self._unseen: list[tuple[Tensor, Tensor]] = []

    @property
    def steps(self) -> int:
        """How many are done."""
        return self.optimizer.steps

    def run(self, until: int) -> None:
        """Take steps until so many are done.

        Raises:
            TrainingStopped: a loss or a gradient is no longer finite; the message has the step.
        """
        recipe = self.recipe
        while self.steps < until:
            batches = list(islice(self._batches, recipe.accumulate))
            made = train_step(
                self.model, self.optimizer, batches, shift=recipe.shift, seed=recipe.seed, rank=self._team.rank
            )
            self._unseen.append(made)
            if self.steps % recipe.look_every == 0:
                self.look()
        self.look()

    def look(self) -> None:
        """Wait for what has not been looked at yet and report it.

        Raises:
            TrainingStopped: a loss or a gradient is no longer finite.
        """
        if not self._unseen:
            return
        seen = torch.stack([torch.stack([loss, norm]) for loss, norm in self._unseen])
        self._unseen = []
        self._team.average([seen])
        first = self.steps - len(seen)
        bad = (~seen.isfinite().all(dim=1)).nonzero()
        if len(bad):
            raise TrainingStopped(
                f"the loss is not finite any more at step {first + int(bad[0]) + 1}, so training stops; go on from the "
                "last checkpoint, which is good, with a lower --learning-rate"
            )
        if self._report is not None:
            loss, norm = seen.mean(dim=0).tolist()
            self._report(self.steps, {"loss": loss, "norm": norm, "rate": self.recipe.pace.rate(self.steps - 1)})
