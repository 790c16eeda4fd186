"""`config.toml` of a run folder: its relative paths are relative to the file, so it works from any folder.

A file or folder that is not found there is looked for relative to the place where the configuration was written, which
helps if the run folder was moved alone, and then relative to the current folder.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from ex4d_core.config.run_config import (
    GuidanceOptions,
    LensOptions,
    PathOptions,
    RunConfig,
    Tree,
    check_config,
    config_tree,
    read_config,
)
from ex4d_core.errors import Ex4dError
from ex4d_core.options import changed_paths
from ex4d_core.pipeline.inputs import camera_files
from ex4d_core.pipeline.records import RUN_RECORD
from ex4d_core.plugins.registry import Registry
from ex4d_core.reading import parse_toml
from ex4d_core.roles import ROLES

"""Configuration of the run, for `--config`."""

HEADER = "# Relative paths are relative to this file.\n"

Change = Callable[[str], str]


def read_run_config(path: Path, registry: Registry) -> Tree:
    """Return the tables of a configuration file, with paths as seen from the current folder.

    Raises:
        InputNotFound: the file does not exist.
        InvalidConfig: it cannot be read, or a value is invalid.
    """
    tree = read_config(path)
    check_config(tree, path)
    here, written = Path(os.path.realpath(path.parent)), tree.get("run_folder")
    bases = [here, *([Path(written)] if written else []), Path()]
    located = with_paths(tree, registry, lambda text: _located(text, bases))
    if is_run_folder(path.parent):
        located["run_folder"] = str(path.parent)
    elif written and not is_run_folder(Path(written)):
        del located["run_folder"]
    files = camera_files(_texts(tree.get("cam", ())))
    if files and not all(map(os.path.isabs, files)):
        located["cam_folder"] = _base_of(files, [_joined(base, tree.get("cam_folder", "")) for base in bases])
    return located


def is_run_folder(folder: Path) -> bool:
    """Return whether a folder has the record of a run."""
    return os.path.isfile(folder / RUN_RECORD)


def run_config_toml(config: RunConfig, folder: Path, registry: Registry) -> str:
    """Return the configuration of a run as TOML, to be written into its run folder."""
    here = os.path.realpath(folder)
    tree = with_paths(config_tree(config), registry, lambda text: _relative(text, here))
    tree["run_folder"] = here
    if any(not os.path.isabs(file) for file in camera_files(config.cam)):
        tree["cam_folder"] = _relative(config.cam_folder or os.curdir, here)
    plain = {key: value for key, value in tree.items() if not isinstance(value, Mapping)}
    return HEADER + tomli_w.dumps({**plain, **tree})


def is_same_config(path: Path, text: str) -> bool:
    """Return whether a file has the same values as a configuration, whatever its comments and order."""
    try:
        return read_config(path) == parse_toml(text)
    except (Ex4dError, ValueError):
        return False


def with_paths(tree: Mapping[str, Any], registry: Registry, change: Change) -> Tree:
    """Return tables with a function applied to each path."""
    changed = dict(tree)
    if clips := _texts(tree.get("clips", ())):
        changed["clips"] = [change(clip) for clip in clips]
    sections: dict[str, Sequence[type]] = {"lens": [LensOptions], "path": [PathOptions], "guidance": [GuidanceOptions]}
    if "masks" in tree:
        from ex4d_core.masks.options import MaskOptions

        sections["masks"] = [MaskOptions]
    for section in (*sections, *ROLES):
        table = tree.get(section)
        if isinstance(table, Mapping):
            for cls in sections.get(section) or _option_classes(section, table, registry):
                table = changed_paths(cls, table, change)
            changed[section] = table
    return changed


def _texts(value: Any) -> list[str]:
    """Return the entries of a list, or of a value in its place."""
    return [str(each) for each in (value if isinstance(value, list | tuple) else [value])]


def _option_classes(role: str, table: Mapping[str, Any], registry: Registry) -> list[type]:
    """Return the options of the component that a table names, or of all that it may be for."""
    offers = [offer for offer in registry.offers(role) if table.get("name", "auto") in ("auto", offer.name)]
    return [offer.spec.options for offer in offers]


def _located(text: str, bases: Sequence[Path]) -> str:
    """Return a path or pattern relative to the first base where it exists; unchanged if there is none."""
    if os.path.isabs(text):
        return text
    for base in bases:
        path = _joined(base, text)
        if os.path.lexists(path) or (glob.has_magic(text) and glob.glob(path)):
            return path
    return _joined(bases[0], text) if text.startswith(os.curdir) else text


def _base_of(files: Sequence[str], bases: Sequence[str]) -> str:
    """Return the first base where all files exist, by default the first one."""
    for base in bases:
        if all(os.path.exists(os.path.join(base, file)) for file in files):
            return base
    return bases[0]


def _joined(base: Path, text: str) -> str:
    """Return a path as seen from the current folder: relative if it is in it, otherwise absolute."""
    path = os.path.normpath(os.path.join(base, text))
    if not os.path.isabs(path):
        return path
    current = os.path.realpath(os.curdir)
    return os.path.relpath(path, current) if path == current or path.startswith(os.path.join(current, "")) else path


def _relative(text: str, folder: str) -> str:
    """Return an existing path relative to a folder; others, such as names of weights, are unchanged."""
    if not os.path.lexists(text):
        return text
    above, name = os.path.split(os.path.abspath(text))
    try:
        return os.path.relpath(os.path.join(os.path.realpath(above), name), folder)
    except ValueError:  # another drive of Windows
        return os.path.abspath(text)
