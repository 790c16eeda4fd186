"""Memory that this process can still allocate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def available_memory() -> int:
    """Return the number of bytes: free memory of the machine, within the limits of the container and the process."""
    return max(0, min([int(psutil.virtual_memory().available), *_left_in_cgroups(), *_left_in_address_space()]))


def _left_in_cgroups() -> Iterator[int]:
    """Yield what is left of the memory limits of the control groups of this process (Linux, versions 1 and 2)."""
    for folder, limit, usage, cache in _groups():
        try:
            most = int((folder / limit).read_text())
            used = int((folder / usage).read_text())
            facts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield most - used + int(facts.get(cache, 0))  # the page cache is released when memory is short
        except (OSError, ValueError):  # "max" means unlimited
            continue


def _groups() -> Iterator[tuple[Path, str, str, str]]:
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        if number == "0":
            root, names = _CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in kinds.split(","):
            root = _CGROUPS / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):  # a limit of a parent counts too
            yield (folder, *names)
            if folder == root:
                break


def _left_in_address_space() -> Iterator[int]:
    """Yield what is left of the limit of the address space (`ulimit -v`), if there is one."""
    try:
        import resource
    except ImportError:  # Windows
        return
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        yield most - psutil.Process().memory_info().vms
