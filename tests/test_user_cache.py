"""Large files are hashed once."""

import os

import pytest

from ex4d_core import user_cache
from ex4d_core.files import file_hash
from ex4d_core.hub import weights_hash
from ex4d_core.user_cache import hash_once


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("EX4D_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    os.utime(file, (1000, 1000))
    return file


@pytest.fixture
def counted():
    def count(path):
        count.calls += 1
        return file_hash(path)

    count.calls = 0
    return count


def test_a_file_is_hashed_again_only_if_it_changed(file, counted):
    first = hash_once(file, counted)
    assert (hash_once(file, counted), counted.calls) == (first, 1)
    user_cache._in_process.clear()  # as in another process
    assert (hash_once(file, counted), counted.calls) == (first, 1)
    file.write_bytes(b"WEIGHTS")
    os.utime(file, (2000, 2000))
    assert hash_once(file, counted) != first
    assert counted.calls == 2


def test_a_file_that_was_written_just_now_is_not_remembered(file, counted):
    """Its next change may have the same time stamp."""
    os.utime(file)
    hash_once(file, counted)
    user_cache._in_process.clear()
    hash_once(file, counted)
    assert counted.calls == 2


def test_a_damaged_or_unwritable_cache_only_costs_time(file, counted, tmp_path, monkeypatch):
    first = hash_once(file, counted)
    (entry,) = (tmp_path / "cache" / "digests").iterdir()
    entry.write_bytes(b"\xff")
    user_cache._in_process.clear()
    assert hash_once(file, counted) == first
    monkeypatch.setenv("EX4D_CACHE", str(file))
    assert hash_once(file, counted) == first
    monkeypatch.setenv("EX4D_CACHE", "")
    user_cache._in_process.clear()
    assert hash_once(file, counted) == first


def test_the_hash_of_weights_does_not_depend_on_the_cache(file, monkeypatch):
    with_cache = [weights_hash(file.parent) for _ in range(2)]
    monkeypatch.setenv("EX4D_CACHE", "")
    assert with_cache == [weights_hash(file.parent)] * 2
