"""What a run leaves for people and for other tools, beside the artifacts: videos, cameras, a sheet, `run.json`."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import attrs
import cv2
import numpy as np
import torch

from ex4d_core.cameras.language import cam_file_part
from ex4d_core.config.run_config import make_config, read_config, write_config
from ex4d_core.depth_io.write import DepthFormat, png_error, write_depth
from ex4d_core.errors import Ex4dError, InputNotFound
from ex4d_core.files import replacing
from ex4d_core.mesh_io import write_mesh
from ex4d_core.pictures.contact_sheet import contact_sheet
from ex4d_core.pictures.depth_video import write_preview
from ex4d_core.pipeline.clip_run import Shot, StageRecord, Take
from ex4d_core.pipeline.measure import Cost
from ex4d_core.pipeline.outputs import OutputGroup, bring_up_to_date
from ex4d_core.pipeline.records import RUN_RECORD, Facts, Record
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.store import content_key
from ex4d_core.progress import Reporter
from ex4d_core.types import Video
from ex4d_core.version import __version__
from ex4d_core.video_io import write_mask, write_video

Goal = Literal["guidance", "result"]
MeshChoice = Literal["first", "all"]
MeshFormat = Literal["ply", "glb"]

DEPTH_FILES: dict[DepthFormat, tuple[str, str]] = {
    "npz": ("depth", "depth.npz"),
    "png": ("png", "depth_png"),
    "exr": ("exr", "depth_exr"),
}
"""For each format, what its file or folder is and what it is called."""

CONFIG = "config.toml"
"""What runs the same again."""

COARSE = 0.01
"""Share of its depth that a point may be off in a 16-bit PNG before that is said."""


@attrs.frozen(kw_only=True)
class Exported:
    """What a take, or a shot's depth, left and what it took."""

    files: dict[str, Path]
    """By what they are: `result`, `color`, `mask`, `camera`, `sheet`, `mesh`; `depth`, `png`, `exr`, `preview`."""
    records: tuple[StageRecord, ...]
    """The stages that were run or found for it."""


def export(
    take: Take, *, goal: Goal = "result", save_mesh: MeshChoice | None = None, mesh_format: MeshFormat = "ply"
) -> Exported:
    """Bring a take's files up to date in its run folder.

    Files that an earlier run left are kept when they were made from the same artifacts; one that was changed since
    is renamed.

    Raises:
        OutputFailed: the folder cannot be written to, or the disk is full.
    """
    groups = _groups(take, goal, save_mesh, mesh_format)
    take.shot.claim()
    _write_config(take.shot)  # first, so that a run can be looked at while it lasts
    exported = _bring_up_to_date(take.shot, groups)
    inputs = take.video_inputs if goal == "result" else take.guidance_inputs
    done = {"inputs": inputs, "stages": list(map(_record, exported.records))}
    with take.shot.record.changing() as change:
        change.table("takes")[take.cam] = done
        change.facts |= _facts(take.shot)
    return exported


def export_depth(shot: Shot, *, formats: Iterable[DepthFormat] = (), preview: bool = True) -> Exported:
    """Bring a clip's depth in its run folder up to date: `depth.npz`, other formats on request, a preview.

    Depth that was edited since it was written stays as it is; where it is of other options it makes way, renamed.

    Raises:
        OutputFailed: the folder cannot be written to, or the disk is full.
    """
    shot.claim()
    if shot.folder is not None and not (shot.folder / CONFIG).exists():
        _write_config(shot)
    exported = _bring_up_to_date(shot, _depth_groups(shot, formats, preview))
    done = {"inputs": shot.depth_inputs, "stages": list(map(_record, exported.records))}
    with shot.record.changing() as change:
        change.facts |= {"depth": done, **_facts(shot)}
    return exported


