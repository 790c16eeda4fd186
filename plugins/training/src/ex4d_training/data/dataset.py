"""The data set of latents, and the order of its samples."""

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
"""Number of shards that stay open."""


class LatentDataset(Dataset[dict[str, Tensor]]):
    """The samples of a folder that `ex4d data prepare` made.

    `dataset[i]` is a dict, in the dtype of the manifest:

    - `latents` [16, t, h, w]: latents of the original clip, the target;
    - `color`, `mask` [16, t, h, w]: latents of the masked clip and of its mask, the input of the camera encoder;
    - `y` [20, t, h, w]: Wan's conditioning on the first frame, 4 channels of mask and 16 of latents;
    - `text` [512, C]: the caption's embedding, 0 after its last token;
    - `image` [patches + 1, C]: CLIP features of the first frame.

    `y` and `image` are absent for models without image input.
    """

    def __init__(self, folder: str | Path, *, allow_incomplete: bool = False) -> None:
        """Read the manifest and check the sizes of the shards.

        Args:
            folder: folder of the shards.
            allow_incomplete: accept the samples of an unfinished preparation.

        Raises:
            InputNotFound: the folder has no manifest.
            InvalidInput: the format is unknown, a shard is missing or truncated, the preparation is not complete, or
                there are no samples.
        """
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(self.folder)
        if not (self.manifest.complete or allow_incomplete):
            raise InvalidInput(
                f"{folder} is not complete ({self.manifest.samples} samples so far); run the same "
                "`ex4d data prepare` again to resume it"
            )
        self._shards = [shard for shard in self.manifest.shards if shard.samples]
        for shard in self._shards:
            check_shard(self.folder, shard)
        self._ends = list(accumulate(shard.samples for shard in self._shards))
        if not self._ends:
            raise InvalidInput(f"{folder} has no samples; prepare more videos")
        self._open: OrderedDict[int, OpenShard] = OrderedDict()
        self._shapes: dict[str, tuple[int, ...]] = {}
        """Shapes of the first sample that was read; all samples of a batch must match."""

    @property
    def fingerprint(self) -> str:
        """Hash of the encoders; see `ex4d_training.data.fingerprint_of`."""
        return self.manifest.fingerprint

    @property
    def has_checksums(self) -> bool:
        """Whether the first shard has checksums; those of earlier versions have none.

        Raises:
            InvalidInput: the shard is damaged.
        """
        return self._opened(0).has_checksums

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return a sample.

        Raises:
            InvalidInput: its shard is damaged, or its tensors do not match the other samples.
        """
        number, position = self._place(index)
        sample = self._opened(number).tensors(position)
        if fault := self._fault(sample):
            path = self.folder / self._shards[number].file
            raise DamagedShard(f"{path} has an invalid sample {position}: {fault}; prepare it again")
        sample["text"] = functional.pad(sample["text"], (0, 0, 0, LENGTH - len(sample["text"])))
        return sample

    def facts(self, index: int) -> Mapping[str, Any]:
        """Return the origin of a sample: `video`, `start`, `caption`, `masks`, `seed`.

        Raises:
            InvalidInput: its shard is damaged.
        """
        number, position = self._place(index)
        return self._opened(number).facts(position)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}  # open files cannot be sent to another process

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
                    f"{self.folder / shard.file} has {len(opened)} samples instead of {shard.samples}; "
                    "delete it, and run the same `ex4d data prepare` again"
                )
            self._open[number] = opened
            if len(self._open) > _OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]

    def _fault(self, sample: Mapping[str, Tensor]) -> str:
        """Return the reason why a sample is invalid, or ''."""
        if missing := [key for key in ("latents", "color", "mask", "text") if key not in sample]:
            return f"it has no {missing[0]}"
        if sample["text"].ndim != 2 or len(sample["text"]) > LENGTH:
            return f"its text has the shape {list(sample['text'].shape)}"
        other = [f"{key} in {tensor.dtype}" for key, tensor in sample.items() if tensor.dtype != self._dtype]
        if other:
            return f"it has {other[0]} instead of {self.manifest.dtype}"
        shapes = {key: tuple(tensor.shape[key == "text" :]) for key, tensor in sample.items()}
        self._shapes = self._shapes or shapes
        if shapes != self._shapes:
            return f"its tensors have the shapes {shapes} and those of another sample {self._shapes}"
        return ""

    @property
    def _dtype(self) -> torch.dtype:
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[self.manifest.dtype]


class EpochSampler(Sampler[int]):
    """Endless epochs, each with all samples in a new random order.

    Each of `world` processes gets every `world`-th sample. Call `advance` after a step, since a loader reads ahead. A
    sampler that loads the state continues from there, even with another number of processes.

    Example:
        sampler = EpochSampler(len(dataset), seed=1, rank=rank, world=world)
        for batch in DataLoader(dataset, batch_size=4, sampler=sampler, num_workers=2):
            ...
            sampler.advance(4)
    """

    def __init__(self, length: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        """Start at the first sample.

        Args:
            length: number of samples.
            seed: seed of the orders.
            rank: number of this process, from 0.
            world: number of processes.
        """
        if length < 1:
            raise InvalidInput("the data set is empty")
        assert 0 <= rank < world, (rank, world)
        self._length, self._seed, self._rank, self._world = length, seed, rank, world
        self._seen = 0

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return self._seen // self._length

    @property
    def seen(self) -> int:
        """Number of samples that all processes have trained on."""
        return self._seen

    def advance(self, count: int) -> None:
        """Count samples that this process, and each of the others, has trained on."""
        self._seen += count * self._world

    def __iter__(self) -> Iterator[int]:
        """Yield the samples of this process after those that were counted, without end."""
        place, epoch, order = self._seen + self._rank, -1, torch.empty(0, dtype=torch.int64)
        while True:
            if place // self._length != epoch:
                epoch = place // self._length
                order = self._order(epoch)
            yield int(order[place % self._length])
            place += self._world

    def state_dict(self) -> dict[str, int]:
        """Return the state for `load_state_dict`; equal in all processes."""
        return {"length": self._length, "seed": self._seed, "seen": self._seen}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue from a state; existing iterators are not affected.

        Raises:
            InvalidInput: the state belongs to a data set of another length.
        """
        if state["length"] != self._length:
            raise InvalidInput(
                f"the state belongs to a data set of {state['length']} samples, and this one has {self._length}; "
                "use the same data, or start a new run"
            )
        self._seed, self._seen = state["seed"], state["seen"]

    def _order(self, epoch: int) -> Tensor:
        # Mixed, so that seed 1 in epoch 1 differs from seed 2 in epoch 0.
        mixed = int(np.random.SeedSequence((self._seed, epoch)).generate_state(1, np.uint64)[0])
        generator = torch.Generator().manual_seed(mixed % 2**63)
        return torch.randperm(self._length, generator=generator)
