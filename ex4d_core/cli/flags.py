"""The flags of the command line: each sets one entry of the configuration, for commands that take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import attrs

from ex4d_core.cli.kit import Flag, field_flag, layered_tables
from ex4d_core.config.run_config import (
    RunConfig,
    Tree,
    make_config,
    merge,
    parse_settings,
    parse_value,
    read_config,
    refuse_unknown,
)
from ex4d_core.config.user_config import read_user_config, user_config_file, with_defaults
from ex4d_core.errors import Ex4dError, InvalidConfig
from ex4d_core.options import with_current_names
from ex4d_core.roles import ROLES


def _field_flag(name: str, key: str, panel: str, *, help: str = "") -> Flag:
    """Return the flag of a field of `RunConfig` or of its sections."""
    options: Any = RunConfig
    for section in key.split(".")[:-1]:
        options = get_type_hints(options)[section]
    return field_flag(name, key, options, panel=panel, help=help)


def _component_flag(name: str, key: str, panel: str, help: str, kind: type = str) -> Flag:
    """Return the flag of an option that only some components have."""
    return Flag(name=name, key=key, panel=panel, kind=kind, help=help)


PATH, DEPTH, OUTPUT = "Camera path", "Depth and intrinsics", "Output"
GENERATION, VIDEO, RUN = "Generation", "Input video", "Run"
FLAGS = (
    attrs.evolve(_field_flag("--cam", "cam", PATH), implies={"cam_folder": ""}),
    _component_flag(
        "--look-at", "trajectory.look_at", PATH, "Target of the camera: auto, nearest, a pixel X,Y, or a depth."
    ),
    _field_flag("--output-frames", "path.frames", PATH),
    _field_flag("--relative-to", "path.relative_to", PATH),
    _field_flag("--source-cameras", "path.source_cameras", PATH),
    _field_flag("--depth", "depth.name", DEPTH, help="Depth estimator; see `ex4d plugins list`."),
    attrs.evolve(
        _component_flag(
            "--depth-file", "depth.path", DEPTH, "Precomputed depth: .npy, .npz, a folder of PNG or EXR, or a video."
        ),
        implies={"depth": {"name": "file"}},
    ),
    Flag(
        name="--yes",
        short="-y",
        key="download",
        panel=DEPTH,
        kind=bool,
        value="yes",
        help="Download the small weights of a depth estimator without asking, if there are none.",
    ),
    Flag(
        name="--no-download",
        key="download",
        panel=DEPTH,
        kind=bool,
        value="no",
        help="Neither ask nor download; without weights, depth is a sketch.",
    ),
    _component_flag(
        "--depth-kind", "depth.kind", DEPTH, "Meaning of depth values: metric, relative, affine or inverse."
    ),
    _field_flag("--fov", "lens.fov", DEPTH),
    _field_flag("--focal-px", "lens.focal_px", DEPTH),
    _field_flag("--intrinsics", "lens.intrinsics", DEPTH),
    _field_flag("--backbone", "backbone.name", GENERATION, help="Video model; see `ex4d plugins list`."),
    _field_flag("--prompt", "prompt", GENERATION),
    _field_flag("--seed", "seed", GENERATION),
    _component_flag("--gpu-memory", "backbone.memory", GENERATION, "GPU memory limit in GiB, auto or none."),
    _component_flag("--speed", "backbone.speed", GENERATION, "exact; fast at some loss of quality; turbo for drafts."),
    _component_flag("--gpus", "backbone.gpus", GENERATION, "Number of GPUs for one video.", int),
    _component_flag("--preview-every", "backbone.preview_every", GENERATION, "Write a preview every N steps.", int),
    _field_flag("--num-frames", "video.num_frames", VIDEO),
    _field_flag("--start", "video.start", VIDEO),
    _field_flag("--stride", "video.stride", VIDEO),
    _field_flag("--size", "video.size", VIDEO),
    _field_flag("--fit", "video.fit", VIDEO),
    _field_flag("--fps", "video.fps", VIDEO),
    _field_flag("--renderer", "renderer.name", RUN, help="Renderer; see `ex4d plugins list`."),
    _field_flag("--device", "device", RUN),
    Flag(
        name="--free",
        key="free",
        panel=RUN,
        kind=bool,
        help="Use only components and weights whose licenses do not restrict the use of results.",
    ),
    _field_flag("--compat", "compat", RUN),
)
"""In the order of `--help`."""
FILL_FLAGS = tuple(flag.name for flag in FLAGS if flag.panel == GENERATION)
"""Flags of the generation stage."""
PATH_FLAGS = tuple(flag.name for flag in FLAGS if flag.panel == PATH)
"""Flags of the camera path."""
FORMER_NAMES = {
    "path-frames": "output-frames",
    "memory": "gpu-memory",
    "frames": "max-frames",
    "side": "max-side",
}
"""Flags by the name that they had before; it still works."""


def read_file(path: Path) -> Tree:
    """Return the tables of a configuration file, with paths as seen from the current folder."""
    from ex4d_core.plugins.registry import Registry
    from ex4d_core.runs.saved_config import read_run_config

    return read_run_config(path, Registry())


def read_defaults() -> Tree:
    """Return the tables of the user configuration, after checking components and names of their options.

    Raises:
        InvalidConfig: an entry is invalid, or a component is not available; the message names the file.
        InputNotFound: `EX4D_CONFIG` names a file that does not exist.
    """
    from ex4d_core.plugins.registry import Registry

    tables = read_user_config(read_file)
    if not tables:
        return tables
    registry, config = Registry(), make_config(tables)
    for role in ROLES:
        given = getattr(config, role)
        if given.name == "auto" or ROLES[role].in_cam:
            continue
        try:
            offer = registry.find(role, given.name)
            known = [field.name for field in attrs.fields(offer.spec.options)]
            refuse_unknown(with_current_names(offer.spec.options, given.options), known, role, component=offer.name)
        except Ex4dError as error:
            raise InvalidConfig(f"{user_config_file()}: {error}") from error
    return tables


def add_user_config(tables: Tree, config_file: Path | None) -> Tree:
    """Return the tables of a run on top of the user configuration.

    Raises:
        InvalidConfig: an entry of the user configuration is invalid.
        InputNotFound: the user configuration or the configuration file does not exist.
    """
    defaults = read_defaults()
    saved_run = bool(defaults) and config_file is not None and "run_folder" in read_config(config_file)
    return with_defaults(tables, defaults, saved_run=saved_run)


def column_tables(cells: Mapping[str, Any]) -> Tree:
    """Return the tables of cells of a manifest: columns are flags with underscores, or SECTION.OPTION.

    Args:
        cells: values by column; texts of numbers are numbers.

    Raises:
        InvalidConfig: a column is neither.
    """
    flags = {flag.parameter: flag for flag in FLAGS}
    settings: Tree = {}
    given: dict[str, Any] = dict.fromkeys(flags)
    for column, cell in cells.items():
        if flag := flags.get(column):
            given[column] = cell if flag.kind is str or not isinstance(cell, str) else parse_value(cell)
        else:
            settings = merge(settings, parse_settings([f"{column}=?"]))
            section, _, option = column.partition(".")
            settings[section][option] = parse_value(cell) if isinstance(cell, str) else cell
    return merge(settings, layered_tables(FLAGS, given))


COLUMNS = tuple(flag.parameter for flag in FLAGS)
"""Columns of a manifest that are flags."""


def configuration(flags: Sequence[Flag], given: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a run: flags override `--set`, which overrides the file.

    Args:
        flags: the flags of the command.
        given: values by `Flag.parameter`, with `settings` (texts of `--set`) and `config_file`; None if not used.

    Raises:
        InvalidConfig: a setting is unknown or its value is invalid.
        InputNotFound: the file does not exist.
    """
    tables = layered_tables(
        flags, given, settings=given["settings"] or (), config_file=given["config_file"], read_file=read_file
    )
    return make_config(tables)
