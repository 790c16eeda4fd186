"""Manifests: a table with a row for each job, as CSV or Parquet.

Columns are `clip` (required), `id`, `cam` (one text, or several separated by `;`), names of flags of `ex4d run` with
underscores (`seed`, `depth_file`, `num_frames`) and options (`mesh.min_angle`). Empty cells are not set. Relative paths
are relative to the manifest, which may be at a URL.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.config.run_config import RunConfig, Tree, config_tree, make_config, merge
from ex4d_core.errors import Ex4dError, InvalidInput, OutputFailed, PluginFailed, nearest
from ex4d_core.files import atomic_write
from ex4d_core.jobs.storage import Storage, fetched, is_url, version_of
from ex4d_core.names import name_key, numbered, safe_name
from ex4d_core.pipeline.inputs import camera_files, input_files
from ex4d_core.pipeline.store import content_key
from ex4d_core.plugins.registry import Registry
from ex4d_core.reading import check_file, read_text, reading
from ex4d_core.runs.saved_config import with_paths
from ex4d_core.shell import command_line

Cells = Mapping[str, Any]
"""The set cells of a row by column: texts of CSV, or values of Parquet."""

ID, CLIP, CAM = "id", "clip", "cam"


@attrs.frozen(kw_only=True)
class Job:
    """One clip with its options, along one or several camera paths."""

    id: str
    """Unique in its manifest; also the name of the run folder."""
    config: RunConfig
    """All options; `clips` has the clip. Paths are absolute, or URLs."""
    first: str = ""
    """Id of the first job with the same clip, whose depth this one reuses; '' if this is the first."""

    @property
    def clip(self) -> str:
        """Path of the clip."""
        return self.config.clips[0]

    def key(self) -> str:
        """Return a hash of the options, and of the sizes and time stamps of the files that the job reads.

        Raises:
            InputNotFound: the URL of the clip does not exist.
            InvalidInput: it cannot be read.
        """
        stamps: list[tuple[object, ...]] = [
            (str(file), *_stamp(file)) for file in input_files(self.config, Path(self.clip))
        ]
        if is_url(self.clip):
            stamps.append((self.clip, version_of(self.clip)))
        return content_key({**config_tree(attrs.evolve(self.config, device="auto")), "files": stamps})


@attrs.frozen(kw_only=True)
class InvalidRow:
    """A row that cannot be run."""

    id: str
    row: int
    """Counted from 1, without the heading."""
    error: str

    def __str__(self) -> str:
        return f"row {self.row} ({self.id}): {self.error}"


@attrs.frozen(kw_only=True)
class Manifest:
    """The checked rows of a manifest."""

    path: Path
    jobs: tuple[Job, ...]
    invalid: tuple[InvalidRow, ...] = ()

    def refuse_invalid(self) -> None:
        """Refuse a manifest with invalid rows, which `invalid` names.

        Raises:
            InvalidInput: there are such rows.
        """
        if self.invalid:
            raise InvalidInput(
                f"{self.path}: {len(self.invalid)} of {len(self.invalid) + len(self.jobs)} rows cannot be run; correct "
                "them, or pass --skip-invalid to run the others"
            )


def read_manifest(
    source: str | Path,
    *,
    columns: Sequence[str],
    tables: Callable[[Cells], Tree],
    defaults: RunConfig | None = None,
    check: Callable[[RunConfig], None] = lambda config: None,
) -> Manifest:
    """Read and check a manifest as a whole; nothing is run.

    Args:
        source: path or URL of a `.csv` or `.parquet` file.
        columns: further valid columns, besides options such as `mesh.min_angle`.
        tables: converts the cells of these columns and of options to tables of a configuration.
        defaults: options of all rows, which their cells replace.
        check: raises an `Ex4dError` if components or paths of a configuration are invalid; called once for equal ones.

    Raises:
        InputNotFound: the file or URL does not exist.
        InvalidInput: it cannot be read, has no rows, no column `clip`, or an unknown column.
        PluginFailed: Parquet needs pyarrow, which is not installed.
    """
    path, base = Path(fetched(str(source))), os.path.dirname(source)
    rows = _read_rows(path)
    _check_columns(path, rows, columns)
    reader = _RowReader(base, tables, defaults or RunConfig(), check)
    jobs: list[Job] = []
    invalid: list[InvalidRow] = []
    taken: dict[str, int] = {}
    first_of: dict[str, str] = {}
    for number, cells in enumerate(rows, start=1):
        name = _id_of(cells, taken)
        try:
            if name_key(name) in taken:
                raise InvalidInput(f"the id is that of row {taken[name_key(name)]} too; ids must be unique")
            if safe_name(name) != name:
                raise InvalidInput(f"the id {name!r} is not a valid folder name; {safe_name(name)!r} is one")
            config = reader.config(cells)
            clip = config.clips[0]
            first = first_of.setdefault(clip if is_url(clip) else os.path.realpath(clip), name)
            jobs.append(Job(id=name, config=config, first="" if first == name else first))
        except Ex4dError as error:
            invalid.append(InvalidRow(id=name, row=number, error=str(error)))
        taken.setdefault(name_key(name), number)
    return Manifest(path=path, jobs=tuple(jobs), invalid=tuple(invalid))


def read_ids(path: Path) -> list[str]:
    """Return the ids of the rows of a manifest, without checking its columns.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it cannot be read.
        PluginFailed: Parquet needs pyarrow, which is not installed.
    """
    taken: dict[str, int] = {}
    names = []
    for number, cells in enumerate(_read_rows(path), start=1):
        names.append(_id_of(cells, taken))
        taken.setdefault(name_key(names[-1]), number)
    return names


def write_manifest(path: Path, clips: Iterable[Path], cams: Sequence[str]) -> int:
    """Write a manifest of clips, each along the same camera paths; return the number of its rows.

    Paths are relative to the manifest where they are below its folder.

    Raises:
        OutputFailed: the file exists or cannot be written.
    """
    if os.path.lexists(path):
        raise OutputFailed(f"{path} exists and is not overwritten; choose another name, or remove it")
    here, taken = Path(os.path.realpath(path.parent)), dict[str, int]()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((ID, CLIP, CAM))
    for number, clip in enumerate(clips, start=1):
        real = Path(os.path.realpath(clip))
        written = real.relative_to(here) if real.is_relative_to(here) else real
        name = _id_of({CLIP: str(clip)}, taken)
        taken[name_key(name)] = number
        writer.writerow((name, str(written), "; ".join(cams)))
    with atomic_write(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return len(taken)


class _RowReader:
    """Converts rows to configurations, and checks each set of options once."""

    def __init__(
        self,
        base: str,
        tables: Callable[[Cells], Tree],
        defaults: RunConfig,
        check: Callable[[RunConfig], None],
    ) -> None:
        self._base, self._tables, self._check = base, tables, check
        self._registry = Registry()
        self._defaults = with_paths(config_tree(defaults), self._registry, partial(_absolute, ""))
        if any(not os.path.isabs(file) for file in camera_files(defaults.cam)):
            self._defaults["cam_folder"] = os.path.abspath(defaults.cam_folder)
        self._download = defaults.download
        self._checked: dict[str, str] = {}

    def config(self, cells: Cells) -> RunConfig:
        clip = str(cells.get(CLIP, ""))
        if not clip:
            raise InvalidInput("the clip is missing")
        options = {column: value for column, value in cells.items() if column not in (ID, CLIP, CAM)}
        own: Tree = merge(self._tables(options), {"clips": [clip]}, {"cam": cams} if (cams := _cams(cells)) else {})
        located = with_paths(own, self._registry, partial(_absolute, self._base))
        if (
            "cam" in own
            and not is_url(self._base)
            and any(not os.path.isabs(file) for file in camera_files(own["cam"]))
        ):
            located["cam_folder"] = os.path.abspath(self._base)
        config = attrs.evolve(make_config(merge(self._defaults, located)), download=self._download)
        if not is_url(config.clips[0]) and not os.path.exists(config.clips[0]):
            raise InvalidInput(f"the clip {config.clips[0]} does not exist")
        self._check_once(config)
        return config

    def _check_once(self, config: RunConfig) -> None:
        key = content_key(config_tree(attrs.evolve(config, clips=(), seed=0)))
        if key not in self._checked:
            self._checked[key] = ""
            try:
                self._check(config)
            except Ex4dError as error:
                self._checked[key] = str(error).partition("\n")[0]  # the next lines mark the place in a path
        if self._checked[key]:
            raise InvalidInput(self._checked[key])


def _absolute(base: str, text: str) -> str:
    """Return an existing path relative to a folder or URL as an absolute one; others, as of weights, are unchanged."""
    if is_url(base) and not is_url(text) and not os.path.isabs(text):
        url = f"{base}/{text}"
        return url if Storage(base).has(text) else text
    path = os.path.abspath(os.path.join(base, text))
    return path if os.path.lexists(path) else text


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _cams(cells: Cells) -> list[str]:
    cell = cells.get(CAM, "")
    parts = cell.split(";") if isinstance(cell, str) else cell if isinstance(cell, list | tuple) else [cell]
    return [text for part in parts if (text := str(part).strip())]


def _id_of(cells: Cells, taken: Mapping[str, int]) -> str:
    """Return the id of a row: its own, or the name of its clip, numbered if it is in use."""
    if given := str(cells.get(ID, "")):
        return given
    stem = safe_name(Path(str(cells.get(CLIP, ""))).stem or "row", most=200)
    if name_key(stem) not in taken:
        return stem
    return next(name for name in numbered(stem, first=2) if name_key(name) not in taken)


def _check_columns(path: Path, rows: Sequence[Cells], columns: Sequence[str]) -> None:
    if not rows:
        raise InvalidInput(f"the manifest {path} has no rows below its heading")
    found = list(dict.fromkeys(column for row in rows for column in row))
    known = (ID, CLIP, CAM, *columns)
    for column in found:
        if column not in known and "." not in column:
            guess = nearest(column, known, then="columns are id, clip, cam, names of flags, and options")
            raise InvalidInput(f"the manifest {path} has an unknown column {column!r}{guess}")
    if CLIP not in found:
        raise InvalidInput(f"the manifest {path} has no column {CLIP!r}; its columns are {', '.join(found)}")


def _read_rows(path: Path) -> list[Cells]:
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    if path.is_dir():
        raise _not_a_table(path, ("ex4d", "batch", "plan", str(path)), "write one of the clips in a folder")
    try:
        text = read_text(path, "manifest")
    except InvalidInput as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
        raise _not_a_table(path, ("ex4d", "run", str(path)), "run a single clip") from error
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    with reading(path, "manifest"):
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = list(reader)
    for number, row in enumerate(rows, start=1):
        if None in row:
            raise InvalidInput(f"row {number} of the manifest {path} has more cells than the heading; quote commas")
    return [
        {column.strip(): cell.strip() for column, cell in row.items() if cell is not None and cell.strip()}
        for row in rows
        if any(cell and cell.strip() for cell in row.values())
    ]


def _not_a_table(path: Path, words: Sequence[str], purpose: str) -> InvalidInput:
    return InvalidInput(
        f"{path} is not a manifest, which is a table of clips as CSV or Parquet; to {purpose}: {command_line(words)}"
    )


def _read_parquet(path: Path) -> list[Cells]:
    check_file(path, "manifest")
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise PluginFailed(
            f"the manifest {path} needs pyarrow, which is not installed; type: pip install pyarrow, or use CSV"
        ) from error
    with reading(path, "manifest"):
        rows: list[Cells] = parquet.read_table(path).to_pylist()
    return [{column: cell for column, cell in row.items() if cell is not None and cell != ""} for row in rows]
