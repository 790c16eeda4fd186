"""Depth estimators for tests: one with weights that may be downloaded, and one without any."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import torch

from ex4d_core.hub.local import HubRepo, resolve_weights
from ex4d_core.options import option
from ex4d_core.plugins.discovery import Plugins, find_plugins
from ex4d_core.plugins.offers import Offer, Source
from ex4d_core.progress import Progress, track
from ex4d_core.provider import Download, Provider
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics, Video
from tests.helpers.hub_server import REPO


@attrs.frozen
class FlatOptions:
    """Has no options."""


@attrs.frozen
class NetOptions:
    model: str = option(REPO, help="Weights.", affects_output=False)

    def fingerprint(self) -> str:
        return str(resolve_weights(*weights(self), fetch="ex4d fetch net"))


class FlatDepth:
    """A tilted plane."""

    def __init__(self, options: object, *, device: torch.device) -> None:
        """Needs nothing."""

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        depth = torch.empty(video.frames.shape[:3])
        for frame in track(range(video.num_frames), progress):
            depth[frame] = torch.linspace(4, 2, video.height)[:, None]
        lens = Intrinsics.from_fov(width=video.width, height=video.height)
        return DepthVideo(depth=depth, kind=DepthKind.RELATIVE, intrinsics=lens)


def weights(options: NetOptions) -> list[HubRepo]:
    return [HubRepo(repo=options.model, revision="main", patterns=("config.json", "net/*"))]


FLAT = Provider(
    name="flat", summary="a plane", license="MIT", component=f"{__name__}:FlatDepth", options=FlatOptions, auto=0
)
NET = attrs.evolve(
    FLAT,
    name="net",
    summary="a network",
    options=NetOptions,
    auto=10,
    weights=f"{__name__}:weights",
    offer_download=Download(title="Small Net", license="MIT", size=3_146_735),
)


def with_estimators(*providers: Provider, builtin: Iterable[str] = ("file",)) -> Plugins:
    """Return what is installed, with these depth estimators instead of all but some built-in ones."""
    found = find_plugins()
    source = Source(plugin="tests", module="", distribution="tests", version="1")
    offers = [Offer(role="depth", spec=provider, source=source) for provider in providers]
    kept = [o for o in found.offers if o.role != "depth" or (o.builtin and o.name in builtin)]
    return attrs.evolve(found, offers=(*kept, *offers))
