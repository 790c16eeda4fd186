"""Latents as training reads them, and in which order."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset, Sampler

from ex4d_backbone_wan.text_embeddings import LENGTH
from ex4d_core.errors import InvalidInput
from ex4d_training.data.shards import DamagedShard, Manifest, OpenShard, check_shard, read_manifest

_OPEN = 16
"""Shards that are kept open at once."""


class LatentDataset(Dataset[dict[str, Tensor]]):
    """The samples of a folder that `ex4d data prepare` made.

    `dataset[i]` is a dict, in the dtype of the manifest:

    - `latents` [16, t, h, w]: of the original clip, what the model is to learn;
    - `color`, `mask` [16, t, h, w]: latents of the masked clip and of its mask, what the camera encoder sees;
    - `y` [20, t, h, w]: Wan's conditioning on the first frame, 4 channels of mask and 16 of latents;
    - `text` [512, C]: the caption's embedding, 0 after its last token;
    - `image` [patches + 1, C]: what the image encoder makes of the first frame.

    `y` and `image` are absent for models that take no picture.
    """

    def __init__(self, folder: str | Path, *, allow_incomplete: bool = False) -> None:
        """Look at the manifest and at the lengths of the shards.

        Args:
            folder: with the shards.
            allow_incomplete: take what is there of a preparation that has not come to its end.

        Raises:
            InputNotFound: there is no manifest.
            InvalidInput: it is of another format, a shard is missing or cut off, the preparation is not complete, or
                there are no samples.
        """
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(self.folder)
        if not (self.manifest.complete or allow_incomplete):
            raise InvalidInput(
                f"{folder} is not complete ({self.manifest.samples} samples so far); the same `ex4d data prepare` goes "
                "on where it stopped"
            )
        self._shards = [shard for shard in self.manifest.shards if shard.samples]
        for shard in self._shards:
            check_shard(self.folder, shard)
        self._ends = list(accumulate(shard.samples for shard in self._shards))
        if not self._ends:
            raise InvalidInput(f"{folder} has no samples; prepare more videos")
        self._open: OrderedDict[int, OpenShard] = OrderedDict()
        self._shapes: dict[str, tuple[int, ...]] = {}
        """Of the tensors of the first sample that was read: those of a batch must be equal."""

    @property
    def fingerprint(self) -> str:
        """Tells the networks that made the latents from others; see `ex4d_training.data.fingerprint_of`."""
        return self.manifest.fingerprint

    @property
    def has_checksums(self) -> bool:
        """Whether a changed byte is found, judged by the first shard; those of earlier versions have none.

        Raises:
            InvalidInput: that shard is damaged.
        """
        return self._opened(0).has_checksums

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return a sample.

        Raises:
            InvalidInput: its shard is damaged, or has samples of another kind.
        """
        number, position = self._place(index)
        sample = self._opened(number).tensors(position)
        if fault := self._fault(sample):
            path = self.folder / self._shards[number].file
            raise DamagedShard(f"{path} has a sample {position} that cannot be trained with: {fault}; prepare it again")
        sample["text"] = functional.pad(sample["text"], (0, 0, 0, LENGTH - len(sample["text"])))
        return sample

    def facts(self, index: int) -> Mapping[str, Any]:
        """Return where a sample comes from: `video`, `start`, `caption`, `masks`, `seed`.

        Raises:
            InvalidInput: its shard is damaged.
        """
        number, position = self._place(index)
        return self._opened(number).facts(position)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}  # open files do not go to another process

    def _place(self, index: int) -> tuple[int, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no sample {index} of {len(self)}")
        index %= len(self)
        number = bisect.bisect_right(self._ends, index)
        return number, index - (self._ends[number - 1] if number else 0)

    def _opened(self, number: int) -> OpenShard:
        if number not in self._open:
            shard = self._shards[number]
            opened = OpenShard(self.folder / shard.file)
            if len(opened) != shard.samples:
                raise DamagedShard(
                    f"{self.folder / shard.file} has {len(opened)} samples and the manifest says {shard.samples}; "
                    "delete it, and the same `ex4d data prepare` makes it again"
                )
            self._open[number] = opened
            if len(self._open) > _OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]

    def _fault(self, sample: Mapping[str, Tensor]) -> str:
        """Return in words why a sample does not fit the others, or ''."""
        if missing := [key for key in ("latents", "color", "mask", "text") if key not in sample]:
            return f"it has no {missing[0]}"
        if sample["text"].ndim != 2 or len(sample["text"]) > LENGTH:
            return f"its text has the shape {list(sample['text'].shape)}"
        other = [f"{key} in {tensor.dtype}" for key, tensor in sample.items() if tensor.dtype != self._dtype]
        if other:
            return f"it has {other[0]} and the manifest says {self.manifest.dtype}"
        shapes = {key: tuple(tensor.shape[key == "text" :]) for key, tensor in sample.items()}
        self._shapes = self._shapes or shapes
        if shapes != self._shapes:
            return f"its tensors have the shapes {shapes} and those of another sample {self._shapes}"
        return ""

    @property
    def _dtype(self) -> torch.dtype:
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[self.manifest.dtype]


