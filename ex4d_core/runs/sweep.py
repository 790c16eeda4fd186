"""Run clips with several values of options: a run folder for each combination, and a table of all runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import attrs
import numpy as np

from ex4d_core.bounds import shown
from ex4d_core.config.run_config import RunConfig, Tree, config_tree, make_config, merge
from ex4d_core.errors import ComponentNotFound, Ex4dError, InvalidConfig
from ex4d_core.names import safe_name
from ex4d_core.pipeline.clip_run import ClipRun, PathRun
from ex4d_core.pipeline.failed_runs import leaving_nothing_if_failed
from ex4d_core.pipeline.ignored import ignored_settings
from ex4d_core.pipeline.session import Cam, Clip, Depth, Session, is_setting, tables
from ex4d_core.pipeline.stage_order import roles_for
from ex4d_core.reading import as_path
from ex4d_core.roles import DepthEstimator
from ex4d_core.runs.batch import Outcome, adopt_artifacts, attempt
from ex4d_core.runs.export import Exported, Goal, MeshChoice, MeshFormat, export
from ex4d_core.runs.sweep_table import Row, Sweep, write_tables
from ex4d_core.types import DepthKind, Guidance, Video

MOST_VARIANTS = 1000
"""Maximum number of combinations; more are a typing error."""

Open = Callable[[Session, Path], ClipRun]
"""Opens a clip in a session with a run folder."""


@attrs.frozen(kw_only=True)
class Variant:
    """One combination of values, and the configuration with it."""

    values: Mapping[str, str]
    """By SECTION.OPTION, as text."""
    config: RunConfig

    @property
    def folder_name(self) -> str:
        """Name of the folder of its run folders, such as `mesh.min_angle=2.5`."""
        return safe_name("_".join(f"{key}={value}" for key, value in self.values.items()), most=120)


@attrs.frozen(kw_only=True)
class Target:
    """A clip along a path, for all combinations."""

    clip: Path
    """Name of the clip in the table."""
    cam: Cam
    open: Open
    folder_in: Callable[[Path], Path]
    """Returns the run folder below the folder of a combination."""

    @property
    def title(self) -> str:
        """The path in the table."""
        return str(self.cam) if isinstance(self.cam, str | int | float) else "poses"


def targets(clips: Sequence[Path], cams: Sequence[Cam], folders: Callable[[Path], Sequence[Path]]) -> list[Target]:
    """Return each clip along each path.

    Args:
        clips: videos or folders of images.
        cams: the paths.
        folders: returns the run folders of the clips below the folder of a combination.
    """
    return [
        Target(
            clip=clip,
            cam=cam,
            open=partial(_open, clip),
            folder_in=partial(_folder, folders, number),
        )
        for number, clip in enumerate(clips)
        for cam in cams
    ]


def _open(clip: Path, session: Session, folder: Path) -> ClipRun:
    return session.open_clip(clip, folder=folder)


def _folder(folders: Callable[[Path], Sequence[Path]], number: int, folder: Path) -> Path:
    return folders(folder)[number]


def combinations(values: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return all combinations of the values of options; those of the last option change fastest.

    Raises:
        InvalidConfig: an option has no values or equal ones, or there are too many combinations.
    """
    for key, several in values.items():
        if not several or len(set(several)) < len(several):
            raise InvalidConfig(f"a sweep needs different values of {key}, not {', '.join(several) or 'none'}")
    if (count := math.prod(map(len, values.values()))) > MOST_VARIANTS:
        raise InvalidConfig(f"a sweep has at most {MOST_VARIANTS} combinations, not {count}; pass fewer values")
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


