"""Latents on disk: a folder of safetensors files (shards) with samples, and a manifest.

A sample is the input of one training step: a clip, a mask and a caption. Samples of one clip share tensors, which a
shard stores once. A shard has a checksum of each tensor and one of its header, so that a changed byte is detected when
a tensor is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ex4d_core.bounds import shown
from ex4d_core.errors import InputNotFound, InvalidInput, one_line
from ex4d_core.files import atomic_write
from ex4d_core.names import safe_name
from ex4d_core.reading import check_file, parse_json, reading
from ex4d_training.records import DamagedRunFile, damage, flag, made, of_texts, one_of, read_object, text, whole

FORMAT = 1
"""Version of the file format."""

MANIFEST = "manifest.json"

KEYS = ("latents", "color", "mask", "y", "text", "image")
"""Tensors of a sample; `y` and `image` are absent for models without image input."""

_HEADER = "ex4d"
"""Metadata entry of a shard; only one, since the library does not preserve their order."""

_MADE_BY = "give an output folder of `ex4d data prepare`"
_REMEDY = "delete it, and run the same `ex4d data prepare` again"


class DamagedShard(DamagedRunFile):
    """The content of a shard differs from what was written."""


@attrs.frozen(kw_only=True)
class Sample:
    """The input of one training step; t, h, w are those of the latents."""

    tensors: Mapping[str, Tensor] = attrs.field(eq=False, repr=False)
    """`latents` [16, t, h, w] of the clip; `color` and `mask` [16, t, h, w], the input of the camera encoder; `y`
    [20, t, h, w], the conditioning on the first frame; `text` [n, C] with n up to 512; `image` [patches + 1, C], CLIP
    features of the first frame."""
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    """Origin: `video`, `start`, `caption`, `masks`, `seed`; plain values."""


def _file_name(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or safe_name(value) != value:
        raise ValueError(f"{attribute.name} must be the name of a file in the folder, not {shown(value)}")


def _size(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or len(value) != 2:
        raise ValueError(f"{attribute.name} must be a width and a height, not {shown(value)}")
    for side in value:
        whole(at_least=1, at_most=2**20)(instance, attribute, side)


@attrs.frozen(kw_only=True)
class Shard:
    """A file of samples."""

    file: str = attrs.field(validator=_file_name)
    """Name in the folder."""
    samples: int = attrs.field(validator=whole())
    bytes: int = attrs.field(validator=whole())
    """Size of the file."""

    def __attrs_post_init__(self) -> None:
        if self.samples > self.bytes:
            raise ValueError(f"{shown(self.file)} cannot have {self.samples} samples in {self.bytes} bytes")


@attrs.frozen(kw_only=True)
class Manifest:
    """The content of a folder of shards."""

    fingerprint: str = attrs.field(validator=text)
    """Hash of the encoders."""
    frames: int = attrs.field(validator=whole(at_least=1, at_most=2**20))
    """Frames of a clip, 4k+1."""
    size: tuple[int, int] = attrs.field(validator=_size)
    """Width and height in pixels."""
    dtype: str = attrs.field(validator=one_of("bfloat16", "float32"))
    """Precision of the tensors: bfloat16 or float32."""
    shards: tuple[Shard, ...] = ()
    complete: bool = attrs.field(default=True, validator=flag)
    """Whether the preparation is finished."""
    made_with: Mapping[str, Any] = attrs.field(factory=dict)
    """Options and seeds; a run with others cannot resume this one."""

    @property
    def samples(self) -> int:
        """Number of samples in all shards."""
        return sum(shard.samples for shard in self.shards)


def write_shard(path: Path, samples: Sequence[Sample]) -> Shard:
    """Write samples to a file atomically.

    Raises:
        OutputFailed: the file cannot be written, or the disk is full.
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
    checksums = {name: _checksum(tensor) for name, tensor in tensors.items()}
    tree = {"format": FORMAT, "samples": listed, "blake2b": checksums}
    header = json.dumps({**tree, "checksum": _tree_checksum(tree)})
    # Through bytes, since the writer of the library does not raise OSError on a full disk.
    data = save(_without_aliases(tensors), metadata={_HEADER: header})
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return Shard(file=path.name, samples=len(samples), bytes=len(data))


