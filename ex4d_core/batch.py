"""Many clips along many paths with one session; a bad clip does not stop the rest."""

from __future__ import annotations

import glob
import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import attrs

from ex4d_core.depth_export import DepthFormat
from ex4d_core.errors import Ex4dError, describe
from ex4d_core.masking.options import MaskOptions
from ex4d_core.masking.sheet import write_masks
from ex4d_core.pipeline import Shot, StageRecord
from ex4d_core.run_folder import Exported, Goal, MeshChoice, MeshFormat, export, export_depth
from ex4d_core.session import Session
from ex4d_core.stray_output import stray_output

VIDEO_SUFFIXES = frozenset(
    ".3gp .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ts .webm .wmv".split()  # noqa: SIM905  # a list of them is three times as long
)
"""What counts as a video in a folder; a file that is named outright is tried whatever its suffix."""


@attrs.frozen(kw_only=True)
class Outcome:
    """How one clip along one path ended, or its depth."""

    clip: Path
    folder: Path
    cam: str | None = None
    """The path, or None where no camera moves."""
    error: str | None = None
    """One sentence, or None where it went well."""
    files: dict[str, Path] = attrs.field(factory=dict)
    records: tuple[StageRecord, ...] = ()

    @property
    def title(self) -> str:
        """The clip and the path in words."""
        return str(self.clip) if self.cam is None else f"{self.clip} --cam {self.cam}"


def find_clips(inputs: Iterable[str]) -> list[Path]:
    """Return the clips that paths, folders of videos and patterns such as `clips/*.mp4` name, in order.

    A folder without videos is one clip, of images. What does not exist stays in the list: running it says so.
    """
    paths = [Path(match) for text in inputs for match in ([] if Path(text).exists() else _matches(text)) or [text]]
    return list(dict.fromkeys(clip for path in paths for clip in (_clips_in(path) if path.is_dir() else [path])))


def run_folders(clips: Sequence[Path], parent: Path) -> list[Path]:
    """Return a run folder for each clip, named after it; clips of one name get their folder's name too, or a number."""
    names: list[str] = []
    for clip in clips:
        stem = clip.name if clip.is_dir() else clip.stem
        choices = [stem, f"{clip.resolve().parent.name}-{stem}", *(f"{stem}-{n}" for n in range(2, len(clips) + 2))]
        names.append(next(choice for choice in choices if choice not in names))
    return [parent / name for name in names]


def run_batch(
    session: Session,
    clips: Sequence[Path],
    folders: Sequence[Path],
    *,
    goal: Goal = "result",
    save_mesh: MeshChoice | None = None,
    mesh_format: MeshFormat = "ply",
) -> list[Outcome]:
    """Run every clip along every path of the session's configuration and say how each ended."""

    def write(shot: Shot, cam: str) -> Exported:
        return export(shot.take(cam), goal=goal, save_mesh=save_mesh, mesh_format=mesh_format)

    return [
        _run_one(session, Outcome(clip=clip, folder=folder, cam=cam), partial(write, cam=cam))
        for clip, folder in zip(clips, folders, strict=True)
        for cam in session.config.cam
    ]


def depth_batch(
    session: Session,
    clips: Sequence[Path],
    folders: Sequence[Path],
    *,
    formats: Sequence[DepthFormat] = (),
    preview: bool = True,
) -> list[Outcome]:
    """Write the depth of every clip and say how each ended."""
    write = partial(export_depth, formats=formats, preview=preview)
    return [
        _run_one(session, Outcome(clip=clip, folder=folder), write) for clip, folder in zip(clips, folders, strict=True)
    ]


def mask_batch(
    session: Session, clips: Sequence[Path], folders: Sequence[Path], *, options: MaskOptions, count: int, depth: bool
) -> list[Outcome]:
    """Write simulated masks of every clip, with or without its depth, to look at, and say how each ended."""

    def write(shot: Shot) -> Exported:
        assert shot.folder is not None, "masks need a run folder"
        scene, seed = shot.scene if depth else shot.video, session.config.seed
        with session.reporter.stage("masks") as progress:
            files = write_masks(
                scene,
                shot.folder,
                options=options,
                seeds=range(seed, seed + count),
                builder=session.mesh_builder(),
                renderer=session.renderer(),
                device=session.device,
                progress=progress,
            )
        return Exported(files=files, records=tuple(shot.records))

    return [
        _run_one(session, Outcome(clip=clip, folder=folder), write) for clip, folder in zip(clips, folders, strict=True)
    ]


def _run_one(session: Session, outcome: Outcome, write: Callable[[Shot], Exported]) -> Outcome:
    try:
        session.reporter.note(outcome.title)
        with stray_output():
            exported = write(session.shot(outcome.clip, folder=outcome.folder))
    except Ex4dError as error:
        return _failed(outcome, str(error))
    # A plugin may fail in ways that nobody foresaw; the other clips still run.
    except Exception as error:
        return _failed(outcome, f"unexpected {describe(error)}; set EX4D_TRACE=1 to see where")
    return attrs.evolve(outcome, files=exported.files, records=exported.records)


def _failed(outcome: Outcome, sentence: str) -> Outcome:
    if os.environ.get("EX4D_TRACE"):
        traceback.print_exc()
    return attrs.evolve(outcome, error=sentence)


def _matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))


def _clips_in(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in VIDEO_SUFFIXES] or [folder]