def sweep(
    clip: Clip,
    values: Mapping[str, Sequence[Any]],
    *,
    folder: str | Path,
    cam: Cam | Sequence[Cam] = "30",
    depth: Depth | str | Tree | DepthEstimator = None,
    depth_kind: str | DepthKind | None = None,
    goal: Goal = "result",
    **settings: Any,
) -> Sweep:
    """Run a clip with each combination of values of some options, and compare the results in a table.

    Each combination has a run folder in `folder`, and the table is written there as CSV and Markdown. Stages whose
    inputs are equal, such as depth, run once. A combination that fails is a row with its error.

    Example:
        ex4d.sweep("clip.mp4", {"mesh.min_angle": [1, 2.5, 8]}, folder="sweep", depth="sketch")

    Args:
        clip: as for `Session.open_clip`.
        values: by `SECTION.OPTION`, or by a setting such as `seed`, the values in a list.
        folder: parent of the run folders.
        cam: a path as for `Session.run`, or several in a list.
        depth: depth as for `Session.run`, or a setting as for `Session`.
        depth_kind: meaning of an array of depth, as for `Session.open_clip`.
        goal: the last stage: `guidance` for recon only, or `result`.
        settings: as for `Session`, the same for all combinations.

    Raises:
        InvalidConfig: an option is unknown, or one of its values is invalid.
        ComponentNotFound: a component does not exist.
        InvalidInput: the clip, the depth or the path cannot be used.
        OutputFailed: the folder cannot be written to.
    """
    given: Any = depth
    if is_setting(depth):
        settings["depth"], given = depth, None
    if goal not in get_args(Goal):
        raise InvalidConfig(f"goal must be {' or '.join(get_args(Goal))}, not {shown(goal)}")
    cams: Sequence[Any] = cam if isinstance(cam, list | tuple) else [cam]
    if all(type(each) in (str, int, float) for each in cams):  # a configuration has no poses
        settings["cam"] = [each if isinstance(each, str) else f"{each:g}" for each in cams]
    session = Session(**settings)
    session.open_clip(clip, depth=given, depth_kind=depth_kind)  # raises an error if they cannot be used
    variants = _variants(session, values)
    parent = as_path(folder, "folder of the sweep")

    def opened(session: Session, run_folder: Path) -> ClipRun:
        return session.open_clip(clip, depth=given, depth_kind=depth_kind, folder=run_folder)

    title = Path(clip) if isinstance(clip, str | Path) else Path("frames")
    targets = [Target(clip=title, cam=each, open=opened, folder_in=lambda of_variant: of_variant) for each in cams]
    return run_sweep(session, variants, targets, parent, goal=goal)


def _variants(session: Session, values: Mapping[str, Sequence[Any]]) -> list[Variant]:
    """Return the combinations of values, as Python has them."""
    if not isinstance(values, Mapping) or not values:
        raise InvalidConfig(
            f"a sweep needs options and values, as in {{'mesh.min_angle': [1, 2]}}, not {shown(values)}"
        )
    by_text: dict[str, dict[str, Any]] = {}
    for key, several in values.items():
        if not isinstance(key, str):
            raise InvalidConfig(f"a sweep needs names of options, such as 'mesh.min_angle', not {shown(key)}")
        several = several.tolist() if isinstance(several, np.ndarray) else several
        if isinstance(several, str) or not isinstance(several, Sequence):
            raise InvalidConfig(f"the values of {key} must be a list, as in {{{key!r}: [1, 2]}}, not {shown(several)}")
        if key in ("cam", "clips"):
            raise InvalidConfig(f"{key} is an argument of its own in a sweep; pass several paths as cam=['30', '60']")
        if key.partition(".")[0] in session.own_roles:
            raise InvalidConfig(f"{key} cannot be changed: the {key.partition('.')[0]} is an object of the caller")
        by_text[key] = {_text(value): value for value in several}
    given = config_tree(session.config)
    variants = []
    for texts in combinations({key: list(several) for key, several in by_text.items()}):
        tree = given
        for key, text in texts.items():
            section, _, option = key.rpartition(".")
            value = by_text[key][text]
            tree = merge(tree, tables({section: {option: value}} if section else {option: value}))
        variants.append(Variant(values=texts, config=make_config(tree)))
    return variants


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def run_sweep(
    session: Session,
    variants: Sequence[Variant],
    targets: Sequence[Target],
    parent: Path,
    *,
    goal: Goal = "result",
    save_mesh: MeshChoice | None = None,
    mesh_format: MeshFormat = "ply",
) -> Sweep:
    """Run clips with each combination, and write the table into `parent`.

    Args:
        session: reports progress; combinations share its components where their options allow it.
        variants: the combinations.
        targets: the clips and paths.
        parent: parent of the folders of the combinations.
        goal: the last stage.
        save_mesh: write the mesh of the first frame or of all frames.
        mesh_format: file format of meshes.

    Raises:
        InvalidConfig: a value is invalid.
        ComponentNotFound: a component does not exist.
        OutputFailed: the table cannot be written.
    """
    errors = _check(session, variants, goal)
    write = partial(export, goal=goal, save_mesh=save_mesh, mesh_format=mesh_format, announce=True)
    rows: list[Row] = []
    for number, variant in enumerate(variants):
        if number not in errors:
            session = session.changed(variant.config)  # the one before is dropped, and what it alone has loaded
        for target in targets:
            *earlier, folder = (target.folder_in(parent / each.folder_name) for each in variants[: number + 1])
            row = Row(
                values=variant.values,
                outcome=Outcome(clip=target.clip, folder=folder, cam=target.title, error=errors.get(number)),
            )
            rows.append(row if number in errors else _run(session, row, target, earlier, goal, write))
    return write_tables(rows, parent)


