"""Run many clips along many paths in one session; a failing clip does not stop the others."""

from __future__ import annotations

import glob
import itertools
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ex4d_core.command_exit import interrupt_behind
from ex4d_core.errors import Ex4dError, tracing, unexpected
from ex4d_core.names import name_key, numbered, safe_name
from ex4d_core.pipeline.artifacts import StageRecord
from ex4d_core.pipeline.clip_identity import owner_of, real_path
from ex4d_core.pipeline.clip_run import ClipRun, PathRun
from ex4d_core.pipeline.clips import clip_hash
from ex4d_core.pipeline.failed_runs import leaving_nothing_if_failed
from ex4d_core.pipeline.forecast import announce_cost, remember_cost
from ex4d_core.pipeline.inputs import is_same, refuse_inputs
from ex4d_core.pipeline.records import RUN_RECORD, Record
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.store import Store, content_key
from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
from ex4d_core.runs.export import Exported, Goal, MeshChoice, MeshFormat, export, export_depth
from ex4d_core.terminal import say

if TYPE_CHECKING:
    from ex4d_core.depth_io.write import DepthFormat
    from ex4d_core.masks.options import MaskOptions

VIDEO_SUFFIXES = frozenset(
    ".3gp .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ts .webm .wmv".split()  # noqa: SIM905  # a list of them is three times as long
)
"""Suffixes of videos in folders; a file that is given by name may have any suffix."""


@attrs.frozen(kw_only=True)
class Outcome:
    """The result of one clip along one path, or of its depth."""

    clip: Path
    folder: Path
    cam: str | None = None
    """The path, or None if the command has none."""
    error: str | None = None
    """One sentence, or None if the run succeeded."""
    unexpected: bool = False
    """Whether the error is none of ex4d's, so that the state of the process, or of its GPU, is undefined."""
    files: dict[str, Path] = attrs.field(factory=dict)
    records: tuple[StageRecord, ...] = ()

    @property
    def title(self) -> str:
        """Clip and path, for messages."""
        return str(self.clip) if self.cam is None else f"{self.clip} --cam {self.cam}"


def find_clips(inputs: Iterable[str]) -> list[Path]:
    """Return the clips of paths, folders of videos and patterns such as `clips/*.mp4`, in order.

    A folder without videos is one clip, of images. Missing files stay in the list, and fail when they are run.
    """
    paths = [Path(match) for text in inputs for match in ([] if os.path.exists(text) else _matches(text)) or [text]]
    return list(dict.fromkeys(clip for path in paths for clip in (_clips_in(path) if os.path.isdir(path) else [path])))


def _print_note(text: str) -> None:
    say(text, err=True)


def run_folders(clips: Sequence[Path], parent: Path, *, note: Callable[[str], None] = _print_note) -> list[Path]:
    """Return a run folder for each clip, named after it.

    If the name is in use by another clip, the folder of the clip or a number is added. Names that are invalid for
    folders are changed, so that all run folders are inside `parent`.

    Args:
        clips: videos or folders of images, which need not exist.
        parent: parent of the run folders.
        note: called with a message if the folder with the name of a clip belongs to another clip.
    """
    taken: set[str] = set()
    folders = []
    for clip in clips:
        others: list[str] = []
        for name in _folder_names(clip):
            if name_key(name) in taken:
                continue
            owner = str(clip) if is_same(parent / name, clip) else _other_owner(parent / name, clip)
            if owner is None:
                break
            others.append(f"{parent / name} " + ("is the clip" if owner == str(clip) else f"belongs to {owner}"))
        taken.add(name_key(name))
        folders.append(parent / name)
        if others:
            note(f"{others[0]}; the outputs of {clip} are in {parent / name}")
    return folders


def _folder_names(clip: Path) -> Iterator[str]:
    """Yield names for the run folder of a clip, preferred ones first."""
    above, name = os.path.split(real_path(clip))
    is_named = clip.name not in ("", "..")  # otherwise the resolved path has the name
    stem = (clip.name if is_named else name) if os.path.isdir(clip) else clip.stem
    longer = f"{os.path.basename(above)}-{stem}"
    return map(safe_name, itertools.chain([stem, longer], numbered(stem, first=2)))


def _other_owner(folder: Path, clip: Path) -> str | None:
    """Return the clip that a folder belongs to, or None if it belongs to no other clip."""
    try:
        facts = Record(folder / RUN_RECORD).read()
    except Ex4dError:  # the run reports it
        return None
    return owner_of(facts, real_path(clip), partial(_hash_of, clip))


def _hash_of(clip: Path) -> str:
    try:
        return clip_hash(clip)
    except (Ex4dError, OSError):  # no such clip
        return ""


