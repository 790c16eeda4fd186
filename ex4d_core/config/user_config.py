"""The user configuration: defaults of the user for all runs of the command line, in one TOML file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from ex4d_core.config.run_config import RunConfig, Tree, merge, read_config
from ex4d_core.errors import InputNotFound, InvalidConfig
from ex4d_core.roles import ROLES

EX4D_CONFIG = "EX4D_CONFIG"
"""Environment variable with the path of the file; an empty value disables the user configuration."""

_OF_ONE_RUN = ("clips", "run_folder")
_INTRINSICS = ("fov", "focal_px", "intrinsics")


def user_config_file() -> Path | None:
    """Return the path of the user configuration, which need not exist; None if it is disabled.

    It is `$EX4D_CONFIG`, else `ex4d/config.toml` in `%APPDATA%` on Windows, in `$XDG_CONFIG_HOME` or `~/.config` on
    other systems, macOS included.

    Raises:
        InputNotFound: `EX4D_CONFIG` names a file that does not exist.
    """
    given = os.environ.get(EX4D_CONFIG)
    if given is not None:
        file = Path(os.path.expanduser(given))
        if given and not file.is_file():
            raise InputNotFound(
                f"the file {given} of the variable {EX4D_CONFIG} does not exist; correct or unset the variable"
            )
        return file if given else None
    variable, default = (
        ("APPDATA", "~/AppData/Roaming") if sys.platform == "win32" else ("XDG_CONFIG_HOME", "~/.config")
    )
    folder = os.environ.get(variable, "")
    # A relative path in these variables is invalid, by the specification of XDG.
    return Path(folder if os.path.isabs(folder) else os.path.expanduser(default), "ex4d", "config.toml")


def read_user_config(read_file: Callable[[Path], Tree] = read_config) -> Tree:
    """Return the tables of the user configuration; empty if it does not exist or is disabled.

    Args:
        read_file: returns the tables of a file.

    Raises:
        InputNotFound: `EX4D_CONFIG` names a file that does not exist.
        InvalidConfig: the file cannot be read, or an entry is invalid or belongs to one run; the message names it.
    """
    file = user_config_file()
    if file is None or not file.exists():
        return {}
    tree = read_file(file)
    if found := [key for key in _OF_ONE_RUN if key in tree]:
        raise InvalidConfig(f"{file}: {found[0]} belongs to one run, not to the user configuration; remove it")
    return tree


def with_defaults(tree: Mapping[str, object], defaults: Mapping[str, object], *, saved_run: bool = False) -> Tree:
    """Return the tables of a run on top of the user's defaults.

    Options of a component are not defaults of another one, and intrinsics replace each other.

    Args:
        tree: tables of a configuration file and of flags.
        defaults: the user configuration.
        saved_run: whether `tree` comes from the configuration that a run has written. It is complete: defaults that
            affect the output would change the result.
    """
    kept = dict(defaults)
    if saved_run:
        fields = attrs.fields_dict(RunConfig)
        kept = {k: v for k, v in kept.items() if not fields[k].metadata.get("affects_output", True)}
    for section in ROLES:
        ours, theirs = kept.get(section), tree.get(section)
        if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
            continue
        if "name" in theirs and theirs["name"] != ours.get("name", "auto"):
            del kept[section]
    lens, own_lens = kept.get("lens"), tree.get("lens")
    if isinstance(lens, Mapping) and isinstance(own_lens, Mapping) and any(key in own_lens for key in _INTRINSICS):
        kept["lens"] = {key: value for key, value in lens.items() if key not in _INTRINSICS}
    return merge(kept, tree)
