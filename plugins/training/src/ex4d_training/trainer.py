"""The training loop."""

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
    """Training cannot continue; the last checkpoint is valid."""


@attrs.frozen(kw_only=True)
class Recipe:
    """Settings of the training steps."""

    pace: Pace
    shift: float = 5.0
    """Shift of the noise schedule; larger values train on noisier latents."""
    accumulate: int = 1
    """Number of batches whose gradients are accumulated per step."""
    seed: int = 42
    """Seed of the noise."""
    look_every: int = 10
    """Steps between checks of the losses, which synchronize with the device."""


class Trainer:
    """Trains the parameters of a model that are not frozen.

    A step depends only on the recipe, the batches, the optimizer state and the number of the step, so a resumed run
    repeats an uninterrupted one.

    Args:
        model: called as `model(noisy, sigma, sample)`; see `velocity.WanVelocity`.
        batches: endless batches of this process, on the device of the model.
        recipe: settings of the steps.
        team: the processes that train together.
        report: receives the mean loss since the last call.
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
        self._unchecked: list[tuple[Tensor, Tensor]] = []

    @property
    def steps(self) -> int:
        """Number of completed steps."""
        return self.optimizer.steps

    def run(self, until: int) -> None:
        """Train until this number of completed steps.

        Raises:
            TrainingStopped: a loss or a gradient is no longer finite; the message names the step.
        """
        recipe = self.recipe
        while self.steps < until:
            batches = list(islice(self._batches, recipe.accumulate))
            made = train_step(
                self.model, self.optimizer, batches, shift=recipe.shift, seed=recipe.seed, rank=self._team.rank
            )
            self._unchecked.append(made)
            if self.steps % recipe.look_every == 0:
                self.check()
        self.check()

    def check(self) -> None:
        """Check and report all losses since the last check.

        Raises:
            TrainingStopped: a loss or a gradient is no longer finite.
        """
        if not self._unchecked:
            return
        seen = torch.stack([torch.stack([loss, norm]) for loss, norm in self._unchecked])
        self._unchecked = []
        self._team.average([seen])
        first = self.steps - len(seen)
        bad = (~seen.isfinite().all(dim=1)).nonzero()
        if len(bad):
            raise TrainingStopped(
                f"the loss is not finite at step {first + int(bad[0]) + 1}; resume from the last checkpoint, which is "
                "valid, with a lower --learning-rate"
            )
        if self._report is not None:
            loss, norm = seen.mean(dim=0).tolist()
            self._report(self.steps, {"loss": loss, "norm": norm, "rate": self.recipe.pace.rate(self.steps - 1)})