def run_batch(
    session: Session,
    clips: Sequence[Path],
    folders: Sequence[Path],
    *,
    goal: Goal = "result",
    save_mesh: MeshChoice | None = None,
    mesh_format: MeshFormat = "ply",
    shared: Path | None = None,
) -> list[Outcome]:
    """Run every clip along every path of the configuration; return the outcome of each.

    Args:
        session: the components and options.
        clips: videos or folders of images.
        folders: the run folder of each.
        goal: the last stage.
        save_mesh: as for `export`.
        mesh_format: as for `export`.
        shared: another run folder, whose artifacts are used if their inputs are equal.
    """

    def write(clip_run: ClipRun, cam: str) -> Exported:
        path_run = clip_run.along(cam)
        adopt_artifacts(path_run, [shared] if shared else [], goal)
        return export(path_run, goal=goal, save_mesh=save_mesh, mesh_format=mesh_format, announce=True)

    return [
        _run_one(session, Outcome(clip=clip, folder=folder, cam=cam), partial(write, cam=cam))
        for clip, folder in zip(clips, folders, strict=True)
        for cam in session.config.cam
    ]


def adopt_artifacts(path_run: PathRun, folders: Sequence[Path], goal: Goal) -> None:
    """Take over the artifacts of other run folders that have the same inputs.

    Raises:
        OutputFailed: the folder cannot be written to, or the disk is full.
    """
    store = path_run.clip_run.store
    if store is None or not folders:
        return
    inputs = {"depth": path_run.clip_run.depth_inputs, "guidance": path_run.guidance_inputs}
    if goal == "result":
        inputs["result"] = path_run.video_inputs
    for stage, tree in inputs.items():
        store.adopt(stage, content_key(tree), [Store(folder, read_only=True) for folder in folders])


def depth_batch(
    session: Session,
    clips: Sequence[Path],
    folders: Sequence[Path],
    *,
    formats: Sequence[DepthFormat] = (),
    preview: bool = True,
) -> list[Outcome]:
    """Write the depth of every clip; return the outcome of each."""
    write = partial(export_depth, formats=formats, preview=preview)
    return [
        _run_one(session, Outcome(clip=clip, folder=folder), write) for clip, folder in zip(clips, folders, strict=True)
    ]


def mask_batch(
    session: Session, clips: Sequence[Path], folders: Sequence[Path], *, options: MaskOptions, count: int, depth: bool
) -> list[Outcome]:
    """Write simulated masks of every clip, with or without its depth; return the outcome of each."""
    from ex4d_core.masks.sheet import mask_files, write_masks

    def write(clip_run: ClipRun) -> Exported:
        assert clip_run.folder is not None, "masks need a run folder"
        refuse_inputs(mask_files(clip_run.folder, options).values(), clip_run.input_files)
        announce_cost(clip_run, "depth" if depth else "read")
        scene = clip_run.scene if depth else clip_run.video
        seeds = [(session.config.seed + number) % 2**64 for number in range(count)]  # range of torch generators
        with session.reporter.stage("masks") as progress:
            files = write_masks(
                scene,
                clip_run.folder,
                options=options,
                seeds=seeds,
                builder=session.mesh_builder(),
                renderer=session.renderer(),
                device=session.device,
                progress=progress,
            )
        remember_cost(clip_run)
        return Exported(files=files, records=tuple(clip_run.records))

    return [
        _run_one(session, Outcome(clip=clip, folder=folder), write) for clip, folder in zip(clips, folders, strict=True)
    ]


def _run_one(session: Session, outcome: Outcome, write: Callable[[ClipRun], Exported]) -> Outcome:
    def work() -> Exported:
        with redirect_stdout_to_stderr(), leaving_nothing_if_failed(outcome.folder):
            clip_run = session.open_clip(outcome.clip, folder=outcome.folder)
            clip_run.claim()
            return write(clip_run)

    session.reporter.note(outcome.title)
    return attempt(outcome, work)


def attempt(outcome: Outcome, work: Callable[[], Exported]) -> Outcome:
    """Return an outcome with the files and stages of a run, or with its error."""
    try:
        exported = work()
    except Exception as error:  # errors of plugins do not stop the other clips
        if stop := interrupt_behind(error):  # which became another error, or was followed by one
            raise stop from error
        if isinstance(error, Ex4dError):
            return _failed(outcome, str(error))
        return attrs.evolve(_failed(outcome, unexpected(error)), unexpected=True)
    return attrs.evolve(outcome, files=exported.files, records=exported.records)


def _failed(outcome: Outcome, sentence: str) -> Outcome:
    if tracing():
        traceback.print_exc()
    return attrs.evolve(outcome, error=sentence)


def _matches(pattern: str) -> list[str]:
    try:
        return sorted(glob.glob(pattern, recursive=True))
    except ValueError:  # a NUL
        return []


def _clips_in(folder: Path) -> list[Path]:
    """Return the videos in a folder; the folder itself if it has none or cannot be read."""
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return [folder]
    return [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES] or [folder]
