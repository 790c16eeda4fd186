"""Export a run: videos, cameras, contact sheet, `run.json` and `config.toml`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs
import numpy as np

from ex4d_core.cameras.language import cam_file_part
from ex4d_core.config.run_config import Tree, make_config
from ex4d_core.errors import Ex4dError, InputNotFound
from ex4d_core.files import atomic_write
from ex4d_core.names import text_hash
from ex4d_core.pipeline.ahead import Ahead
from ex4d_core.pipeline.artifacts import StageRecord
from ex4d_core.pipeline.clip_run import ClipRun, PathRun
from ex4d_core.pipeline.differences import differences
from ex4d_core.pipeline.forecast import announce_cost, remember_cost
from ex4d_core.pipeline.inputs import is_input, refuse_inputs
from ex4d_core.pipeline.measure import Usage
from ex4d_core.pipeline.outputs import OutputGroup, is_outdated, update_files
from ex4d_core.pipeline.records import CONFIG as CONFIG
from ex4d_core.pipeline.records import RUN_RECORD, DamagedRecord, Facts, Record
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.store import content_key
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import Reporter
from ex4d_core.runs.run_facts import run_facts
from ex4d_core.runs.saved_config import is_same_config, read_run_config, run_config_toml
from ex4d_core.types import Video
from ex4d_core.video_io import write_mask, write_video

if TYPE_CHECKING:  # what writes files is imported when a file is written
    from ex4d_core.depth_io.write import DepthFormat

Goal = Literal["guidance", "result"]
MeshChoice = Literal["first", "all"]
MeshFormat = Literal["ply", "glb"]

DEPTH_FILES: dict[DepthFormat, tuple[str, str]] = {
    "npz": ("depth", "depth.npz"),
    "png": ("png", "depth_png"),
    "exr": ("exr", "depth_exr"),
}
"""Label and file or folder name of each format."""

DEPTH_BYTES: dict[DepthFormat, float] = {"npz": 4.0, "png": 2.0, "exr": 2.5}
"""Typical bytes of each pixel."""

MESH_BYTES = 41.0
"""Bytes of each pixel in a mesh: a vertex with its color, and two faces."""

COARSE = 0.01
"""Relative depth error of a 16-bit PNG above which a warning is printed."""


@attrs.frozen(kw_only=True)
class Exported:
    """The files of a run, and the stages behind them."""

    files: dict[str, Path]
    """By label: `result`, `color`, `mask`, `camera`, `sheet`, `mesh`; `depth`, `png`, `exr`, `preview`."""
    records: tuple[StageRecord, ...]
    """The stages that were run or reused."""


def export(
    path_run: PathRun,
    *,
    goal: Goal = "result",
    save_mesh: MeshChoice | None = None,
    mesh_format: MeshFormat = "ply",
    announce: bool = False,
) -> Exported:
    """Update the files of a path in the run folder.

    Files that were made from the same artifacts are kept. An edited file is renamed, not overwritten.

    Args:
        path_run: the clip along the path.
        goal: the last stage.
        save_mesh: write the mesh of the first frame or of all frames.
        mesh_format: file format of meshes.
        announce: warn of a result that is replaced, and of paths as a preview does.

    Raises:
        OutputFailed: the folder cannot be written to, the disk is full, or an output is an input of the run.
    """
    groups = _groups(path_run, goal, save_mesh, mesh_format, announce)
    refuse_inputs([path for group in groups for path in group.files.values()], path_run.clip_run.input_files)
    meshes = {None: 0.0, "first": 1 / path_run.clip_run.num_frames, "all": 1.0}[save_mesh] * MESH_BYTES
    announce_cost(path_run, goal, exports=meshes)
    path_run.clip_run.claim()
    _write_config(path_run.clip_run)  # first, so that a run can be viewed while it runs
    inputs = path_run.video_inputs if goal == "result" else path_run.guidance_inputs
    if announce:
        _name_replaced(path_run, groups, inputs)
    if goal == "result" and is_outdated(groups[-1], path_run.clip_run.record):
        path_run.load_ahead()
    exported = _update(path_run.clip_run, groups)
    done = {"inputs": inputs, "stages": list(map(_record, exported.records))}
    with path_run.clip_run.record.changing() as change:
        change.table("takes")[path_run.cam] = done
        change.facts |= run_facts(path_run.clip_run)
    remember_cost(path_run)
    return exported


def is_exported(
    path_run: PathRun, *, goal: Goal = "result", save_mesh: MeshChoice | None = None, mesh_format: MeshFormat = "ply"
) -> bool:
    """Return whether the files of a path are up to date in the run folder, so that `export` computes nothing.

    Raises:
        Ex4dError: the clip, an option or a file cannot be used.
    """
    record = path_run.clip_run.record
    if save_mesh == "all" or record.read() == {}:  # the number of meshes is that of the frames, known after decoding
        return False
    return not any(is_outdated(group, record) for group in _groups(path_run, goal, save_mesh, mesh_format, False))


def export_depth(clip_run: ClipRun, *, formats: Iterable[DepthFormat] = (), preview: bool = True) -> Exported:
    """Update the depth of a clip in the run folder: `depth.npz`, further formats and a preview.

    Edited depth is kept; if the options change, it is renamed.

    Raises:
        OutputFailed: the folder cannot be written to, or the disk is full.
    """
    announce_cost(clip_run, "depth", exports=sum(DEPTH_BYTES[each] for each in {"npz", *formats}))
    clip_run.claim()
    if clip_run.folder is not None and not (clip_run.folder / CONFIG).exists():
        _write_config(clip_run)
    exported = _update(clip_run, _depth_groups(clip_run, formats, preview))
    done = {"inputs": clip_run.depth_inputs, "stages": list(map(_record, exported.records))}
    with clip_run.record.changing() as change:
        change.facts |= {"depth": done, **run_facts(clip_run)}
    remember_cost(clip_run)
    return exported


def open_run(folder: Path, *, reporter: Reporter | None = None) -> ClipRun:
    """Open a run folder, read-only, with the clip and the settings of its last run.

    `ClipRun.stored_depth`, `PathRun.stored_guidance` and `PathRun.stored_video` return existing artifacts.

    Raises:
        InputNotFound: the folder does not exist or is not a run folder, or the clip was moved.
        InvalidConfig: its configuration cannot be read.
        InvalidInput: its clip cannot be read.
    """
    if os.path.isfile(folder):
        raise InputNotFound(f"{folder} is a file, not a run folder; create one of a clip with: ex4d run {folder}")
    if not os.path.isdir(folder):
        raise InputNotFound(f"the run folder {folder} does not exist; create it with: ex4d run CLIP -o {folder.parent}")
    if not os.path.isfile(folder / CONFIG):
        raise InputNotFound(f"{folder} is not a run folder, since it has no {CONFIG}; pass the folder of a run")
    registry = Registry()
    config = make_config(read_run_config(folder / CONFIG, registry))
    clips = [*_recorded_clip(folder), *config.clips[:1]]
    if not clips:
        raise InputNotFound(f"{folder} is a run of frames in memory, which cannot be opened; run a file instead")
    for clip in clips:  # the path in the configuration may be relative, and is UTF-8
        if os.path.exists(clip):
            return Session(config, registry=registry, reporter=reporter).open_clip(clip, folder=folder, read_only=True)
    raise InputNotFound(
        f"the clip {clips[0]} of the run {folder} does not exist; use the folder from which the run was started"
    )


def _recorded_clip(folder: Path) -> list[str]:
    """Return the recorded path of the clip of a run, if any."""
    try:
        path = Record(folder / RUN_RECORD).read().get("source", {}).get("path")
    except Ex4dError:  # the configuration may name the clip too
        return []
    return [path] if path else []


def _update(clip_run: ClipRun, groups: Iterable[OutputGroup]) -> Exported:
    reporter, records_before = clip_run.components.reporter, len(clip_run.records)
    files: dict[str, Path] = {}
    with clip_run.cache.storing_behind(), ExitStack() as writing:
        for group in groups:
            files |= group.files
            if any(is_input(path, clip_run.input_files) for path in group.files.values()):
                for path in group.files.values():
                    reporter.note(f"{path} is an input of this run; it is not overwritten")
                continue
            outdated = is_outdated(group, clip_run.record)
            if outdated:
                group.needs()
            elif group.stage:
                clip_run.records.append(StageRecord(stage=group.stage, key=group.key, reused=True, cost=Usage()))
            update = partial(update_files, group, clip_run.record, clip=clip_run.clip_identity, reporter=reporter)
            # The next stage computes while the files of this one are encoded.
            writing.callback(Ahead(update).result if outdated else update)
    return Exported(files=files, records=tuple(clip_run.records[records_before:]))


def _depth_groups(clip_run: ClipRun, formats: Iterable[DepthFormat], preview: bool) -> Iterator[OutputGroup]:
    folder = clip_run.folder
    assert folder is not None
    cameras = clip_run.motion_inputs["source_cameras"]
    inputs = {"depth": clip_run.depth_inputs, "lens": clip_run.lens_inputs, "source_cameras": cameras}
    wanted = {"npz", *formats}
    for kind, (label, name) in DEPTH_FILES.items():
        if kind in wanted:
            yield OutputGroup(
                key=content_key(inputs),
                files={label: folder / name},
                write=partial(_write_depth, clip_run, name, kind),
                stage="depth" if kind == "npz" else "",
                editable=True,
            )
    if preview:
        path = folder / "depth_preview.mp4"
        key = content_key({**inputs, "fps": str(clip_run.fps)})
        yield OutputGroup(key=key, files={"preview": path}, write=partial(_write_preview, clip_run, path.name))


def _write_depth(clip_run: ClipRun, name: str, format: DepthFormat, folder: Path) -> None:
    from ex4d_core.depth_io.write import png_error, write_depth

    depth, reporter = clip_run.estimated_scene.depth, clip_run.components.reporter
    write_depth(depth, folder / name, format=format)
    if format == "png" and (error := png_error(depth)) > COARSE:
        assert clip_run.folder is not None
        path = clip_run.folder / name
        reporter.warn(
            f"16 bits are too few for this depth: errors in {path} reach {error:.0%} at the nearest point; EXR is exact"
        )


def _write_preview(clip_run: ClipRun, name: str, folder: Path) -> None:
    from ex4d_core.pictures.depth_video import write_preview

    scene = clip_run.estimated_scene
    with clip_run.components.reporter.stage("preview") as progress:
        write_preview(scene, folder / name, progress=progress)


def _groups(
    path_run: PathRun, goal: Goal, save_mesh: MeshChoice | None, mesh_format: MeshFormat, announce: bool
) -> list[OutputGroup]:
    folder, part = path_run.clip_run.folder, cam_file_part(path_run.cam)
    assert folder is not None, "exports need a run folder"
    names = {"color": f"color_{part}.mp4", "mask": f"mask_{part}.mp4", "camera": f"camera_{part}.npz"}
    groups = [
        OutputGroup(
            key=content_key(path_run.guidance_inputs),
            files={label: folder / name for label, name in names.items()},
            needs=partial(_prepare_guidance, path_run, announce),
            write=partial(_write_guidance, path_run, names, announce),
            stage="guidance",
        )
    ]
    if save_mesh:
        groups.append(_mesh_group(path_run.clip_run, folder, save_mesh, mesh_format))
    if goal == "result":
        names = {"result": f"result_{part}.mp4", "sheet": f"sheet_{part}.png"}
        sound = {"sound": "copied"} if path_run.clip_run.has_sound else {}
        groups.append(
            OutputGroup(
                key=content_key({**path_run.video_inputs, **sound}),
                files={label: folder / name for label, name in names.items()},
                needs=lambda: path_run.video,
                write=partial(_write_result, path_run, names),
                stage="result",
            )
        )
    return groups


def _name_replaced(path_run: PathRun, groups: Sequence[OutputGroup], inputs: Tree) -> None:
    """Warn if the main video of other options is replaced, and name these options."""
    try:
        record = path_run.clip_run.record.read()
    except DamagedRecord:  # it is renamed when it is written
        return
    old = record.get("takes", {}).get(path_run.cam, {}).get("inputs", {})
    changed = differences(old, inputs) if isinstance(old, dict) else ""
    for group in reversed(groups):
        for label, path in group.files.items():
            stamp = record.get("files", {}).get(path.name, {})
            is_old = stamp.get("key") != group.key and path_run.clip_run.clip_identity.is_same(stamp.get("clip"))
            if changed and label in ("result", "color") and path.exists() and is_old:
                path_run.clip_run.components.reporter.warn(f"replaces {path}, made with {changed}")
                changed = ""


def _warn_of_path(path_run: PathRun) -> None:
    """Print the warnings that a preview prints."""
    from ex4d_core.preview.path_checks import check_guidance

    for warning in check_guidance(path_run.guidance, path_run.clip_run.scene.depth):
        path_run.clip_run.components.reporter.warn(f"--cam {path_run.cam}: {warning.sentence}")


def _prepare_guidance(path_run: PathRun, announce: bool) -> None:
    _ = path_run.guidance
    if announce:
        _ = path_run.clip_run.scene  # of stored guidance; the path is checked in another thread


def _write_guidance(path_run: PathRun, names: dict[str, str], announce: bool, folder: Path) -> None:
    if announce:
        _warn_of_path(path_run)
    guidance = path_run.guidance
    write_video(Video(frames=guidance.color, fps=guidance.fps), folder / names["color"])
    write_mask(guidance.mask, folder / names["mask"], fps=guidance.fps)
    assert guidance.cameras is not None
    with atomic_write(folder / names["camera"]) as temporary:
        np.savez(temporary, **guidance.cameras.to_ex4d_npz())  # type: ignore[arg-type]  # numpy declares **kwargs of savez as flags


def _write_result(path_run: PathRun, names: dict[str, str], folder: Path) -> None:
    warn = path_run.clip_run.components.reporter.warn
    write_video(path_run.video, folder / names["result"], sound=path_run.sound, warn=warn)
    _write_sheet(path_run, folder / names["sheet"])


def _mesh_group(clip_run: ClipRun, folder: Path, choice: MeshChoice, suffix: MeshFormat) -> OutputGroup:
    """Return the meshes: `DW-Mesh.ply` of frame 0, as in EX-4D, or `DW-Mesh_00000.ply` and so on of all frames."""
    stems = [f"DW-Mesh_{frame:05d}" for frame in range(clip_run.video.num_frames)] if choice == "all" else ["DW-Mesh"]
    names = [f"{stem}.{suffix}" for stem in stems]

    def write(folder: Path) -> None:
        from ex4d_core.mesh_io import write_mesh

        for frame, name in enumerate(names):
            write_mesh(clip_run.mesh(frame), folder / name)

    key = content_key(
        {
            "depth": clip_run.depth_inputs,
            "lens": clip_run.lens_inputs,
            "refine": attrs.asdict(clip_run.components.config.refine),
            "mesh": clip_run.components.choose("mesh").identity(),
        }
    )
    labels = ["mesh"] if choice == "first" else [f"mesh {frame}" for frame in range(len(names))]
    files = {label: folder / name for label, name in zip(labels, names, strict=True)}
    return OutputGroup(key=key, files=files, write=write)


def _write_sheet(path_run: PathRun, path: Path) -> None:
    from ex4d_core.pictures.contact_sheet import contact_sheet
    from ex4d_core.video_io.images import write_png

    guidance = path_run.guidance
    rows = {
        "input": path_run.scene.video.frames,
        "guidance": guidance.color,
        "mask": guidance.mask,
        "output": path_run.video.frames,
    }
    with atomic_write(path) as temporary:
        write_png(temporary, contact_sheet(rows).numpy())


def _write_config(clip_run: ClipRun) -> None:
    assert clip_run.folder is not None
    clips = () if isinstance(clip_run.clip, Video) else (clip_run.title,)
    components = clip_run.components
    config = attrs.evolve(components.recorded_config(), clips=clips)
    text = run_config_toml(config, clip_run.folder, components.registry)
    path = clip_run.folder / CONFIG
    if path.exists() and is_same_config(path, text):
        return
    try:
        # Python decodes bytes that are invalid in the locale to surrogates; most often they are UTF-8.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:  # cannot be written as TOML
        clip_run.components.reporter.warn(
            f"{clip_run.folder / CONFIG} has '?' in place of bytes that are not UTF-8 in names; "
            "rename those files to run it again"
        )

    def write(folder: Path) -> None:
        (folder / CONFIG).write_text(text, encoding="utf-8", errors="replace")

    group = OutputGroup(key=text_hash(text), files={"config": path}, write=write)
    update_files(group, clip_run.record, clip=clip_run.clip_identity, reporter=components.reporter)


def _record(record: StageRecord) -> Facts:
    return {"stage": record.stage, "key": record.key, "reused": record.reused, **record.facts}
