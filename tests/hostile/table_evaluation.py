"""Rows of `ex4d eval`: odd evaluation folders, data sets, answers and results of others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from ex4d_core.types import Video
from ex4d_core.video_io import write_video

from .places import PLACES
from .rows import Prepare, Row
from .table_files import GOOD, last
from .training_inputs import TEXTS, Edit

KEY = {"aa": {"method": "one", "case": "a__30"}, "bb": {"method": "two", "case": "a__30"}}
ANSWERS = "left,right,answer\naa,bb,left\n"


def _video(path: Path, *, frames: int = 2, size: int = 16, fps: int = 8) -> None:
    pixels = torch.arange(frames * size * size * 3).reshape(frames, size, size, 3) % 200
    write_video(Video(frames=pixels.to(torch.uint8), fps=Fraction(fps)), path)


def _folder(out: Path) -> None:
    """Write two methods, a truth, and what a user study and other libraries leave."""
    for name in ("results/one/a__30.mp4", "results/two/a__30.mp4", "cases/a__30/truth.mp4"):
        _video(out / name)
    (out / "manifest.json").write_text('{"cases": []}')
    (out / "user_study_key.json").write_text(json.dumps(KEY))
    (out / "answers.csv").write_text(ANSWERS)
    (out / "vbench.json").write_text(json.dumps({"motion_smoothness": [1, []]}))


def _after(edit: Edit, file: str = "") -> Prepare:
    """Return what writes an evaluation folder and edits it, or a file in it."""

    def prepare(inputs: Path, folder: Path) -> None:
        _folder(folder / "out")
        edit(folder / "out" / file)

    return prepare


def _truth(**changes: int) -> Edit:
    return lambda out: _video(out / "cases/a__30/truth.mp4", **changes)


def _cases(out: Path) -> None:
    (out / "manifest.json").write_text('{"cases": [{"name": "a__30"}], "methods": {"one": {}}}')


def _poses(out: Path) -> None:
    for name in ("cases/a__30/camera.npz", "cameras/one/a__30.npz"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez(out / name, world_to_camera=np.zeros((2, 4, 4)))


FOLDERS: dict[str, tuple[Edit, tuple[int, ...], str]] = {
    "one clip": (lambda out: None, (0,), ""),
    "truth of another length": (_truth(frames=3), (2,), "truth.mp4 has 3"),
    "truth of another size": (_truth(size=32), (2,), "truth.mp4 of 32x32"),
    "truth of another rate": (_truth(fps=16), (2,), "truth.mp4 has 16"),
    "name without camera": (lambda out: _video(out / "results/one/clip.mp4"), (2,), "clip.mp4 must be named"),
    "no results": (lambda out: shutil.rmtree(out / "results"), (2,), "has no videos"),
    "results is a file": (
        lambda out: (shutil.rmtree(out / "results"), (out / "results").write_text("")),
        (2,),
        "has no videos",
    ),
    "unreadable method": (lambda out: (out / "results/one").chmod(0), (2,), "results/one"),
    "unreadable video": (lambda out: (out / "results/one/a__30.mp4").chmod(0), (2,), "a__30.mp4"),
    "video is text": (lambda out: (out / "results/one/a__30.mp4").write_text("no video"), (2,), "a__30.mp4"),
    "video is cut": (lambda out: (out / "results/one/a__30.mp4").write_bytes(b"\0" * 99), (2,), "a__30.mp4"),
    "two of one case": (lambda out: _video(out / "results/one/a__30.mkv"), (2,), "videos of the same case"),
    "truth is unreadable": (lambda out: (out / "cases/a__30/truth.mp4").chmod(0), (2,), "truth.mp4"),
    "cameras of nobody": (lambda out: (out / "cameras/one").mkdir(parents=True), (0,), ""),
    "poses of zeros": (_poses, (2,), "a__30.npz"),
    "escape in a name": (lambda out: _video(out / "results/\x1b[31m/a__30.mp4"), (0,), ""),
}

SETS: dict[str, tuple[tuple[str, ...], str]] = {
    "empty": ((), "none of the known layouts"),
    "cut kubric5d": (("scn00001/lowdim/cam00.npz", "scn00001/lowdim/cam01.npz", "scn00001/rgb/x"), "cam00.npz"),
    "cut dycheck": (("spin/splits/val.json", "spin/splits/train.json"), "train.json"),
    "cut vista4d": (("metadata.csv", "recon_and_seg/x"), "has no clips"),
    "cut pair": (("cameras.npz", "source/rgb/x", "target/rgb/x"), "cameras.npz"),
    "cut multicamvideo": (("scene1/cameras/camera_extrinsics.json", "scene1/videos/x"), "camera_extrinsics.json"),
}
"""Files of data sets that are there, all empty, and a part of the error."""


def evaluation_rows() -> Iterator[Row]:
    """Yield every row of `ex4d eval`."""
    for name, (edit, codes, says) in FOLDERS.items():
        arguments = ("eval", "score", "out")
        yield _row(f"eval score/folder/{name}", arguments, codes=codes, says=says, prepare=_after(edit))
    for text in ("other", "", "\x1b[31m", "one/../two"):
        arguments = ("eval", "score", "out", "--method", text)
        yield _row(f"eval score/method/{text!r}", arguments, prepare=_after(lambda out: None))
    for name, edit in TEXTS.items():
        codes = (0, 2) if name in ("fifo", "zero", "loop", "folder") else (2,)  # as if there was none
        yield _row(
            f"eval score/manifest/{name}", ("eval", "score", "out"), codes=codes, prepare=_after(edit, "manifest.json")
        )
        vbench = ("eval", "score", "out", "--import", "vbench", "out/vbench.json")
        yield _row(f"eval score/vbench/{name}", vbench, prepare=_after(edit, "vbench.json"))
        for file in ("user_study_key.json", "answers.csv"):
            arguments = ("eval", "preferences", "out", "out/answers.csv")
            codes = (0, 2) if file == "answers.csv" else (2,)
            yield _row(f"eval preferences/{file}/{name}", arguments, codes=codes, prepare=_after(edit, file))
    yield _row("eval study/again", ("eval", "study", "out"), says="another study", prepare=_after(lambda out: None))
    for place in PLACES:
        path = f"{{IN}}/weights/places/{place}"
        for command, more in (("score", ()), ("study", ()), ("cameras", ()), ("preferences", (GOOD,))):
            name, arguments = f"eval {command}/places/{place}", ("eval", command, path, *more)
            yield _row(name, arguments, says=last(path) if command != "preferences" else "")
        yield _row(f"eval collect/places/{place}", ("eval", "collect", path, "batch"), says=last(path))
        yield _row(
            f"eval collect/batches/{place}", ("eval", "collect", "out", path), says=last(path), prepare=_after(_cases)
        )
        for protocol in ("ranges", "truth"):
            arguments = ("eval", "run", path, "-o", "out/made", "--protocol", protocol, "--backbone", "telea")
            yield _row(f"eval run/{protocol}/{place}", arguments, says=last(path))
    for name, (files, says) in SETS.items():
        arguments = ("eval", "run", "data", "-o", "out", "--protocol", "truth", "--backbone", "telea")
        yield _row(f"eval run/data/{name}", arguments, says=says, prepare=_set(files))
    for text in ("1/1", "2/1", "a", "1/0", "-1/1", "0"):
        arguments = ("eval", "run", GOOD, "-o", "out", "--backbone", "telea", "--shard", text)
        yield _row(f"eval run/shard/{text!r}", arguments, says="INDEX/COUNT")


def _set(files: tuple[str, ...]) -> Prepare:
    def prepare(inputs: Path, folder: Path) -> None:
        (folder / "data").mkdir()
        for file in files:
            (folder / "data" / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / "data" / file).touch()

    return prepare


def _row(
    name: str,
    arguments: tuple[str, ...],
    *,
    codes: tuple[int, ...] = (2,),
    says: str = "",
    prepare: Prepare | None = None,
) -> Row:
    return Row(name=name, arguments=arguments, area="evaluation", codes=codes, says=says, prepare=prepare)
