"""Hostile data for training, and what `ex4d train` goes on from, for a tiny Wan."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .camera_inputs import DEEP, DIGITS

LATENTS = (3, 4, 4)

Edit = Callable[[Path], object]


def make_latents(folder: Path, wan: Path) -> Path:
    """Write six samples of random latents, as `ex4d data prepare` does with the tiny Wan in `wan`."""
    from ex4d_backbone_wan.options import WanOptions
    from ex4d_backbone_wan.weights import locate
    from ex4d_training.data.fingerprint import fingerprint_of
    from ex4d_training.data.shards import Manifest, Sample, write_manifest, write_shard

    fingerprint = fingerprint_of(locate(WanOptions(model=str(wan), adapter="none")))
    samples = [Sample(tensors=_tensors(seed), facts={"video": f"{seed}.mp4"}) for seed in range(6)]
    shards = (write_shard(folder / "shard-00000.safetensors", samples),)
    write_manifest(folder, Manifest(fingerprint=fingerprint, frames=9, size=(32, 32), dtype="float32", shards=shards))
    return folder


def _tensors(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = dict.fromkeys(("latents", "color", "mask"), (16, *LATENTS))
    shapes |= {"y": (20, *LATENTS), "text": (5, 32), "image": (17, 32)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _changed(**changes: Any) -> Edit:
    def edit(path: Path) -> None:
        tree = json.loads(path.read_text())
        path.write_text(json.dumps({**tree, **changes}))

    return edit


def _says(text: str | bytes) -> Edit:
    return lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode())


def _instead(make: Callable[[Path], object]) -> Edit:
    def edit(path: Path) -> None:
        path.unlink()
        make(path)

    return edit


TEXTS: dict[str, Edit] = {
    "deep": _says(DEEP),
    "digits": _says('{"format": ' + DIGITS + "}"),
    "list": _says("[1, 2]"),
    "number": _says("3"),
    "null": _says("null"),
    "empty": _says(""),
    "half": _says('{"format": 1, '),
    "latin": _says(b'{"format": "\xe9"}'),
    "nan": _says('{"format": NaN}'),
    "binary": _says(bytes(range(256)) * 8),
    "fifo": _instead(os.mkfifo),
    "zero": _instead(lambda path: path.symlink_to("/dev/zero")),
    "loop": _instead(lambda path: path.symlink_to(path.name)),
    "folder": _instead(Path.mkdir),
    "unreadable": lambda path: path.chmod(0),
}
"""What may be wrong with any record of ours."""

RECORDS: dict[str, Edit] = {**TEXTS, "format": _changed(format="\x1b[31m2")}
"""What may be wrong with one that says its format."""

MANIFESTS: dict[str, Edit] = {
    **RECORDS,
    "shards-text": _changed(shards="all"),
    "shards-number": _changed(shards=3),
    "shards-more": _changed(shards=[{"file": "a", "samples": 1, "bytes": 1, "more": 1}]),
    "shards-none": _changed(shards=[]),
    "shards-outside": _changed(shards=[{"file": "../../../../etc/passwd", "samples": 6, "bytes": 1}]),
    "shards-device": _changed(shards=[{"file": "/dev/zero", "samples": 6, "bytes": 0}]),
    "shards-count": _changed(shards=[{"file": "shard-00000.safetensors", "samples": "six", "bytes": 1}]),
    "size-text": _changed(size=["a", "b"]),
    "size-number": _changed(size=3),
    "frames-text": _changed(frames="nine"),
    "frames-huge": _changed(frames=10**30),
    "fingerprint-list": _changed(fingerprint=[1]),
    "complete-text": _changed(complete=False),
    "dtype": _changed(dtype="\x1b[31m"),
}
"""What may be wrong with `manifest.json`."""

STATES: dict[str, Edit] = {
    **RECORDS,
    "steps-text": _changed(steps="four"),
    "steps-huge": _changed(steps=10**30),
    "steps-negative": _changed(steps=-1),
    "origin-list": _changed(origin=[1]),
    "sampler-list": _changed(sampler=[1]),
    "sampler-text": _changed(sampler={"epoch": "a", "done": "b"}),
    "batches-number": _changed(batches=3),
}
"""What may be wrong with `state.json` of a checkpoint."""


def make_training(folder: Path, wan: Path) -> None:
    """Make latents in `folder/good`, and copies with one thing wrong in `folder/NAME`."""
    folder.mkdir()
    good = make_latents(folder / "good", wan)
    for name, edit in MANIFESTS.items():
        edit(shutil.copytree(good, folder / f"m-{name}") / "manifest.json")
    shard = (good / "shard-00000.safetensors").read_bytes()
    length = int.from_bytes(shard[:8], "little")
    damaged = {
        "cut": shard[: len(shard) // 2],
        "head": b"\xff" * 8 + shard[8:],
        "header-text": shard[:8] + b"x" * length + shard[8 + length :],
        "nan": shard[: 8 + length] + b"\xff" * (len(shard) - 8 - length),
        "same-length": shard[: 8 + length] + bytes(len(shard) - 8 - length),
    }
    for name, data in damaged.items():
        copy = shutil.copytree(good, folder / f"s-{name}") / "shard-00000.safetensors"
        copy.write_bytes(data)
        if len(data) != len(shard):
            _set_length(copy.parent / "manifest.json", len(data))


def _set_length(manifest: Path, length: int) -> None:
    tree = json.loads(manifest.read_text())
    tree["shards"][0]["bytes"] = length
    manifest.write_text(json.dumps(tree))
