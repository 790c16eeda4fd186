"""Rows of folders that others made: runs, weights, data sets, the hub; and of environments."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from .odd_hub import answers, zips
from .places import PLACES
from .rows import Prepare, Row
from .run_inputs import ARTIFACTS, CONFIGS, FACTS, KEPT
from .table_files import DEPTH, GOOD, OUT, PREPARE, TRAIN, calling, in_places, last
from .training_inputs import MANIFESTS, STATES, TEXTS, Edit

WAIT = 1.0
"""Seconds in which a page looks at its run, until Ctrl-C."""


def _copied(source: str, edit: Edit) -> Prepare:
    """Return what copies a folder of the inputs to `out` and edits the copy."""
    return lambda inputs, folder: edit(shutil.copytree(inputs / source, folder / "out", symlinks=True))


def run_rows() -> Iterator[Row]:
    """Yield odd run folders, which are looked at and run into again."""
    edits = {**FACTS, **CONFIGS, **ARTIFACTS, **KEPT}
    for name, edit in edits.items():
        prepare = _copied("run", edit)
        looked = ("view", "out", "--port", "0")
        codes = (0, 2, 130)
        yield Row(
            name=f"view/run/{name}",
            arguments=looked,
            area="viewer",
            codes=codes,
            needs="run",
            prepare=prepare,
            interrupt=WAIT,
        )
        fine = (0,) if name in ("damaged",) else (0, 2)
        again = ("recon", GOOD, *DEPTH, "--cam", "30", *OUT)
        yield Row(name=f"recon/again/{name}", arguments=again, area="runs", codes=fine, needs="run", prepare=prepare)
    for name, edit in {**FACTS, **KEPT}.items():
        again = calling("depth", GOOD)
        prepare = _copied_below("run", edit)
        yield Row(name=f"depth/again/{name}", arguments=again, area="runs", codes=(0, 2), needs="run", prepare=prepare)


def _copied_below(source: str, edit: Edit) -> Prepare:
    def prepare(inputs: Path, folder: Path) -> None:
        (folder / "out").mkdir()
        edit(shutil.copytree(inputs / source, folder / "out" / "good", symlinks=True))

    return prepare


def view_rows() -> Iterator[Row]:
    """Yield odd arguments of `ex4d view`."""
    for place in PLACES:
        path = f"{{IN}}/weights/places/{place}"
        yield Row(name=f"view/places/{place}", arguments=("view", path), area="viewer", says=last(path))
    for name, value in {"nul": "a\0b", "empty": "", "escape": "\x1b[31m", "markup": "[/x]"}.items():
        yield Row(name=f"view/raw/{name}", arguments=("view", value), area="viewer")
    odd = {
        "--port": ("-1", "65536", "x", ""),
        "--host": ("", "evil.invalid", "256.1.1.1", "[/x]", "\x1b[31m"),
        "--detail": ("0", "-1", "1e9", str(10**23)),
        "--most-frames": ("0", "-1", "x"),
    }
    prepare = _copied("run", lambda run: None)
    for option, values in odd.items():
        for value in values:
            port = () if option == "--port" else ("--port", "0")
            yield Row(
                name=f"view/{option}/{value!r}",
                arguments=("view", "out", *port, f"{option}={value}"),
                area="viewer",
                needs="run",
                prepare=prepare,
                interrupt=WAIT,
            )


def weights_rows(depths: list[str], wans: list[str], adapters: list[str]) -> Iterator[Row]:
    """Yield odd folders of weights, by their names."""
    for name in depths:
        given = ("--depth", "transformers", "--set", f"depth.model={{IN}}/weights/{name}", *OUT)
        yield Row(name=f"depth/weights/{name}", arguments=("depth", GOOD, *given), area="hub")
    for place in PLACES:
        path = f"{{IN}}/weights/places/{place}"
        for option, more in {
            "depth.model": ("depth", GOOD, "--depth", "transformers"),
            "backbone.model": calling("run", GOOD, "--backbone", "wan"),
            "depth.unet": ("depth", GOOD, "--depth", "depthcrafter"),
        }.items():
            arguments = (*more, *OUT, f"--set={option}={path}")
            yield Row(name=f"{option}/places/{place}", arguments=arguments, area="hub", says=last(path))
        path = f"{{IN}}/weights/file-places/{place}.safetensors"
        for option in ("backbone.adapter", "backbone.loras"):
            arguments = (*_with_wan("wan-good"), f"--set={option}={path}")
            yield Row(name=f"{option}/places/{place}", arguments=arguments, area="hub", says=last(path))
    for name in wans:
        codes = (0,) if name == "wan-good" else (0, 2) if name in ("wan-remote", "wan-tokenizer-class") else (2,)
        yield Row(name=f"run/weights/{name}", arguments=_with_wan(name), area="hub", codes=codes)
    for name in adapters:
        given = f"--set=backbone.adapter={{IN}}/weights/adapters/{name}"
        yield Row(name=f"run/adapter/{name}", arguments=(*_with_wan("wan-good"), given), area="hub", says=name)


def _with_wan(name: str) -> tuple[str, ...]:
    folder = f"{{IN}}/weights/{name}"
    options = (f"model={folder}", f"adapter={folder}/ex4d.safetensors", "num_frames=5", "overlap=1", "steps=1")
    few = (*options, "size=32x32", "guidance=1")
    return calling("run", GOOD, "--backbone", "wan", *(f"--set=backbone.{option}" for option in few))


def training_rows(shards: list[str]) -> Iterator[Row]:
    """Yield odd data and checkpoints for `ex4d train`, and odd videos for `ex4d data prepare`."""

    def trained(name: str) -> tuple[str, ...]:
        return ("train", "--data-path", name, *TRAIN[3:])

    for name in (*(f"m-{name}" for name in MANIFESTS), *shards):
        codes = (0, 2) if name in ("s-same-length", "m-frames-huge", "m-dtype", "s-nan") else (2,)
        yield Row(name=f"train/data/{name}", arguments=trained(f"{{IN}}/latents/{name}"), area="training", codes=codes)
    for place in PLACES:
        path = f"{{IN}}/weights/places/{place}"
        yield Row(name=f"train/data/{place}", arguments=trained(path), area="training", says=last(path))
    longer = (*TRAIN, "--steps", "3")
    # Beside modules that nobody may import.
    several = (*TRAIN, "--num-gpus", "2")
    yield Row(name="train/--num-gpus/two", arguments=several, area="training", codes=(0, 2))
    for kind, edits, file, codes in (
        ("state", STATES, "checkpoints/step-00000002/state.json", (2,)),
        ("metrics", TEXTS, "metrics.jsonl", (0, 2)),
        ("config again", TEXTS, "config.toml", (0, 2)),
    ):
        for name, edit in edits.items():
            prepare = _copied("trained", _of(file, edit))
            codes = (0, 2) if name in ("fifo", "zero", "loop", "folder") else codes  # as if there were none
            row = f"train/{kind}/{name}"
            yield Row(name=row, arguments=longer, area="training", codes=codes, needs="trained", prepare=prepare)
    for name in ("good", "latin", "nul", "escape", "long", "fifo", "loop", "zero", "folder", "unreadable", "huge"):
        codes = (0,) if name in ("good", "escape") else (0, 2)
        arguments = (*PREPARE, "--data-path", f"{{IN}}/texts/captions/{name}")
        yield Row(name=f"data prepare/caption/{name}", arguments=arguments, area="training", codes=codes)
    for name, path in in_places("texts/tables/places", ".csv"):
        arguments = (*PREPARE, "--data-path", path)
        yield Row(name=f"data prepare/table/places/{name}", arguments=arguments, area="training", says=last(path))
    for name in _TABLES:
        codes = (0, 2) if name in ("good", "quote", "field", "short-row", "latin") else (2,)
        arguments = (*PREPARE, "--data-path", f"{{IN}}/texts/tables/{name}.csv")
        yield Row(name=f"data prepare/table/{name}", arguments=arguments, area="training", codes=codes)
    for name, edit in TEXTS.items():
        prepare = _copied("prepared", _of("manifest.json", edit))
        arguments = (*PREPARE, "--data-path", "{IN}/texts/captions/good")
        row = f"data prepare/again/{name}"
        yield Row(name=row, arguments=arguments, area="training", codes=(0, 2), needs="prepared", prepare=prepare)


_TABLES = (
    *("good", "no-column", "no-rows", "escape-column", "absent", "broken", "pipe", "device", "outside", "long-name"),
    *("nul", "latin", "quote", "field", "short-row", "empty", "huge"),
)


def _of(name: str, edit: Edit) -> Edit:
    return lambda folder: edit(folder / name)


def hub_rows() -> Iterator[Row]:
    """Yield odd answers of a hub, and odd archives."""
    some = ("twice", "sha-short", "name-windows", "name-escape", "sha-none", "name-empty", "size-zero", "blob-number")
    for name in answers(Path("/victim")):
        codes = (0,) if name == "good" else (0, 2) if name in some else (2,)
        arguments = ("fetch", "mine", "--yes", f"--set=backbone.repo=odd/{name}")
        yield Row(name=f"fetch/answer/{name}", arguments=arguments, area="hub", codes=codes, may_ask=True)
    for name in ("", "x", "/etc", "../..", "a/../b", "\x1b[31m/x", "[/x]", "a/b/c", "a" * 300, "a/\udcff"):
        arguments = ("fetch", "mine", "--yes", f"--set=backbone.repo={name}")
        codes = (0, 2) if name in ("/etc", "../..") else (2,)  # folders, which hold weights of their own
        yield Row(name=f"fetch/repo/{name[:9]!a}", arguments=arguments, area="hub", codes=codes, may_ask=True)
    some = ("up", "lzma", "twice", "escape", "dots", "nul", "lies", "long")
    for name in zips():
        codes = (0,) if name == "good" else (0, 2) if name in some else (2,)
        arguments = ("data", "download", "openvid", "--parts", "0", *OUT, "--yes")
        yield Row(
            name=f"data download/zip/{name}", arguments=arguments, area="hub", codes=codes, may_ask=True, zip=name
        )


ENVIRONMENTS: dict[str, dict[str, str]] = {
    "ascii": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "posix": {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"},
    "latin": {"PYTHONIOENCODING": "latin-1"},
    "locale": {"LC_ALL": "xx_YY.nothing"},
    "numba-0": {"NUMBA_NUM_THREADS": "0"},
    "numba-text": {"NUMBA_NUM_THREADS": "abc"},
    "numba-cache": {"NUMBA_CACHE_DIR": "/dev/null"},
    "hub-timeout": {"HF_HUB_DOWNLOAD_TIMEOUT": "abc", "HF_HUB_ETAG_TIMEOUT": "abc"},
    "hub-home": {"HF_HOME": "/dev/null"},
    "hub-endpoint": {"HF_ENDPOINT": "not a url"},
    "trace-0": {"EX4D_TRACE": "0"},
    "trace-empty": {"EX4D_TRACE": ""},
    "columns-0": {"COLUMNS": "0"},
    "columns-minus": {"COLUMNS": "-5", "LINES": "-5"},
    "columns-text": {"COLUMNS": "abc"},
    "terminal": {"TERM": "\x1b[31m"},
    "home": {"HOME": "/dev/null", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": ""},
    "temporary": {"TMPDIR": "/nowhere"},
    "threads": {"OMP_NUM_THREADS": "abc"},
    "alloc": {"PYTORCH_ALLOC_CONF": "nonsense"},
    "devices": {"CUDA_VISIBLE_DEVICES": "abc"},
    "warnings": {"PYTHONWARNINGS": "error"},
    "cache": {"XDG_CACHE_HOME": "/dev/null", "MPLCONFIGDIR": "/dev/null"},
    "proxy": {"http_proxy": "\x1b[31m", "https_proxy": "nonsense://"},
    "color": {"FORCE_COLOR": "", "NO_COLOR": "1", "CLICOLOR_FORCE": "1"},
}


def environment_rows() -> Iterator[Row]:
    """Yield odd environments, each for a process of its own."""
    for name, environment in ENVIRONMENTS.items():
        for command, (arguments, codes) in {
            "run": (calling("run"), (0, 2)),
            "depth absent": (("depth", "absent-\u00e9.mp4", *OUT), (2,)),
            "doctor": (("doctor",), (0, 1, 2)),
            "fetch": (("fetch", "mine", "--yes", "--set=backbone.repo=odd/good"), (0, 2)),
        }.items():
            if command == "fetch" and not name.startswith(("hub", "home", "temporary", "proxy", "cache", "ascii")):
                continue
            yield Row(
                name=f"{command}/environment/{name}",
                arguments=arguments,
                area="edge",
                codes=codes,
                environment=environment,
                own_process=True,
                may_ask=True,
            )


STREAMS = {
    "full": ">/dev/full",
    "closed": ">&-",
    "all-closed": "<&- >&- 2>&-",
    "error-full": "2>/dev/full",
    "gone": "| true",
}


def stream_rows() -> Iterator[Row]:
    """Yield outputs of commands that cannot be written."""
    commands = {
        "run": calling("run"),
        "run --json": calling("run", GOOD, "--json"),
        "depth": calling("depth"),
        "plugins list": ("plugins", "list"),
        "doctor": ("doctor",),
        "fetch": ("fetch", "mine", "--yes", "--set=backbone.repo=odd/good"),
        "cam convert": ("cam", "convert", "{IN}/cam/good.json", "out/x.json"),
        "help": ("--help",),
        "version": ("--version",),
        "absent": ("depth", "absent.mp4", *OUT),
    }
    for command, arguments in commands.items():
        for name, redirection in STREAMS.items():
            full = name == "full" and command != "absent"
            gone = (128 + signal.SIGPIPE,) if name == "gone" else ()
            codes = (2,) if full else (0, 1, 2, *gone)
            yield Row(
                name=f"{command}/stream/{name}",
                arguments=arguments,
                area="edge",
                codes=codes,
                redirection=redirection,
                own_process=True,
                may_ask=True,
            )
