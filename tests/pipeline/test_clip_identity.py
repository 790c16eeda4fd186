"""A run folder belongs to a clip by its path or its content."""

import pytest

from ex4d_core.pipeline.clip_identity import ClipIdentity, claim, owner_of
from ex4d_core.pipeline.records import Record


def by(path, blake2b="1"):
    return {"clip": "clip.mp4", "source": {"path": path, "blake2b": blake2b}}


@pytest.mark.parametrize(
    ("facts", "path", "content", "owner"),
    [
        ({}, "/b/c.mp4", "2", None),
        (by("/a/c.mp4"), "/a/c.mp4", "2", None),  # edited where it is
        (by("/a/c.mp4"), "/b/c.mp4", "1", None),  # moved
        (by("/a/c.mp4"), "/b/c.mp4", "2", "clip.mp4"),
        (by("", "1"), "", "2", "clip.mp4"),  # other frames in memory
        (by("", "1"), "", "1", None),
    ],
)
def test_a_folder_belongs_to_a_clip_by_its_place_or_its_content(facts, path, content, owner):
    assert owner_of(facts, path, lambda: content) == owner


@pytest.mark.parametrize("recorded", [None, 3, [], {}, {"path": 3, "blake2b": None}, {"path": "", "blake2b": "2"}])
def test_damaged_identities_match_no_clip(recorded):
    assert not ClipIdentity("/a/c.mp4", "1").is_same(recorded)
    assert not ClipIdentity("", "1").is_same(recorded)


def test_a_folder_that_changes_hands_is_reported(tmp_path):
    warnings = []
    record = Record(tmp_path / "run.json", warnings.append)
    claim(record, ClipIdentity("/a/c.mp4", "1"), name="a/c.mp4")
    claim(record, ClipIdentity("/a/c.mp4", "2"), name="a/c.mp4")
    assert warnings == []
    claim(record, ClipIdentity("/b/c.mp4", "3"), name="b/c.mp4")
    assert record.read()["source"] == {"path": "/b/c.mp4", "blake2b": "3"}
    assert len(warnings) == 1
    assert "belonged to another clip, a/c.mp4" in warnings[0]
