"""What may be wrong in a run folder; each edit is made to a copy of a good one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .training_inputs import TEXTS, Edit

SCRIPT = "<iframe srcdoc=\"<script>parent.document.title='x'</script>\">"


def _in(name: str, edit: Edit) -> Edit:
    return lambda run: edit(run / name)


def _facts(**changes: Any) -> Edit:
    def edit(run: Path) -> None:
        path = run / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def _each_artifact(edit: Callable[[Path], object]) -> Edit:
    def all_of(run: Path) -> None:
        for folder in sorted((run / "artifacts").iterdir()):
            edit(folder)

    return all_of


def _each_manifest(edit: Edit) -> Edit:
    return _each_artifact(lambda folder: edit(folder / "artifact.json"))


def _damage(folder: Path) -> None:
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)


def _config(text: str) -> Edit:
    return lambda run: (run / "config.toml").write_text(text)


def _cam_pipe(run: Path) -> None:
    os.mkfifo(run / "pipe.json")
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(f'cam = ["{run}/pipe.json"]\n' + config)


FACTS: dict[str, Edit] = {
    **{f"json-{name}": _in("run.json", edit) for name, edit in TEXTS.items()},
    "takes-number": _facts(takes=3),
    "takes-list": _facts(takes=[1]),
    "takes-null": _facts(takes=None),
    "takes-script": _facts(takes={SCRIPT: {}, "\x1b[31m": {}}),
    "takes-inner": _facts(takes={"30": 3}),
    "takes-inputs": _facts(takes={"30": {"inputs": [1], "stages": "a"}}),
    "files-number": _facts(files=3),
    "files-list": _facts(files=["a"]),
    "files-inner": _facts(files={"depth.npz": 3, "result_30.mp4": [1]}),
    "depth-list": _facts(depth=[1]),
    "versions": _facts(versions=3, clip=[1], device=None, seed="a"),
}
"""Edits of `run.json`."""

CONFIGS: dict[str, Edit] = {
    **{f"config-{name}": _in("config.toml", edit) for name, edit in TEXTS.items() if name != "empty"},
    "config-no-clip": _config('clips = ["nowhere.mp4"]'),
    "config-clip-fifo": _config('clips = ["/dev/zero"]'),
    "config-clip-nul": _config('clips = ["a\\u0000b"]'),
    "config-cam-pipe": _cam_pipe,
}
"""Edits of `config.toml`."""

ARTIFACTS: dict[str, Edit] = {
    "damaged": _each_artifact(_damage),
    **{f"manifest-{name}": _each_manifest(edit) for name, edit in TEXTS.items()},
    "manifest-outside": _each_manifest(
        lambda path: path.write_text('{"key": "x", "files": {"../../../../etc/passwd": {"bytes": 1, "blake2b": ""}}}')
    ),
    "files-fifo": _each_artifact(lambda folder: (os.mkfifo(folder / "pipe"), None)[1]),
    "is-a-file": lambda run: _replace_with_file(run),
}
"""Edits of artifacts."""

KEPT: dict[str, Edit] = {
    "unreadable": _each_artifact(lambda folder: [path.chmod(0) for path in folder.iterdir()]),
    "locked": _each_artifact(lambda folder: folder.chmod(0)),
    "parent-locked": lambda run: (run / "artifacts").chmod(0),
}
"""Edits after which artifacts cannot be read for the moment: nothing may be deleted."""


def _replace_with_file(run: Path) -> None:
    import shutil

    shutil.rmtree(run / "artifacts")
    (run / "artifacts").write_text("a file")
