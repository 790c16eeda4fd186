"""Latents on disk: a folder of safetensors files, each with some samples, and a manifest that says what they are.

A sample is what one step of training sees: a clip, one mask on it, and what the clip is said to show. Samples of one
clip share tensors, which a shard holds once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.files import replacing

FORMAT = 1
"""Of the files; another number cannot be read."""

MANIFEST = "manifest.json"

KEYS = ("latents", "color", "mask", "y", "text", "image")
"""Tensors of a sample; `y` and `image` are absent where the model takes no picture."""

_HEADER = "ex4d"


@attrs.frozen(kw_only=True)
class Sample:
    """What one step of training sees; t, h, w are those of the latents."""

    tensors: Mapping[str, Tensor] = attrs.field(eq=False, repr=False)
    """`latents` [16, t, h, w], of the clip itself; `color` and `mask` [16, t, h, w], what the camera encoder is shown;
    `y` [20, t, h, w], which latent frames are given and what they are; `text` [n, C] with n up to 512; `image`
    [patches + 1, C], what the image encoder makes of the first frame."""
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    """Where it comes from: `video`, `start`, `caption`, `masks`, `seed`; plain values."""


@attrs.frozen(kw_only=True)
class Shard:
    """A file of samples."""

    file: str
    """Its name in the folder."""
    samples: int
    bytes: int
    """Its length; a file that is shorter was cut off."""


@attrs.frozen(kw_only=True)
class Manifest:
    """What a folder of shards holds."""

    fingerprint: str
    """Tells the networks that made the latents from others."""
    frames: int
    """Of a clip, 4k+1."""
    size: tuple[int, int]
    """Width and height in pixels."""
    dtype: str
    """Of the tensors: bfloat16 or float32."""
    shards: tuple[Shard, ...] = ()
    complete: bool = True
    """Whether everything that was to be prepared is there."""
    made_with: Mapping[str, Any] = attrs.field(factory=dict)
    """Options and seeds, for people and to tell whether another run goes on with this one."""

    @property
    def samples(self) -> int:
        """Number of samples in all shards."""
        return sum(shard.samples for shard in self.shards)


def write_shard(path: Path, samples: Sequence[Sample]) -> Shard:
    """Write samples into a file, whole or not at all.

    Raises:
        OutputFailed: it cannot be written, or the disk is full.
    """
    tensors: dict[str, Tensor] = {}
    names: dict[int, str] = {}
    for number, sample in enumerate(samples):
        for key, tensor in sample.tensors.items():
            assert key in KEYS, key
            name = names.setdefault(id(tensor), f"{number}.{key}")
            tensors[name] = tensor.detach().cpu().contiguous()
    listed = [
        {"facts": dict(sample.facts), "tensors": {key: names[id(tensor)] for key, tensor in sample.tensors.items()}}
        for sample in samples
    ]
    # Through bytes: the library's own writer hides that the disk is full in a text.
    data = save(_without_aliases(tensors), metadata={_HEADER: json.dumps({"format": FORMAT, "samples": listed})})
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return Shard(file=path.name, samples=len(samples), bytes=len(data))


def read_shard(path: Path) -> list[Sample]:
    """Return the samples of a file; those that shared tensors do so again.

    Raises:
        InvalidInput: the file is no shard, damaged, or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            listing = read_listing(file.metadata(), path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
    except (SafetensorError, OSError) as error:
        raise InvalidInput(f"{path} is damaged: {error}") from error
    return [
        Sample(facts=listed["facts"], tensors={key: tensors[name] for key, name in listed["tensors"].items()})
        for listed in listing
    ]


def read_listing(metadata: Mapping[str, str] | None, path: Path) -> list[dict[str, Any]]:
    """Return a shard's list of samples, each with its `facts` and the names of its `tensors`.

    Raises:
        InvalidInput: the file is no shard, or of another format.
    """
    try:
        header = json.loads((metadata or {})[_HEADER])
        found, samples = header["format"], header["samples"]
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidInput(f"{path} is no shard of latents; give a folder that `ex4d data prepare` made") from error
    _check_format(found, path)
    return list(samples)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a folder's manifest.

    Raises:
        OutputFailed: it cannot be written.
    """
    tree = {"format": FORMAT, "samples": manifest.samples, **attrs.asdict(manifest)}
    with replacing(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Return a folder's manifest.

    Raises:
        InputNotFound: there is no such folder, or no manifest in it.
        InvalidInput: the manifest is damaged, or of another format.
    """
    path = folder / MANIFEST
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        _check_format(tree.pop("format"), path)
        del tree["samples"]  # for people; the shards' own count
        shards = tuple(Shard(**shard) for shard in tree.pop("shards"))
        width, height = tree.pop("size")
        return Manifest(shards=shards, size=(width, height), **tree)
    except FileNotFoundError as error:
        raise InputNotFound(f"{folder} has no {MANIFEST}; give a folder that `ex4d data prepare` made") from error
    except InvalidInput:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{path} is damaged ({error}); delete it, and `ex4d data prepare` makes all of it again"
        ) from error


def check_shard(folder: Path, shard: Shard) -> None:
    """Refuse a shard that is not there as long as it was written.

    Raises:
        InvalidInput: it is missing or cut off.
    """
    path = folder / shard.file
    length = path.stat().st_size if path.is_file() else None
    if length != shard.bytes:
        what = "is missing" if length is None else f"has {length} bytes instead of {shard.bytes}"
        raise InvalidInput(f"{path} {what}; `ex4d data prepare` with the same options makes it again")


def _check_format(found: Any, path: Path) -> None:
    if found != FORMAT:
        raise InvalidInput(
            f"{path} is of format {found} and this version reads {FORMAT}; prepare the data again with this version"
        )


def _without_aliases(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors, those that are views of one memory as copies: a file cannot hold the same bytes twice."""
    seen: set[int] = set()
    out = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        out[name] = tensor if whole and memory not in seen else tensor.clone()
        seen.add(memory)
    return out
