"""A folder of hostile inputs of every kind, the same each time: `make_inputs`."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

from .camera_inputs import make_cameras
from .clip_inputs import make_clips
from .depth_inputs import make_depths
from .text_inputs import make_texts
from .training_inputs import make_training
from .weights_inputs import make_weights


def make_inputs(folder: Path, wan: Path) -> Path:
    """Make all of them in a new folder and return it; `wan` is a tiny Wan that works."""
    folder.mkdir(parents=True)
    make_clips(folder / "clips")
    make_depths(folder / "depth")
    make_cameras(folder / "cam")
    make_texts(folder / "texts", folder / "clips" / "good.mp4")
    make_weights(folder / "weights", wan)
    make_training(folder / "latents", wan)
    (folder / "places").mkdir()
    (folder / "places" / "file").write_text("mine")
    (folder / "victim.txt").write_text("mine")
    return folder


State = dict[str, tuple[Any, ...]]


def state_of(*folders: Path) -> State:
    """Return what would change if anything in the folders did: names, kinds, modes, sizes and times."""
    found: State = {}
    for folder in folders:
        places = [os.fsencode(folder)]
        while places:
            place = places.pop()
            for entry in os.scandir(place):
                status = entry.stat(follow_symlinks=False)
                facts = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)
                # A folder's size and time change with what is in it, which is looked at itself.
                found[os.fsdecode(entry.path)] = facts if not stat.S_ISDIR(status.st_mode) else (status.st_mode,)
                if entry.is_dir(follow_symlinks=False) and os.access(entry.path, os.R_OK | os.X_OK):
                    places.append(entry.path)
    return found


def unlock(folder: Path) -> None:
    """Make what is in a folder deletable by its owner."""
    for path, (mode, *_) in list(state_of(folder).items()):
        if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
            os.chmod(path, 0o700)
            unlock(Path(path))


def remove(folder: Path) -> None:
    """Remove a folder, locked ones in it too."""
    unlock(folder)
    shutil.rmtree(folder, ignore_errors=True)
