"""Facts about shards, the data set that reads them, and the order in which it is read."""

from __future__ import annotations

import errno
import itertools
import json
import os
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from ex4d_core.errors import InputNotFound, InvalidInput, OutputFailed
from ex4d_training.data import EpochSampler, LatentDataset, Manifest, Sample, write_manifest, write_shard
from ex4d_training.data.shards import MANIFEST, DamagedShard, Shard, read_manifest, read_shard

C = 6


def sample(number, *, tokens=3, **shared) -> Sample:
    generator = torch.Generator().manual_seed(number)
    shapes = {"latents": (16, 2, 4, 4), "color": (16, 2, 4, 4), "mask": (16, 2, 4, 4), "y": (20, 2, 4, 4)}
    shapes |= {"text": (tokens, C), "image": (17, C)}
    tensors = {key: torch.randn(shape, generator=generator).bfloat16() for key, shape in shapes.items()}
    return Sample(tensors={**tensors, **shared}, facts={"video": f"{number}.mp4", "seed": number})


def folder_of(folder, *shards, **changes):
    """A folder of shards with these samples."""
    written = [write_shard(folder / f"shard-{n:05d}.safetensors", samples) for n, samples in enumerate(shards)]
    manifest = Manifest(fingerprint="net", frames=5, size=(32, 32), dtype="bfloat16", shards=tuple(written), **changes)
    write_manifest(folder, manifest)
    return folder


def test_samples_come_back_as_they_were(tmp_path):
    samples = [sample(number) for number in range(5)]
    dataset = LatentDataset(folder_of(tmp_path, samples[:2], samples[2:]))
    assert (len(dataset), dataset.fingerprint) == (5, "net")
    for index, wanted in enumerate(samples):
        for key, tensor in dataset[index].items():
            assert torch.equal(tensor[: len(wanted.tensors[key])], wanted.tensors[key])
        assert dataset.facts(index) == wanted.facts
    assert torch.equal(dataset[-1]["latents"], samples[-1].tensors["latents"])


def test_text_is_padded_to_512_tokens_by_zeros(tmp_path):
    dataset = LatentDataset(folder_of(tmp_path, [sample(0, tokens=2), sample(1, tokens=512)]))
    assert dataset[0]["text"].shape == dataset[1]["text"].shape == (512, C)
    assert not dataset[0]["text"][2:].any()


def test_models_without_an_image_encoder_have_neither_picture_nor_y(tmp_path):
    bare = sample(0)
    bare = Sample(tensors={key: value for key, value in bare.tensors.items() if key not in ("y", "image")})
    assert set(LatentDataset(folder_of(tmp_path, [bare]))[0]) == {"latents", "color", "mask", "text"}


def test_what_samples_share_is_kept_once(tmp_path):
    latents = sample(9).tensors["latents"]
    shared = write_shard(tmp_path / "a", [sample(n, latents=latents) for n in range(4)])
    alone = write_shard(tmp_path / "b", [sample(n, latents=latents.clone()) for n in range(4)])
    assert alone.bytes - shared.bytes > 3 * latents.numel() * 2
    first, *others = read_shard(tmp_path / "a")
    assert all(other.tensors["latents"] is first.tensors["latents"] for other in others)


def test_views_of_one_memory_are_written_apart(tmp_path):
    both = torch.randn(2, 16, 2, 4, 4)
    write_shard(tmp_path / "a", [sample(0, color=both[0], mask=both[1], latents=both[0, :, :, ::2])])
    (read,) = read_shard(tmp_path / "a")
    assert torch.equal(read.tensors["mask"], both[1])
    assert torch.equal(read.tensors["latents"], both[0, :, :, ::2])


def test_loaders_read_it_in_other_processes(tmp_path):
    dataset = LatentDataset(folder_of(tmp_path, [sample(n) for n in range(4)]))
    _ = dataset[0]  # a file is open now
    again = ForkingPickler.loads(ForkingPickler.dumps(dataset))  # as loaders send it
    assert torch.equal(again[3]["color"], dataset[3]["color"])
    batch = next(iter(DataLoader(dataset, batch_size=3)))
    assert batch["text"].shape == (3, 512, C)


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(InputNotFound, match=r"has no manifest.json; give an output folder of `ex4d data prepare`"):
        LatentDataset(tmp_path)


def test_a_folder_of_another_version_is_refused(tmp_path):
    folder_of(tmp_path, [sample(0)])
    tree = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(tree | {"format": 99}))
    with pytest.raises(InvalidInput, match="has format 99, but this version reads 1; prepare the data again"):
        LatentDataset(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 1, "samples": 0, "shards": [], "size": [1]}'])
