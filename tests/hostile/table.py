"""The table of hostile inputs and commands, and what tries a row of it."""

from __future__ import annotations

import shutil
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from .calling import Worker, environment_of, run_alone
from .inputs import State, remove, state_of
from .judging import judge, judge_files, judge_leftovers
from .odd_hub import OddHub
from .rows import Ended, Fault, Row
from .table_evaluation import evaluation_rows
from .table_files import PREPARE, TRAIN, calling, camera_rows, clip_rows, config_rows, depth_rows, lens_rows
from .table_folders import (
    environment_rows,
    hub_rows,
    run_rows,
    stream_rows,
    training_rows,
    view_rows,
    weights_rows,
)
from .table_options import cam_rows, component_rows, flag_rows, option_rows, output_rows, plugin_rows

PATIENCE = 40.0
"""Seconds that a row may take on a machine that others use too; most take a tenth of one."""

PLUGIN = """
import attrs
from ex4d_core.hookspecs import hookimpl
from ex4d_core.hub.local import HubRepo
from ex4d_core.provider import Provider

@attrs.frozen
class Options:
    repo: str = "odd/good"

def weights(options):
    return [HubRepo(repo=options.repo, revision="main", patterns=("config.json", "net/*"))]

@hookimpl
def ex4d_backbones():
    return [Provider(name="mine", summary="s", license="MIT", component="nowhere:Class", options=Options,
                     weights=f"{__name__}:weights")]
"""


def tables(inputs: Path) -> dict[str, list[Row]]:
    """Return every row by what kind of input it has; names of files are those in the folder of inputs."""

    def names(inside: str, start: str = "") -> list[str]:
        found = (path.name for path in (inputs / inside).iterdir())
        return sorted(name for name in found if name.startswith(start) and not name.endswith("places"))

    weights = names("weights", "depth-"), names("weights", "wan-"), names("weights/adapters")
    made: dict[str, Iterable[Row]] = {
        "clips": clip_rows(),
        "depth": depth_rows(names("depth")),
        "cameras": camera_rows(names("cam")),
        "lenses": lens_rows(names("texts/lens")),
        "configurations": config_rows(),
        "flags": flag_rows(),
        "paths": cam_rows(),
        "options": option_rows(),
        "components": component_rows(),
        "plugins": plugin_rows(),
        "outputs": output_rows(),
        "runs": run_rows(),
        "views": view_rows(),
        "weights": weights_rows(*weights),
        "training": training_rows(names("latents", "s-")),
        "evaluation": evaluation_rows(),
        "hub": hub_rows(),
        "environments": environment_rows(),
        "streams": stream_rows(),
    }
    return {kind: list(rows) for kind, rows in made.items()}


def all_rows(inputs: Path) -> list[Row]:
    """Return every row."""
    rows = [row for kind in tables(inputs).values() for row in kind]
    twice = [name for name, count in Counter(row.name for row in rows).items() if count > 1]
    assert twice == [], twice
    return rows


def sample(inputs: Path) -> list[Row]:
    """Return a quick row of each kind of input and each command, the same each time."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for kind, rows in tables(inputs).items():
        for row in rows:
            if not row.is_slow:
                groups.setdefault((kind, row.command), []).append(row)
    return [min(group, key=lambda row: zlib.crc32(row.name.encode("utf-8", "replace"))) for group in groups.values()]


@attrs.frozen(eq=False)
class Bench:
    """Where rows are tried: the inputs, a hub on this machine, and a process."""

    inputs: Path
    folder: Path
    hub: OddHub
    worker: Worker
    before: State = attrs.field(factory=dict)
    """The inputs and the home as they were at first."""

    @property
    def home(self) -> Path:
        """The home of the commands."""
        return self.folder / "home"

    def begin(self) -> None:
        """Install the plugin that fetches, and remember what is there."""
        install_plugin(self.home / "plugins")
        self.before.update(state_of(self.inputs))

    def _make(self, name: str) -> None:
        """Make what rows go on from, once."""
        arguments, made = {
            "run": ((*calling("run")[:-2], "-o", "runs"), "runs/good"),
            "trained": ((*TRAIN[:-1], "trained"), "trained"),
            "prepared": ((*PREPARE, "-o", "prepared", "--data-path", "{IN}/texts/captions/good"), "prepared"),
        }[name]
        if not (self.inputs / name).exists():
            ended = self.worker.run(self._filled(arguments), self.folder, seconds=120)
            assert ended.code == 0, (name, ended)
            shutil.move(self.folder / made, self.inputs / name)
            self.before.update(state_of(self.inputs))

    def try_row(self, row: Row) -> list[Fault]:
        """Run a row's command in a new folder and return what is wrong."""
        place = self.folder / "row"
        work = place / "work"
        work.mkdir(parents=True)
        try:
            _plant_neighbors(place)
            if row.needs:
                self._make(row.needs)
            if row.prepare is not None:
                row.prepare(self.inputs, work)
            before, hits = state_of(place), self.hub.hits
            if row.zip:
                self.hub.zip = row.zip
            ended = self._run(row, work)
            faults = [*judge(row, ended), *self._judge_places(row, before, place, hits)]
            killed = ended.code is None  # what is killed leaves what it was at
            return [fault for fault in faults if not (killed and fault.kind == "leftover")]
        finally:
            remove(place)
            remove(self.home / "tmp")
            (self.home / "tmp").mkdir()

    def _run(self, row: Row, work: Path) -> Ended:
        arguments, seconds = self._filled(row.arguments), PATIENCE * (3 if row.is_slow else 1)
        if row.own_process:
            environment = environment_of(self.home, self.hub.url, **row.environment)
            return run_alone(arguments, work, environment, seconds=seconds, redirection=row.redirection)
        return self.worker.run(arguments, work, seconds=seconds, interrupt=row.interrupt)

    def _judge_places(self, row: Row, before: State, place: Path, hits: int) -> Iterator[Fault]:
        if self.hub.hits != hits and not row.may_ask:
            yield Fault(row=row, kind="asks the hub", detail=f"{self.hub.hits - hits} times")
        now = state_of(self.inputs)
        yield from judge_files(row, self.before, now, allowed=())
        self.before.clear()
        self.before.update(now)
        after = state_of(place)
        yield from judge_files(row, before, after, allowed=(place / "work" / "out",))
        if "unreadable" in row.name or "locked" in row.name:
            lost = {path: None for path in before if path not in after and "/artifacts/" in path}
            yield from (Fault(row=row, kind="lost", detail=path[-80:]) for path in lost)
        yield from judge_leftovers(row, place)
        yield from judge_leftovers(row, self.home / "tmp")

    def _filled(self, arguments: Iterable[str]) -> list[str]:
        return [argument.replace("{IN}", str(self.inputs)) for argument in arguments]


def install_plugin(plugins: Path) -> None:
    """Write a plugin whose weights are in a repository that its options name."""
    (plugins / "ex4d_hostile_fetch.py").write_text(PLUGIN)
    facts = plugins / "ex4d_hostile_fetch-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: ex4d-hostile-fetch\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[ex4d]\nmine = ex4d_hostile_fetch\n")


def _plant_neighbors(place: Path) -> None:
    """Put files where a name that leaves the output folder would write, and modules that nobody may import."""
    for folder in (place, place / "work"):
        for name in ("config.toml", "run.json", "result_30.mp4", "color_30.mp4", "depth.npz", "manifest.json"):
            (folder / name).write_text("mine")
        for name in ("numpy.py", "torch.py", "sitecustomize.py", "conftest.py", "typer.py"):
            (folder / name).write_text("raise SystemExit('a module of the current folder was imported')")
