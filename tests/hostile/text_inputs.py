"""Hostile files of a lens, configurations, captions, and tables of videos."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from .camera_inputs import DEEP, DIGITS, LENS
from .places import LONG, make_places, make_sparse


def make_texts(folder: Path, clip: Path) -> None:
    """Make them; `clip` is a whole video."""
    folder.mkdir()
    _lenses(folder / "lens")
    _configurations(folder / "config")
    _captions(folder / "captions", clip)
    _tables(folder / "tables", clip)


def _lenses(folder: Path) -> None:
    folder.mkdir()
    make_places(folder / "places", ".json")
    make_places(folder / "npy-places", ".npy")
    make_places(folder / "txt-places", ".txt")
    good = {name: LENS[name] for name in ("fx", "fy", "cx", "cy")}
    trees: dict[str, Any] = {
        "good": good,
        "list": [1, 2, 3],
        "number": 3,
        "null": None,
        "text": {**good, "fx": "wide"},
        "boolean": {**good, "fx": True},
        "zero": {**good, "fx": 0},
        "negative": {**good, "fy": -80},
        "huge": {**good, "fx": 1e300},
        "point": {**good, "cx": 1e300},
        "width-text": {**good, "width": "a", "height": 96},
        "width-zero": {**good, "width": 0, "height": 96},
        "width-huge": {**good, "width": 10**30, "height": 10**30},
        "width-fraction": {**good, "width": 0.3, "height": 0.3},
        "nested": {**good, "fx": [[1]]},
    }
    for name, tree in trees.items():
        (folder / f"{name}.json").write_text(json.dumps(tree))
    raw = json.dumps({**good, "fx": 777})
    for name, number in {"inf": "Infinity", "nan": "NaN", "1e999": "1e999", "digits": DIGITS, "deep": DEEP}.items():
        (folder / f"{name}.json").write_text(raw.replace("777", number))
    (folder / "latin.json").write_bytes(b'{"fx": "\xe9"}')
    matrix = np.array([[80.0, 0, 48], [0, 80, 48], [0, 0, 1]])
    arrays = {
        "object": np.array([None], object),
        "text": np.array([["a"] * 3] * 3),
        "complex": matrix + 1j,
        "inf": np.full_like(matrix, np.inf),
        "zero": matrix * 0,
        "shape": matrix[:2],
        "none": matrix[:0],
    }
    for name, array in arrays.items():
        np.save(folder / f"m-{name}.npy", array, allow_pickle=True)
        np.savez(folder / f"m-{name}.npz", K=array)
    np.savez(folder / "m-other.npz", other=matrix)
    texts = {
        "ragged": "1 2 3\n4 5\n",
        "words": "a b c\n" * 3,
        "digits": f"{DIGITS} 0 0\n" * 3,
        "huge": "1e999 0 0\n" * 3,
    }
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)


CONFIGURATIONS: dict[str, str | bytes] = {
    "deep-list": "cam = " + DEEP,
    "deep-table": "a." * 3000 + "b = 1",
    "deep-inline": "depth = " + "{a = " * 500 + "1" + "}" * 500,
    "digits": f"seed = {DIGITS}",
    "digits-hex": f"seed = 0x{DIGITS}",
    "latin": b"prompt = '\xe9'",
    "utf16": "seed = 3".encode("utf-16"),
    "nul": b"seed = 3\x00",
    "escape": "prompt = '\x1b[31m'",
    "not-toml": "seed: 3",
    "html": "<html><body>404</body></html>",
    "unknown": "sead = 3",
    "unknown-escape": '"\\u001b[31m" = 3',
    "unknown-section": "[video]\nstrides = 3",
    "section-number": "video = 3",
    "section-list": "depth = [1]",
    "cam-nested": "cam = [[1]]",
    "cam-empty": "cam = []",
    "cam-table": "[cam]\na = 1",
    "prompt-list": "prompt = [1]",
    "prompt-number": "prompt = 3.5",
    "seed-text": "seed = 'a'",
    "seed-inf": "seed = inf",
    "seed-negative": "seed = -1",
    "fps-nan": "[video]\nfps = nan",
    "fps-inf": "[video]\nfps = inf",
    "date": "[video]\nfps = 1979-05-27",
    "depth-name-list": "[depth]\nname = ['file']",
    "depth-path-list": "[depth]\npath = [1]",
    "masks-list": "masks = [1]",
    "masks-unknown": "[masks]\nknd = 'a'",
    "clips-number": "clips = 3",
    "clips-nul": 'clips = ["a\\u0000b"]',
    "compat-list": "compat = [1]",
    "device-number": "device = 3",
    "twice": "seed = 1\nseed = 2",
    "size-list": "[video]\nsize = [96, 96]",
}
"""Texts of configurations by name; none of them can be used as it is by any command but those in `FINE`."""

FINE = ("size-list", "prompt-number", "escape")
"""That some commands can use."""


def _configurations(folder: Path) -> None:
    folder.mkdir()
    make_places(folder / "places", ".toml")
    for name, text in CONFIGURATIONS.items():
        (folder / f"{name}.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    make_sparse(folder / "huge.toml", 3 * 2**30)


def _captions(folder: Path, clip: Path) -> None:
    """Make folders of one video, whose caption beside it is odd."""
    folder.mkdir()
    texts: dict[str, bytes] = {
        "good": b"a red ball",
        "latin": b"caf\xe9",
        "nul": b"a\x00b",
        "escape": b"a \x1b[31mred ball",
        "long": b"word " * 200_000,
    }
    for name in (*texts, "fifo", "loop", "zero", "folder", "unreadable", "huge"):
        (folder / name).mkdir()
        shutil.copyfile(clip, folder / name / "a.mp4")
        caption = folder / name / "a.txt"
        if name in texts:
            caption.write_bytes(texts[name])
    os.mkfifo(folder / "fifo" / "a.txt")
    (folder / "loop" / "a.txt").symlink_to("a.txt")
    (folder / "zero" / "a.txt").symlink_to("/dev/zero")
    (folder / "folder" / "a.txt").mkdir()
    (folder / "unreadable" / "a.txt").write_text("secret")
    (folder / "unreadable" / "a.txt").chmod(0)
    make_sparse(folder / "huge" / "a.txt", 3 * 2**30)


def _tables(folder: Path, clip: Path) -> None:
    folder.mkdir()
    make_places(folder / "places", ".csv")
    shutil.copyfile(clip, folder / "a.mp4")
    (folder / "b.mp4").write_text("no video")
    os.mkfifo(folder / "pipe.mp4")
    texts: dict[str, str | bytes] = {
        "good": "video,caption\na.mp4,a ball\n",
        "no-column": "x,y\n1,2\n",
        "no-rows": "video,caption\n",
        "escape-column": "\x1b[31m,y\n1,2\n",
        "absent": "video,caption\nnone.mp4,a\n",
        "broken": "video,caption\nb.mp4,a\n",
        "pipe": "video,caption\npipe.mp4,a\n",
        "device": "video,caption\n/dev/zero,a\n",
        "outside": "video,caption\n../../../../../../etc/passwd,a\n",
        "long-name": f"video,caption\n{LONG}.mp4,a\n",
        "nul": b"video,caption\na\x00.mp4,a\n",
        "latin": b"video,caption\na.mp4,caf\xe9\n",
        "quote": 'video,caption\n"a.mp4,a\n',
        "field": "video,caption\na.mp4," + "x" * 20_000_000 + "\n",
        "short-row": "caption,video\nonly\n",
        "empty": "",
    }
    for name, text in texts.items():
        (folder / f"{name}.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    make_sparse(folder / "huge.csv", 3 * 2**30)