def test_a_damaged_manifest_is_refused(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(InvalidInput, match="is damaged"):
        LatentDataset(tmp_path)


SHARD = {"file": "shard-00000.safetensors", "samples": 1, "bytes": 9000}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"shards": "all"}, "shards.0. must be an object, not 'a'"),
        ({"shards": 3}, "is damaged"),
        ({"shards": [{**SHARD, "more": 1}]}, "shards.0. has an unknown entry 'more'"),
        ({"shards": [{"file": "a"}]}, "shards.0. has no entry samples"),
        ({"shards": [{**SHARD, "file": "../../etc/passwd"}]}, "file must be the name of a file in the folder"),
        ({"shards": [{**SHARD, "file": "/dev/zero"}]}, "file must be the name of a file in the folder"),
        ({"shards": [{**SHARD, "samples": "six"}]}, "samples must be a whole number, not 'six'"),
        ({"shards": [{**SHARD, "samples": 10**12}]}, "cannot have 1000000000000 samples in 9000 bytes"),
        ({"size": ["a", "b"]}, "size must be a whole number, not 'a'"),
        ({"size": 3}, "is damaged"),
        ({"frames": 10**30}, "frames must be between 1 and 1048576"),
        ({"frames": True}, "frames must be a whole number, not True"),
        ({"fingerprint": [1]}, "fingerprint must be a text"),
        ({"complete": "no"}, "complete must be true or false"),
        ({"dtype": "\x1b[31m"}, "dtype must be one of bfloat16, float32"),
        ({"made_with": [1]}, "made_with must be an object"),
        ({"format": 10**40}, "has format 1000000000000000000"),
    ],
)
def test_values_of_a_manifest_are_of_their_types_and_within_bounds(tmp_path, changes, sentence):
    folder_of(tmp_path, [sample(0)])
    tree = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(tree | changes))
    with pytest.raises(InvalidInput, match=sentence) as raised:
        LatentDataset(tmp_path)
    assert str(tmp_path / MANIFEST) in str(raised.value)


def test_a_manifest_or_shard_that_is_a_pipe_is_refused(tmp_path):
    folder_of(tmp_path, [sample(0)])
    for name in ("shard-00000.safetensors", MANIFEST):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
        with pytest.raises(InvalidInput, match=f"{name} is a named pipe"):
            LatentDataset(tmp_path)


def test_a_changed_byte_is_found_when_it_is_read(tmp_path):
    folder_of(tmp_path, [sample(0), sample(1)])
    path = tmp_path / "shard-00000.safetensors"
    assert LatentDataset(tmp_path).has_checksums
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # of the last tensor of the second sample
    path.write_bytes(data)
    dataset = LatentDataset(tmp_path)
    assert dataset[0]["latents"].shape == (16, 2, 4, 4)
    with pytest.raises(DamagedShard, match=r"shard-00000.safetensors is damaged \(the checksum of the tensor '1\.\w+'"):
        _ = dataset[1]


def old_shard(path, samples):
    """A shard as versions wrote it that knew no checksums."""
    tensors = {f"{n}.{key}": tensor for n, one in enumerate(samples) for key, tensor in one.tensors.items()}
    listed = [
        {"facts": one.facts, "tensors": {key: f"{n}.{key}" for key in one.tensors}} for n, one in enumerate(samples)
    ]
    save_file(tensors, path, metadata={"ex4d": json.dumps({"format": 1, "samples": listed})})
    return Shard(file=path.name, samples=len(samples), bytes=path.stat().st_size)


def test_a_shard_of_an_earlier_version_is_read(tmp_path):
    shard = old_shard(tmp_path / "shard-00000.safetensors", [sample(0), sample(1)])
    write_manifest(tmp_path, Manifest(fingerprint="net", frames=5, size=(32, 32), dtype="bfloat16", shards=(shard,)))
    dataset = LatentDataset(tmp_path)
    assert not dataset.has_checksums
    assert torch.equal(dataset[1]["color"], sample(1).tensors["color"])
    assert dataset.facts(1) == sample(1).facts


ODD = (
    ({"text": torch.zeros(3, C)}, "it has text in torch.float32 instead of bfloat16"),
    ({"text": torch.zeros(513, C).bfloat16()}, r"its text has the shape \[513, 6\]"),
    ({"latents": torch.zeros(16, 3, 4, 4).bfloat16()}, "its tensors have the shapes .* and those of another sample"),
    ({"text": None}, "it has no text"),
)


@pytest.mark.parametrize(("changes", "sentence"), ODD, ids=range(len(ODD)))
def test_samples_that_do_not_fit_the_others_are_refused(tmp_path, changes, sentence):
    tensors = {key: tensor for key, tensor in (sample(1).tensors | changes).items() if tensor is not None}
    dataset = LatentDataset(folder_of(tmp_path, [sample(0)], [Sample(tensors=tensors)]))
    _ = dataset[0]
    with pytest.raises(DamagedShard, match=f"shard-00001.safetensors has an invalid sample 0: {sentence}"):
        _ = dataset[1]


def test_a_shard_with_another_number_of_samples_is_refused(tmp_path):
    folder_of(tmp_path, [sample(0), sample(1)])
    tree = json.loads((tmp_path / MANIFEST).read_text())
    tree["shards"][0]["samples"] = 3
    (tmp_path / MANIFEST).write_text(json.dumps(tree))
    with pytest.raises(DamagedShard, match="has 2 samples instead of 3; delete it"):
        _ = LatentDataset(tmp_path)[2]


