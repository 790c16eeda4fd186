"""The limits of the machine, the container and the process count."""

from types import SimpleNamespace

import pytest

from ex4d_core import memory


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    monkeypatch.setattr(memory, "_left_in_address_space", lambda: iter(()))
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_CGROUP", tmp_path / "cgroup")


def limit(folder, names, values):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, values, strict=True):
        (folder / name).write_text(value)


V2 = ("memory.max", "memory.current", "memory.stat")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")


def test_without_limits_the_free_memory_counts():
    assert memory.available_memory() == 1000


@pytest.mark.parametrize(("at", "left"), [("a/b", 350), ("a", 350), ("", 350), ("other", 1000)])
def test_limits_of_own_and_outer_groups_count_without_the_page_cache(tmp_path, at, left):
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    limit(tmp_path / at, V2, ("500\n", "200\n", "anon 3\ninactive_file 50\n"))
    assert memory.available_memory() == left


def test_limits_of_version_1_count(tmp_path):
    (tmp_path / "cgroup").write_text("5:cpu:/x\n4:memory:/x\n")
    limit(tmp_path / "memory" / "x", V1, ("500", "200", "total_inactive_file 50"))
    assert memory.available_memory() == 350


def test_a_group_without_limit_does_not_count(tmp_path):
    (tmp_path / "cgroup").write_text("0::/\n")
    limit(tmp_path, V2, ("max\n", "200\n", ""))
    assert memory.available_memory() == 1000


def test_the_limit_of_the_address_space_counts(monkeypatch):
    monkeypatch.setattr(memory, "_left_in_address_space", lambda: iter((-5,)))
    assert memory.available_memory() == 0
