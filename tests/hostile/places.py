"""Odd things under the name of a file that somebody gives: pipes, devices, loops, no permission, and more."""

from __future__ import annotations

import os
import stat
from pathlib import Path

PLACES = (
    "absent",
    "fifo",
    "socket",
    "zero",
    "full",
    "random",
    "folder",
    "loop",
    "dangling",
    "unreadable",
    "empty",
    "text",
    "noise",
    "locked/inner",
    "empty.x/inner",
)
"""Names without suffix of what `make_places` makes, and of what it does not make."""

LONG = "n" * 300
"""More than a name of a file may have."""


def make_places(folder: Path, suffix: str) -> None:
    """Make all of `PLACES` with a suffix in a folder."""
    folder.mkdir(parents=True)
    os.mkfifo(folder / f"fifo{suffix}")
    os.mknod(folder / f"socket{suffix}", stat.S_IFSOCK | 0o600)
    for device in ("zero", "full", "random"):
        (folder / f"{device}{suffix}").symlink_to(f"/dev/{device}")
    (folder / f"folder{suffix}").mkdir()
    (folder / f"loop{suffix}").symlink_to(f"loop{suffix}")
    (folder / f"dangling{suffix}").symlink_to("nowhere")
    (folder / f"empty{suffix}").write_bytes(b"")
    (folder / f"text{suffix}").write_text("This is a text, and nothing else.\n" * 3)
    (folder / f"noise{suffix}").write_bytes(bytes((17 * n * n + 31 * n) % 256 for n in range(5000)))
    (folder / f"unreadable{suffix}").write_bytes(b"secret")
    (folder / f"unreadable{suffix}").chmod(0)
    (folder / "empty.x").write_bytes(b"")
    locked = folder / "locked"
    locked.mkdir()
    (locked / f"inner{suffix}").write_bytes(b"secret")
    locked.chmod(0)


def make_sparse(path: Path, size: int) -> None:
    """Make a file of so many bytes that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)