class EpochSampler(Sampler[int]):
    """All samples in an order of the seed's, then all of them in another order, and so on without an end.

    Each of `world` processes gets every so many-th. What has been seen is told by `advance`, since a loader takes
    samples ahead of the step that learns from them; from there a sampler goes on that was given the state, even with
    another number of processes.

    Example:
        sampler = EpochSampler(len(dataset), seed=1, rank=rank, world=world)
        for batch in DataLoader(dataset, batch_size=4, sampler=sampler, num_workers=2):
            ...
            sampler.advance(4)
    """

    def __init__(self, length: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        """Start at the first sample.

        Args:
            length: of the data set.
            seed: of the orders.
            rank: of this process, from 0.
            world: number of processes.
        """
        if length < 1:
            raise InvalidInput("there is nothing to sample from: the data set is empty")
        assert 0 <= rank < world, (rank, world)
        self._length, self._seed, self._rank, self._world = length, seed, rank, world
        self._seen = 0

    @property
    def epoch(self) -> int:
        """How often all samples have been seen."""
        return self._seen // self._length

    @property
    def seen(self) -> int:
        """Samples that all processes together have learnt from."""
        return self._seen

    def advance(self, count: int) -> None:
        """Say that this process, and each of the others, has learnt from so many more samples."""
        self._seen += count * self._world

    def __iter__(self) -> Iterator[int]:
        """Yield the samples of this process that come after those that have been seen; it never ends."""
        place, epoch, order = self._seen + self._rank, -1, torch.empty(0, dtype=torch.int64)
        while True:
            if place // self._length != epoch:
                epoch = place // self._length
                order = self._order(epoch)
            yield int(order[place % self._length])
            place += self._world

    def state_dict(self) -> dict[str, int]:
        """Return what `load_state_dict` goes on from; the same in all processes."""
        return {"length": self._length, "seed": self._seed, "seen": self._seen}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a state; iterators that were made before it do not notice.

        Raises:
            InvalidInput: it belongs to a data set of another length.
        """
        if state["length"] != self._length:
            raise InvalidInput(
                f"the state is of a data set of {state['length']} samples and this one has {self._length}; "
                "go on with the same data, or start anew"
            )
        self._seed, self._seen = state["seed"], state["seen"]

    def _order(self, epoch: int) -> Tensor:
        # Both numbers go into the seed: seed 1 in epoch 1 must not be what seed 2 was in epoch 0.
        mixed = int(np.random.SeedSequence((self._seed, epoch)).generate_state(1, np.uint64)[0])
        generator = torch.Generator().manual_seed(mixed % 2**63)
        return torch.randperm(self._length, generator=generator)