def open_run(folder: Path, *, reporter: Reporter | None = None) -> Shot:
    """Return the clip of a run folder with the settings of its last run, to see what that run has made so far.

    `Shot.stored_depth`, `Take.stored_guidance` and `Take.stored_video` say what is there. The folder is only read:
    nothing is made, written, renamed or removed.

    Raises:
        InputNotFound: there is no such folder, it is no run folder, or the clip is not where it was.
        InvalidConfig: its configuration cannot be read.
        InvalidInput: its clip cannot be read.
    """
    if not os.path.isdir(folder):
        raise InputNotFound(f"there is no run folder {folder}; a run makes it: ex4d run CLIP -o {folder.parent}")
    if not os.path.isfile(folder / CONFIG):
        raise InputNotFound(f"{folder} is no run folder, it has no {CONFIG}; name the folder that a run has made")
    config = make_config(read_config(folder / CONFIG))
    clips = [*_recorded_clip(folder), *config.clips[:1]]
    if not clips:
        raise InputNotFound(f"the run {folder} was made of frames in memory, which are gone; run it on a file")
    for clip in clips:  # the configuration may name it from another folder, and has no name that is not UTF-8
        if os.path.exists(clip):
            return Session(config, reporter=reporter).shot(clip, folder=folder, read_only=True)
    raise InputNotFound(f"the clip {clips[0]} of the run {folder} is not here; start this where the run was started")


def _recorded_clip(folder: Path) -> list[str]:
    """Return where the clip of a run was, if the run's record says so."""
    try:
        path = Record(folder / RUN_RECORD).read().get("source", {}).get("path")
    except Ex4dError:  # it is not needed where the configuration names the clip
        return []
    return [path] if path else []


def _bring_up_to_date(shot: Shot, groups: Iterable[OutputGroup]) -> Exported:
    records_before = len(shot.records)
    files: dict[str, Path] = {}
    for group in groups:
        fresh = bring_up_to_date(group, shot.record, shot.session.reporter)
        if fresh and group.stage:
            shot.records.append(StageRecord(stage=group.stage, key=group.key, reused=True, cost=Cost()))
        files |= group.files
    return Exported(files=files, records=tuple(shot.records[records_before:]))


def _depth_groups(shot: Shot, formats: Iterable[DepthFormat], preview: bool) -> Iterator[OutputGroup]:
    folder = shot.folder
    assert folder is not None
    cameras = shot.motion_inputs["source_cameras"]
    inputs = {"depth": shot.depth_inputs, "lens": shot.lens_inputs, "source_cameras": cameras}
    wanted = {"npz", *formats}
    for kind, (label, name) in DEPTH_FILES.items():
        if kind in wanted:
            yield OutputGroup(
                key=content_key(inputs),
                files={label: folder / name},
                write=partial(_write_depth, shot, name, kind),
                stage="depth" if kind == "npz" else "",
                editable=True,
            )
    if preview:
        path = folder / "depth_preview.mp4"
        key = content_key({**inputs, "fps": str(shot.fps)})
        yield OutputGroup(key=key, files={"preview": path}, write=partial(_write_preview, shot, path.name))


def _write_depth(shot: Shot, name: str, format: DepthFormat, folder: Path) -> None:
    depth, reporter = shot.scene.depth, shot.session.reporter
    write_depth(depth, folder / name, format=format)
    if format == "png" and (error := png_error(depth)) > COARSE:
        assert shot.folder is not None
        path = shot.folder / name
        reporter.warn(
            f"16 bits are coarse for this depth: {path} is up to {error:.0%} off at its nearest point; EXR is exact"
        )


def _write_preview(shot: Shot, name: str, folder: Path) -> None:
    scene = shot.scene
    with shot.session.reporter.stage("preview") as progress:
        write_preview(scene, folder / name, progress=progress)


