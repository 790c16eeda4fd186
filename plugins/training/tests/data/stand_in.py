"""Samples that cost nothing instead of those of networks, for facts about runs that are stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ex4d_backbone_wan.networks import Networks
from ex4d_core.errors import InvalidInput
from ex4d_core.jobs.shards import Shard
from ex4d_training.data import Sample, encode, make_job, prepare
from ex4d_training.data.encode import EncodeTask, VideoEncoder, seed_of
from ex4d_training.data.scan import Refusal


def samples(self: VideoEncoder, source) -> list[Sample]:
    """Return numbers that depend on the name of the video."""
    time.sleep(0.05)
    generator = torch.Generator().manual_seed(seed_of(0, source.name))
    return [Sample(tensors={"latents": torch.randn(16, 2, 2, 2, generator=generator)}, facts={"video": source.name})]


def stand_in(set_attribute=setattr) -> None:
    """Take the place of the networks."""
    set_attribute(VideoEncoder, "load", lambda _: None)
    set_attribute(VideoEncoder, "samples", samples)
    set_attribute(Networks, "keep_texts", lambda *_, **__: None)


def make_worker(number: int, **given: Any) -> Callable[[EncodeTask], int | Refusal]:
    """Return what prepares a video in another process, with this in the place of the networks there too."""
    stand_in()
    return encode.make_worker(number, **given)


IN_USE = 3
"""How a process ends that finds another at work in the folder."""


def prepare_tree(videos: str, out: str, tree: dict[str, Any], part: str = "0/1") -> None:
    """Prepare videos, or a part of them, in a process of its own."""
    stand_in()
    try:
        prepare(Path(videos), Path(out), job=make_job(tree), part=Shard.parse(part))
    except InvalidInput as error:
        sys.exit(IN_USE if "another run prepares" in str(error) else str(error))