def test_a_shard_that_cannot_be_read_at_the_moment_is_not_called_damaged(tmp_path, monkeypatch):
    folder_of(tmp_path, [sample(0)])

    def fails(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("ex4d_training.data.shards.safe_open", fails)
    with pytest.raises(InvalidInput, match=r"shard .* cannot be read: Input/output error") as raised:
        _ = LatentDataset(tmp_path)[0]
    assert not isinstance(raised.value, DamagedShard)


def test_a_truncated_shard_is_named_with_what_mends_it(tmp_path):
    folder_of(tmp_path, [sample(0)], [sample(1)])
    path = tmp_path / "shard-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        InvalidInput, match=r"shard-00001.safetensors has \d+ bytes instead of \d+; .*`ex4d data prepare`"
    ):
        LatentDataset(tmp_path)
    path.unlink()
    with pytest.raises(InvalidInput, match=r"shard-00001.safetensors is missing"):
        LatentDataset(tmp_path)


def test_a_damaged_shard_is_named_when_it_is_read(tmp_path):
    folder_of(tmp_path, [sample(0)])
    path = tmp_path / "shard-00000.safetensors"
    path.write_bytes(b"\xff" * path.stat().st_size)
    dataset = LatentDataset(tmp_path)
    for read in (dataset.__getitem__, dataset.facts):
        with pytest.raises(InvalidInput, match=r"shard-00000.safetensors is damaged"):
            read(0)


def test_what_is_no_shard_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InvalidInput, match="is not a shard of latents"):
        read_shard(tmp_path / "other.safetensors")


def test_an_unfinished_preparation_is_refused_unless_it_is_asked_for(tmp_path):
    folder_of(tmp_path, [sample(0)], complete=False)
    with pytest.raises(InvalidInput, match=r"is not complete \(1 samples so far\)"):
        LatentDataset(tmp_path)
    assert len(LatentDataset(tmp_path, allow_incomplete=True)) == 1


def test_a_folder_without_samples_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="has no samples"):
        LatentDataset(folder_of(tmp_path))


def test_a_shard_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="cannot be written"):
        write_shard(tmp_path / "file" / "shard", [sample(0)])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_manifest_says_everything_again(tmp_path):
    made_with = {"seed": 3, "masks": {"kind": "mixed"}}
    folder_of(tmp_path, [sample(0), sample(1)], made_with=made_with)
    manifest = read_manifest(tmp_path)
    assert (manifest.samples, manifest.size, manifest.made_with) == (2, (32, 32), made_with)
    assert json.loads((tmp_path / MANIFEST).read_text())["samples"] == 2


def first(sampler, count):
    return list(itertools.islice(sampler, count))


def test_each_epoch_has_all_samples_in_an_order_of_its_own():
    order = first(EpochSampler(10, seed=1), 30)
    epochs = [order[:10], order[10:20], order[20:]]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_is_the_seeds():
    assert first(EpochSampler(50, seed=1), 99) == first(EpochSampler(50, seed=1), 99)
    assert first(EpochSampler(50, seed=1), 50) != first(EpochSampler(50, seed=2), 50)
    assert first(EpochSampler(50, seed=1), 100)[50:] != first(EpochSampler(50, seed=2), 50)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_the_samples_out(world):
    parts = [first(EpochSampler(7, seed=4, rank=rank, world=world), 14) for rank in range(world)]
    together = [index for places in zip(*parts, strict=True) for index in places]
    assert together == first(EpochSampler(7, seed=4), 14 * world)


@pytest.mark.parametrize("stopped_after", [0, 3, 10, 17])
def test_an_interruption_leaves_the_order_as_it_is(stopped_after):
    whole = first(EpochSampler(10, seed=2), 40)
    sampler = EpochSampler(10, seed=2)
    read = first(sampler, stopped_after + 4)  # a loader reads ahead
    sampler.advance(stopped_after)
    again = EpochSampler(10, seed=0)
    again.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert read[:stopped_after] + first(again, 40 - stopped_after) == whole
    assert (again.seen, again.epoch) == (stopped_after, stopped_after // 10)


def test_another_number_of_processes_goes_on_where_it_stopped():
    two = EpochSampler(10, seed=5, rank=1, world=2)
    two.advance(3)
    four = [EpochSampler(10, seed=5, rank=rank, world=4) for rank in range(4)]
    for sampler in four:
        sampler.load_state_dict(two.state_dict())
    together = [index for places in zip(*(first(s, 3) for s in four), strict=True) for index in places]
    assert together == first(EpochSampler(10, seed=5), 18)[6:]


def test_a_state_of_other_data_is_refused():
    with pytest.raises(InvalidInput, match="a data set of 9 samples, and this one has 10"):
        EpochSampler(10).load_state_dict(EpochSampler(9).state_dict())


def test_there_must_be_something_to_sample_from():
    with pytest.raises(InvalidInput, match="the data set is empty"):
        EpochSampler(0)
