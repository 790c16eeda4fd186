"""Whatever is in the files of a data set: it is read, or one sentence names the file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.errors import InvalidInput
from ex4d_core.jobs.shards import Shard
from ex4d_training.data import LatentDataset, Manifest, Sample, read_manifest, write_manifest, write_shard
from ex4d_training.data.rejected_log import RejectedLog, RejectedVideo
from ex4d_training.data.scan import Refusal
from ex4d_training.data.shards import MANIFEST, OpenShard, read_shard
from ex4d_training.data.sources import find_videos

few = settings(derandomize=True, max_examples=60, deadline=None, database=None)

TEXTS = st.text(max_size=12)
NUMBERS = st.integers(-(10**30), 10**30) | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
"""Values that JSON can have, and those that Python's own writer makes beside them: NaN and the infinities."""

ENTRIES = ("format", "samples", "shards", "size", "frames", "dtype", "complete", "made_with", "fingerprint")
"""Of a manifest."""


def make_samples() -> list[Sample]:
    """Two samples that share a tensor."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"latents": (2, 1, 2, 2), "color": (2, 1, 2, 2), "mask": (2, 1, 2, 2), "text": (2, 3)}
    both = [{key: torch.randn(shape, generator=generator) for key, shape in shapes.items()} for _ in range(2)]
    both[1]["latents"] = both[0]["latents"]
    return [Sample(tensors=tensors, facts={"video": f"é{n}.mp4", "seed": n}) for n, tensors in enumerate(both)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A data set of one shard."""
    made = tmp_path_factory.mktemp("latents")
    shard = write_shard(made / "shard-00000.safetensors", make_samples())
    write_manifest(made, Manifest(fingerprint="net", frames=1, size=(16, 16), dtype="float32", shards=(shard,)))
    return made


def written(data: bytes, name: str) -> Path:
    """A file in a folder of its own."""
    path = Path(tempfile.mkdtemp(dir=PLACES[-1])) / name
    path.write_bytes(data)
    return path


PLACES: list[Path] = []


@pytest.fixture(autouse=True)
def place(tmp_path) -> None:
    """Put the files of a test into its own folder."""
    PLACES.append(tmp_path)


@contextmanager
def refusals_name(path: Path) -> Iterator[None]:
    """Let the block end in a refusal that names the file, and in no other error."""
    try:
        yield
    except InvalidInput as error:
        if str(path) not in str(error):
            raise AssertionError(f"{path} is not named") from error


def same(ours: list[Sample], theirs: list[Sample]) -> bool:
    return [sample.facts for sample in ours] == [sample.facts for sample in theirs] and all(
        one.tensors.keys() == other.tensors.keys()
        and all(torch.equal(one.tensors[key], other.tensors[key]) for key in one.tensors)
        for one, other in zip(ours, theirs, strict=True)
    )


@settings(few, max_examples=400)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_of_a_shard_that_is_changed_is_found(folder, place, bit):
    data = bytearray((folder / "shard-00000.safetensors").read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path = written(bytes(data), "shard-00000.safetensors")
    with refusals_name(path):
        assert same(read_shard(path), make_samples())


@few
@given(start=st.floats(0, 1), end=st.floats(0, 1), inside=st.binary(max_size=40))
def test_a_shard_that_is_damaged_otherwise_is_refused(folder, start, end, inside):
    data = (folder / "shard-00000.safetensors").read_bytes()
    path = written(data[: int(start * len(data))] + inside + data[int(end * len(data)) :], "shard-00000.safetensors")
    with refusals_name(path):
        assert same(read_shard(path), make_samples())


@few
@given(tree=JSON | st.fixed_dictionaries({"format": st.just(1)}, optional={"samples": JSON, "blake2b": JSON}))
def test_any_list_of_samples_is_read_or_refused(tree):
    from safetensors.torch import save

    path = written(save({"a": torch.zeros(1)}, metadata={"ex4d": json.dumps(tree)}), "shard.safetensors")
    with refusals_name(path):
        shard = OpenShard(path)
        for position in range(len(shard)):
            assert isinstance(shard.facts(position), dict)
            shard.tensors(position)


@settings(few, max_examples=300)
@given(changes=st.dictionaries(st.sampled_from(ENTRIES) | TEXTS, JSON, min_size=1, max_size=2), shard=JSON)
@pytest.mark.slow
def test_any_manifest_is_read_or_refused(folder, changes, shard):
    tree = json.loads((folder / MANIFEST).read_text())
    check_manifest({**tree, **changes})
    check_manifest({**tree, "shards": [shard]})
    for key in ("file", "samples", "bytes"):
        check_manifest({**tree, "shards": [{**tree["shards"][0], key: shard}]})


def check_manifest(tree: Any) -> None:
    path = written(json.dumps(tree).encode(), MANIFEST)
    (path.parent / "shard-00000.safetensors").write_bytes(b"x")
    with refusals_name(path.parent):
        manifest = read_manifest(path.parent)
        assert manifest.samples >= 0
        assert all((path.parent / shard.file).parent == path.parent for shard in manifest.shards)
        LatentDataset(path.parent)


@few
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_refused(data):
    path = written(data, MANIFEST)
    with pytest.raises(InvalidInput) as raised:
        read_manifest(path.parent)
    assert str(path) in str(raised.value)


@few
@given(lines=st.lists(st.binary(max_size=60) | JSON.map(lambda tree: json.dumps(tree).encode()), max_size=4))
def test_whatever_is_in_a_list_of_refused_videos_its_entries_are_found(lines):
    path = written(b"\n".join(lines), "refused.jsonl")
    entry = RejectedVideo(video="a\x1b.mp4", early=True, refusal=Refusal(filter="cuts", reason="é"))
    RejectedLog(path.parent, Shard()).add(entry)
    found = RejectedLog(path.parent, Shard()).entries
    assert entry in found
    assert all(isinstance(each.video, str) and isinstance(each.early, bool) for each in found)


@few
@given(
    changes=st.dictionaries(st.sampled_from(["video", "early", "refusal", "more"]), JSON, min_size=1),
    refusal=st.dictionaries(st.sampled_from(["filter", "reason", "more"]), JSON, min_size=1),
)
def test_any_entry_of_a_list_of_refused_videos_is_read_or_left_out(changes, refusal):
    good = {"video": "a", "early": True, "refusal": {"filter": "cuts", "reason": "b"}}
    for tree in ({**good, **changes}, {**good, "refusal": {**good["refusal"], **refusal}}):
        path = written(json.dumps(tree).encode(), "refused.jsonl")
        for entry in RejectedLog(path.parent, Shard()).entries:
            assert all(isinstance(text, str) for text in (entry.video, entry.refusal.filter, entry.refusal.reason))


@few
@given(data=st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_table_of_videos_is_read_or_refused(data):
    for head in (b"", b"video,caption\na.mp4,"):
        table = written(head + data, "list.csv")
        (table.parent / "a.mp4").touch()
        with refusals_name(table):
            for video in find_videos(table).videos:
                assert isinstance(video.caption, str)
                assert video.path.is_file()


@few
@given(data=st.binary(max_size=40))
def test_any_caption_is_read_or_refused(data):
    path = written(data, "a.txt")
    path.with_suffix(".mp4").touch()
    with refusals_name(path):
        (video,) = find_videos(path.parent).videos
        assert video.caption == data.decode("utf-8-sig").strip()