class OpenShard:
    """A shard whose samples are read one at a time; each tensor is compared with its checksum.

    Args:
        path: the file.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, is not a shard, or has another format.
        DamagedShard: the content differs from what was written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        check_file(path, "shard")
        with self._proving():
            file: Any = safe_open(path, framework="pt")
            self._file, header = file, (file.metadata() or {}).get(_HEADER)
        if header is None:
            raise InvalidInput(f"{path} is not a shard of latents; {_MADE_BY}")
        with self._proving():
            tree = of_texts(parse_json(header), "the list of samples")
            _check_format(tree.get("format"), path)
            checksum = tree.pop("checksum", None)
            self._checksums: Mapping[str, str] | None = tree.get("blake2b")
            if checksum != (None if self._checksums is None else _tree_checksum(tree)):
                raise ValueError("the checksum of its list of samples differs")
            self._samples = [_listed(entry) for entry in tree["samples"]]

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def has_checksums(self) -> bool:
        """Whether the shard has checksums; those of earlier versions have none."""
        return self._checksums is not None

    def facts(self, position: int) -> Mapping[str, Any]:
        """Return the origin of a sample."""
        return self._samples[position][0]

    def tensors(self, position: int) -> dict[str, Tensor]:
        """Return the tensors of a sample.

        Raises:
            InvalidInput: the file cannot be read.
            DamagedShard: the content differs from what was written.
        """
        return {key: self.tensor(name) for key, name in self._samples[position][1].items()}

    def names(self, position: int) -> Mapping[str, str]:
        """Return the names of a sample's tensors in the file, by key."""
        return self._samples[position][1]

    def tensor(self, name: str) -> Tensor:
        """Return one tensor by its name in the file.

        Raises:
            InvalidInput: the file cannot be read.
            DamagedShard: the content differs from what was written.
        """
        with self._proving():
            tensor: Tensor = self._file.get_tensor(name)
            if self._checksums is not None and self._checksums.get(name) != _checksum(tensor):
                raise ValueError(f"the checksum of the tensor {shown(name)} differs")
        return tensor

    @contextmanager
    def _proving(self) -> Iterator[None]:
        """Turn errors of the content into DamagedShard, and those of the system into InvalidInput."""
        with reading(self._path, "shard"):
            try:
                yield
            except InvalidInput:
                raise
            except (SafetensorError, ValueError, LookupError, TypeError, AttributeError) as error:
                reason = str(error) if type(error) is ValueError else one_line(error)
                raise DamagedShard(f"{self._path} is damaged ({reason}); {_REMEDY}") from error


def read_shard(path: Path) -> list[Sample]:
    """Return the samples of a file; shared tensors are shared again.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file cannot be read, is not a shard, or has another format.
        DamagedShard: the content differs from what was written.
    """
    shard = OpenShard(path)
    tensors: dict[str, Tensor] = {}
    for position in range(len(shard)):
        for name in shard.names(position).values():
            if name not in tensors:
                tensors[name] = shard.tensor(name)
    return [
        Sample(
            facts=shard.facts(position),
            tensors={key: tensors[name] for key, name in shard.names(position).items()},
        )
        for position in range(len(shard))
    ]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder.

    Raises:
        OutputFailed: the file cannot be written.
    """
    tree = {"format": FORMAT, "samples": manifest.samples, **attrs.asdict(manifest)}
    with atomic_write(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a folder.

    Raises:
        InputNotFound: the folder or its manifest does not exist.
        InvalidInput: the manifest cannot be read, is damaged, or has another format.
    """
    path = folder / MANIFEST
    try:
        with damage(path, "delete it, and run `ex4d data prepare` again from the start"):
            tree = read_object(path, "manifest")
            _check_format(tree.pop("format"), path)
            del tree["samples"]  # only informative; the shards are counted
            shards = tuple(made(Shard, shard, f"shards[{number}]") for number, shard in enumerate(tree["shards"]))
            entries = {
                "shards": shards,
                "size": tuple(tree["size"]),
                "made_with": of_texts(tree["made_with"], "made_with"),
            }
            return made(Manifest, {**tree, **entries}, "the manifest")
    except InputNotFound as error:
        raise InputNotFound(f"{folder} has no {MANIFEST}; {_MADE_BY}") from error


def check_shard(folder: Path, shard: Shard) -> None:
    """Check the existence and size of a shard.

    Raises:
        InvalidInput: the file is missing, truncated or unreadable.
    """
    path = folder / shard.file
    try:
        length = check_file(path, "shard").st_size
    except InputNotFound:
        length = None
    if length != shard.bytes:
        what = "is missing" if length is None else f"has {length} bytes instead of {shard.bytes}"
        raise DamagedShard(f"{path} {what}; run the same `ex4d data prepare` again")


def _listed(entry: Any) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Return the facts of a sample and the names of its tensors."""
    names = of_texts(entry["tensors"], "the tensors of a sample")
    for key, name in names.items():
        if key not in KEYS or not isinstance(name, str):
            raise ValueError(f"a sample has an unknown tensor {shown(key)}: {shown(name)}")
    return of_texts(entry["facts"], "the facts of a sample"), names


def _check_format(found: Any, path: Path) -> None:
    if found != FORMAT:
        raise InvalidInput(
            f"{path} has format {shown(found)}, but this version reads {FORMAT}; prepare the data again with this "
            "version"
        )


def _checksum(tensor: Tensor) -> str:
    """Return a hash of bytes, type and shape of a tensor on the CPU."""
    values = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return _hash(f"{tensor.dtype} {list(tensor.shape)}".encode(), values.data)


def _tree_checksum(tree: Mapping[str, Any]) -> str:
    return _hash(json.dumps(tree).encode())


def _hash(*parts: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _without_aliases(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that are views of the same memory, which the file format does not support."""
    seen: set[int] = set()
    out = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        out[name] = tensor if whole and memory not in seen else tensor.clone()
        seen.add(memory)
    return out
