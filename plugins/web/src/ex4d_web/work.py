"""The jobs of the app: each returns a function that the queue calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ex4d_core.cameras.language import cam_file_part
from ex4d_core.pipeline.session import Session
from ex4d_core.preview.build import make_preview
from ex4d_core.preview.sampling import size_within
from ex4d_core.runs.export import export, export_depth
from ex4d_core.video_io import probe_video, read_video, write_video
from ex4d_web import reproduce
from ex4d_web.job_queue import Job
from ex4d_web.models import Models
from ex4d_web.projects import Facts, Project

Work = Callable[[Job], None]

PREVIEW_FRAMES, PREVIEW_SIDE = 13, 256
"""Largest number of frames of a path preview, and their longer side in pixels."""

PART = "part.mp4"
"""The selected part of the clip, small, in a format that every browser plays."""

PART_SIDE = 480

DEPTH, PREVIEW, GENERATION = "Depth", "Preview", "Generation"
"""Titles of the jobs."""


def probe(project: Project) -> None:
    """Record size, rate and length of the uploaded clip.

    Raises:
        InvalidInput: it is not a clip.
    """
    info = probe_video(project.clip)
    project.change(width=info.width, height=info.height, fps=float(info.fps), num_frames=info.num_frames)


def write_part(project: Project) -> Path:
    """Write the selected part of the clip as a small video, and return its path.

    Raises:
        InvalidInput: it cannot be decoded.
    """
    settings = project.settings
    width, height = (side // 2 * 2 for side in size_within((settings.width, settings.height), PART_SIDE))
    video = read_video(
        project.clip, start=settings.start, stride=settings.stride, num_frames=settings.count, size=(width, height)
    )
    write_video(video, project.folder / PART)
    return project.folder / PART


def estimate_depth(project: Project, models: Models, *, device: str) -> Work:
    """Return the job that writes the depth of the selected part, and its preview, into the run folder."""
    settings = project.settings

    def work(job: Job) -> None:
        with models.session(settings.tables(project.folder, device=device), job) as session:
            clip = session.open_clip(project.clip, folder=project.run)
            files = _relative(project, export_depth(clip, preview=True).files)
            notes = [*job.status().notes, *_terms(session, ["depth"])]
        choice = list(settings.depth_choice)
        project.record(depth={"choice": choice, "files": files, "notes": notes}, preview={}, result={})

    return work


def preview_path(project: Project, models: Models, *, device: str) -> Work:
    """Return the job that renders small views along the path."""
    settings = project.settings

    def work(job: Job) -> None:
        with models.session(settings.tables(project.folder, device=device), job) as session:
            made = make_preview(session, project.clip, folder=project.run, frames=PREVIEW_FRAMES, side=PREVIEW_SIDE)
        (path,) = made.paths
        facts: Facts = {
            "cam": settings.cam,
            "choice": list(settings.depth_choice),
            "files": _relative(project, made.files),
            "visible": [round(fraction, 4) for fraction in path.visible],
            "frames": list(path.frames),
            "warnings": [warning.sentence for warning in path.warnings],
        }
        project.record(preview=facts)

    return work


def generate(project: Project, models: Models, *, device: str) -> Work:
    """Return the job that writes the result, its guidance, cameras and the mesh of the first frame."""
    settings = project.settings

    def work(job: Job) -> None:
        with models.session(settings.tables(project.folder, device=device), job) as session:
            session.check("mesh", "renderer", "backbone")
            clip = session.open_clip(project.clip, folder=project.run)
            exported = export(clip.along(settings.cam), save_mesh="first", mesh_format="glb", announce=True)
            used = reproduce.resolved(
                settings, depth=session.choose("depth").offer.name, backbone=session.choose("backbone").offer.name
            )
            notes = [*job.status().notes, *_terms(session, ["depth", "backbone"])]
        facts: Facts = {
            "cam": settings.cam,
            "files": _relative(project, exported.files),
            "seconds": {record.stage: record.cost.seconds for record in exported.records if not record.reused},
            "notes": notes,
            "command": reproduce.command(used),
            "python": reproduce.python(used),
        }
        project.record(result=facts)

    return work


def live_preview(project: Project, cam: str) -> Path:
    """Return the path of the preview that a backbone may publish while it generates."""
    return project.run / f"preview_{cam_file_part(cam)}.mp4"


def _relative(project: Project, files: Mapping[str, Path]) -> dict[str, str]:
    return {label: project.relative(path) for label, path in files.items()}


def _terms(session: Session, roles: Iterable[str]) -> list[str]:
    """Return the terms that restrict the use of the results, if any."""
    chosen = [session.choose(role) for role in roles]
    terms = [(each.offer.name, each.offer.spec.usage_terms_for(each.options)) for each in chosen]
    return [f"{name}: {sentence}" for name, sentence in terms if sentence]