def _groups(take: Take, goal: Goal, save_mesh: MeshChoice | None, mesh_format: MeshFormat) -> list[OutputGroup]:
    folder, part = take.shot.folder, cam_file_part(take.cam)
    assert folder is not None, "exports need a run folder"
    names = {"color": f"color_{part}.mp4", "mask": f"mask_{part}.mp4", "camera": f"camera_{part}.npz"}
    groups = [
        OutputGroup(
            key=content_key(take.guidance_inputs),
            files={label: folder / name for label, name in names.items()},
            write=partial(_write_guidance, take, names),
            stage="guidance",
        )
    ]
    if save_mesh:
        groups.append(_mesh_group(take.shot, folder, save_mesh, mesh_format))
    if goal == "result":
        names = {"result": f"result_{part}.mp4", "sheet": f"sheet_{part}.png"}
        groups.append(
            OutputGroup(
                key=content_key(take.video_inputs),
                files={label: folder / name for label, name in names.items()},
                write=partial(_write_result, take, names),
                stage="result",
            )
        )
    return groups


def _write_guidance(take: Take, names: dict[str, str], folder: Path) -> None:
    guidance = take.guidance
    write_video(Video(frames=guidance.color, fps=guidance.fps), folder / names["color"])
    write_mask(guidance.mask, folder / names["mask"], fps=guidance.fps)
    assert guidance.cameras is not None
    with replacing(folder / names["camera"]) as temporary:
        np.savez(temporary, **guidance.cameras.to_ex4d_npz())  # type: ignore[arg-type]  # numpy types savez's arrays as its flags


def _write_result(take: Take, names: dict[str, str], folder: Path) -> None:
    write_video(take.video, folder / names["result"])
    _write_sheet(take, folder / names["sheet"])


def _mesh_group(shot: Shot, folder: Path, choice: MeshChoice, suffix: MeshFormat) -> OutputGroup:
    """Frame 0 is `DW-Mesh.ply`, the reference's name; all of them are `DW-Mesh_00000.ply` and on."""
    stems = [f"DW-Mesh_{frame:05d}" for frame in range(shot.video.num_frames)] if choice == "all" else ["DW-Mesh"]
    names = [f"{stem}.{suffix}" for stem in stems]

    def write(folder: Path) -> None:
        for frame, name in enumerate(names):
            write_mesh(shot.mesh(frame), folder / name)

    key = content_key(
        {"depth": shot.depth_inputs, "lens": shot.lens_inputs, "mesh": shot.session.choose("mesh").identity()}
    )
    labels = ["mesh"] if choice == "first" else [f"mesh {frame}" for frame in range(len(names))]
    files = {label: folder / name for label, name in zip(labels, names, strict=True)}
    return OutputGroup(key=key, files=files, write=write)


def _write_sheet(take: Take, path: Path) -> None:
    guidance = take.guidance
    rows = {
        "input": take.scene.video.frames,
        "guidance": guidance.color,
        "mask": guidance.mask,
        "output": take.video.frames,
    }
    with replacing(path) as temporary:
        sheet = cv2.cvtColor(contact_sheet(rows).numpy(), cv2.COLOR_RGB2BGR)
        temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())  # imwrite would not say why it failed


def _facts(shot: Shot) -> Facts:
    """Return what `run.json` says of the latest run."""
    return {
        "versions": {
            "ex4d": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
        "device": str(shot.session.device),
        "seed": shot.session.config.seed,
    }


def _write_config(shot: Shot) -> None:
    assert shot.folder is not None
    clips = () if isinstance(shot.clip, Video) else (shot.title,)
    text = write_config(attrs.evolve(shot.session.config, clips=clips))
    try:
        # Python reads bytes that its locale has no characters for as halves of characters; most often they are UTF-8.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:  # TOML has no way to write them
        shot.session.reporter.warn(
            f"{shot.folder / CONFIG} has '?' in place of bytes that are not UTF-8 in names; "
            "rename those files to run it again"
        )
    with replacing(shot.folder / CONFIG) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


def _record(record: StageRecord) -> Facts:
    cost = attrs.asdict(record.cost)
    return {"stage": record.stage, "key": record.key, "reused": record.reused, **cost}
