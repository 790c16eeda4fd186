"""A backbone for tests that works in steps, keeps each in its workspace, and tells what it was asked to do."""

from __future__ import annotations

from typing import Any

import attrs
import torch

from ex4d_core.hub.local import HubRepo, resolve_weights
from ex4d_core.options import option
from ex4d_core.plugins.discovery import Plugins, find_plugins
from ex4d_core.plugins.offers import Offer, Source
from ex4d_core.provider import Provider
from ex4d_core.types import Guidance, Scene, Video
from ex4d_core.workspace import Workspace

STEPS_DONE: list[int] = []
"""Steps that were worked at since the test began."""


@attrs.frozen
class StepOptions:
    model: str = option("nobody/has-this", help="Weights: a name on the hub or a folder.")
    steps: int = option(4, help="Steps.")
    stop_at: int = option(0, help="The step at which the user presses Ctrl-C; 0 is never.", affects_output=False)
    memory: str = option("none", help="What the card has.", affects_output=False)
    speed: str = option("exact", help="exact or fast.")
    gpus: int = option(1, help="How many cards.", affects_output=False)
    preview_every: int = option(0, help="Steps between previews; 0 is none.", affects_output=False)


class StepBackbone:
    """Each step makes what is hidden a little lighter."""

    made = 0
    """How many there were since the test began."""

    def __init__(self, options: StepOptions, *, device: torch.device) -> None:
        self._options = options
        StepBackbone.made += 1

    def generate(
        self, guidance: Guidance, scene: Scene | None, *, prompt: str, seed: int, progress: Any, workspace: Workspace
    ) -> Video:
        options, kept = self._options, workspace.folder and workspace.folder / "step.txt"
        first = int(kept.read_text()) if kept and kept.exists() else 0
        progress(0, options.steps)
        for step in range(first + 1, options.steps + 1):
            if step == options.stop_at:
                raise KeyboardInterrupt
            STEPS_DONE.append(step)
            if kept:
                kept.write_text(str(step))
            if options.preview_every and step % options.preview_every == 0:
                workspace.show("preview", self._at(step, guidance))
            progress(step, options.steps)
        return self._at(options.steps, guidance)

    def _at(self, step: int, guidance: Guidance) -> Video:
        hidden = torch.full_like(guidance.color, 30 * step)
        return Video(frames=torch.where(guidance.mask[..., None], guidance.color, hidden), fps=guidance.fps)


def weights(options: StepOptions) -> list[HubRepo]:
    return [HubRepo(repo=options.model, revision="main")]


STEPWISE = Provider(
    name="stepwise",
    summary="for tests",
    license="MIT",
    component=f"{__name__}:StepBackbone",
    options=StepOptions,
)


@attrs.frozen
class WanOptions(StepOptions):
    size: str = option("same", help="Size that is worked at.")
    fit: str = option("aspect", help="How other shapes are brought to it.")

    def fingerprint(self) -> str:
        return str(resolve_weights(*weights(self), fetch="ex4d fetch wan"))


WAN = attrs.evolve(
    STEPWISE,
    name="wan",
    auto=20,
    weights=f"{__name__}:weights",
    options=WanOptions,
    presets={"ex4d": {"size": "512x512", "fit": "stretch"}},
)
"""Has the priority that `auto` tries first."""


def plugins_with(*providers: Provider) -> Plugins:
    """Return what is installed, with these backbones instead of any of the same name."""
    found, names = find_plugins(), {provider.name for provider in providers}
    source = Source(plugin="tests", module="", distribution="tests", version="1")
    offers = [Offer(role="backbone", spec=provider, source=source) for provider in providers]
    return attrs.evolve(found, offers=(*(o for o in found.offers if o.name not in names), *offers))