def _check(session: Session, variants: Sequence[Variant], goal: Goal) -> dict[int, str]:
    """Return the errors of combinations whose components cannot be used, by number.

    Raises:
        InvalidConfig: a value is invalid; nothing has run yet.
        ComponentNotFound: a component does not exist.
    """
    errors: dict[int, str] = {}
    roles, sentences = roles_for(goal), dict[str, None]()
    for number, variant in enumerate(variants):
        try:
            changed = session.changed(variant.config)
            changed.check(*roles)
            sentences |= dict.fromkeys(ignored_settings(changed, roles))
        except (InvalidConfig, ComponentNotFound):
            raise
        except Ex4dError as error:
            errors[number] = str(error)
    for sentence in sentences:
        session.reporter.warn(sentence)
    return errors


def _run(
    session: Session,
    row: Row,
    target: Target,
    earlier: Sequence[Path],
    goal: Goal,
    write: Callable[[PathRun], Exported],
) -> Row:
    metrics: dict[str, float] = {}

    def work() -> Exported:
        with leaving_nothing_if_failed(row.outcome.folder):
            clip_run = target.open(session, row.outcome.folder)
            clip_run.claim()
            before = len(clip_run.records)
            path_run = clip_run.along(target.cam)  # poses need the depth, for its intrinsics
            adopt_artifacts(path_run, earlier, goal)
            exported = write(path_run)
        metrics.update(measured(path_run.guidance, path_run.video if goal == "result" else None))
        return attrs.evolve(exported, records=tuple(clip_run.records[before:]))

    session.reporter.note(row.title)
    return attrs.evolve(row, outcome=attempt(row.outcome, work), metrics=metrics)


def measured(guidance: Guidance, video: Video | None) -> dict[str, float]:
    """Return measures of a run that need no truth, by column of the table.

    Args:
        guidance: the guidance.
        video: the result, if there is one.

    Returns:
        `known` and `known_last`, the visible fraction of all frames but the first and of the last one; `flicker`, the
        fraction of pixels that change between visible and hidden; `known_psnr`, the PSNR of the result against the
        guidance over its visible region in dB, mean over frames.
    """
    import torch

    from ex4d_core.masks.statistics import measure

    statistics = measure(guidance.mask)
    values = {"known": statistics.known, "known_last": statistics.known_last, "flicker": statistics.flicker}
    if video is not None:
        errors = [
            (made[mask].float() - color[mask].float()).square().mean()
            for made, color, mask in zip(video.frames, guidance.color, guidance.mask, strict=True)
            if mask.any()
        ]
        values["known_psnr"] = float((10 * torch.log10(255**2 / torch.stack(errors))).mean())  # inf if equal
    return values
