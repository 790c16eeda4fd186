"""What a run leaves for people and for other tools, beside the artifacts: videos, cameras, a sheet, `run.json`."""

from __future__ import annotations

import itertools
import json
import platform
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs
import cv2
import numpy as np
import torch

import ex4d_core
from ex4d_core.cam import cam_file_part
from ex4d_core.config import Tree, make_config, read_config, write_config
from ex4d_core.contact_sheet import contact_sheet
from ex4d_core.depth_export import DepthFormat, png_error, write_depth
from ex4d_core.depth_preview import write_preview
from ex4d_core.errors import InputNotFound
from ex4d_core.files import replacing, tree_hash
from ex4d_core.memory import Cost
from ex4d_core.mesh_io import write_mesh
from ex4d_core.pipeline import Shot, StageRecord, Take
from ex4d_core.progress import Reporter
from ex4d_core.session import Session
from ex4d_core.store import content_key
from ex4d_core.types import Video
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

    Files that an earlier run left are kept when they were made from the same artifacts.

    Raises:
        OutputFailed: the folder cannot be written to, or the disk is full.
    """
    groups = _groups(take, goal, save_mesh, mesh_format)
    _write_config(take.shot)  # first, so that a run can be looked at while it goes on
    exported = _bring_up_to_date(take.shot, groups)
    inputs = take.video_inputs if goal == "result" else take.guidance_inputs
    done = {"inputs": inputs, "stages": list(map(_record, exported.records))}
    _write_facts(take.shot, lambda before: {"takes": {**before.get("takes", {}), take.cam: done}})
    return exported


def export_depth(shot: Shot, *, formats: Iterable[DepthFormat] = (), preview: bool = True) -> Exported:
    """Bring a clip's depth in its run folder up to date: `depth.npz`, other formats on request, a preview.

    Depth that was edited since it was written stays as it is; where it is of other options it makes way, renamed.

    Raises:
        OutputFailed: the folder cannot be written to, or the disk is full.
    """
    if shot.folder is not None and not (shot.folder / CONFIG).exists():
        _write_config(shot)
    exported = _bring_up_to_date(shot, _depth_groups(shot, formats, preview))
    done = {"inputs": shot.depth_inputs, "stages": list(map(_record, exported.records))}
    _write_facts(shot, lambda before: {"depth": done})
    return exported


def open_run(folder: Path, *, reporter: Reporter | None = None) -> Shot:
    """Return the clip of a run folder with the settings of its last run, to see what that run has made so far.

    `Shot.stored_depth`, `Take.stored_guidance` and `Take.stored_video` say what is there; nothing is made by them.

    Raises:
        InputNotFound: there is no such folder, it is no run folder, or the clip is not where it was.
        InvalidConfig: its configuration cannot be read.
    """
    if not folder.is_dir():
        raise InputNotFound(f"there is no run folder {folder}; a run makes it: ex4d run CLIP -o {folder.parent}")
    if not (folder / CONFIG).is_file():
        raise InputNotFound(f"{folder} is no run folder, it has no {CONFIG}; name the folder that a run has made")
    config = make_config(read_config(folder / CONFIG))
    if not config.clips:
        raise InputNotFound(f"the run {folder} was made of frames in memory, which are gone; run it on a file")
    clip = Path(config.clips[0])
    if not clip.exists():
        raise InputNotFound(f"the clip {clip} of the run {folder} is not here; start this where the run was started")
    return Session(config, reporter=reporter).shot(clip, folder=folder)


@attrs.frozen(kw_only=True)
class _Group:
    """Files that are made from one artifact."""

    key: str
    files: dict[str, Path]
    write: Callable[[], None]
    stage: str = ""
    editable: bool = False
    """Whether people may change the files and still find them as they left them."""

    def is_fresh(self, known: Tree) -> bool:
        """Return whether the files are there and were made from the artifact; `known` has their stamps by name."""
        return all(self._is_known(path, known.get(path.name)) for path in self.files.values())

    def edited(self, known: Tree) -> list[Path]:
        """Return which of the files, stamps of all being known, people have changed."""
        changes = self.files.values() if self.editable else ()
        return [path for path in changes if known[path.name].get("blake2b") != tree_hash(path)]

    def _is_known(self, path: Path, stamp: Any) -> bool:
        try:
            size = path.stat().st_size
            return bool(stamp["key"] == self.key and (self.editable or stamp["bytes"] == size))
        except (OSError, KeyError, TypeError):
            return False


def _bring_up_to_date(shot: Shot, groups: Iterable[_Group]) -> Exported:
    assert shot.folder is not None, "exports need a run folder"
    known = _read_json(shot.folder / "run.json").get("files", {})
    records_before = len(shot.records)
    files: dict[str, Path] = {}
    for group in groups:
        fresh = group.is_fresh(known)
        if not fresh:
            group.write()
            # At once: if what follows fails or is stopped, this would be taken for depth that somebody edited.
            _write_stamps(shot, group)
        else:
            for path in group.edited(known):
                shot.session.reporter.note(f"{path} was changed since it was written; it stays as it is")
        if fresh and group.stage:
            shot.records.append(StageRecord(stage=group.stage, key=group.key, reused=True, cost=Cost()))
        files |= group.files
    return Exported(files=files, records=tuple(shot.records[records_before:]))


def _write_stamps(shot: Shot, group: _Group) -> None:
    """Write into `run.json` what tells later that a group's files are as they were written."""
    stamps = {path.name: _stamp(path, group) for path in group.files.values()}
    _write_facts(shot, lambda before: {"files": {**before.get("files", {}), **stamps}})


def _stamp(path: Path, group: _Group) -> Tree:
    """Return what tells later that a file is as it was written."""
    content = {"blake2b": tree_hash(path)} if group.editable else {"bytes": path.stat().st_size}
    return {"key": group.key, **content}


def _depth_groups(shot: Shot, formats: Iterable[DepthFormat], preview: bool) -> Iterator[_Group]:
    folder = shot.folder
    assert folder is not None
    cameras = shot.motion_inputs["source_cameras"]
    inputs = {"depth": shot.depth_inputs, "lens": shot.lens_inputs, "source_cameras": cameras}
    wanted = {"npz", *formats}
    for kind, (label, name) in DEPTH_FILES.items():
        if kind in wanted:
            yield _Group(
                key=content_key(inputs),
                files={label: folder / name},
                write=partial(_write_depth, shot, folder / name, kind),
                stage="depth" if kind == "npz" else "",
                editable=True,
            )
    if preview:
        path = folder / "depth_preview.mp4"
        key = content_key({**inputs, "fps": str(shot.fps)})
        yield _Group(key=key, files={"preview": path}, write=partial(_write_preview, shot, path))


def _write_depth(shot: Shot, path: Path, format: DepthFormat) -> None:
    depth, reporter = shot.scene.depth, shot.session.reporter
    _keep_edited(shot, path)  # after it was read: it may be what the depth is made from
    write_depth(depth, path, format=format)
    if format == "png" and (error := png_error(depth)) > COARSE:
        reporter.warn(
            f"16 bits are coarse for this depth: {path} is up to {error:.0%} off at its nearest point; EXR is exact"
        )


def _keep_edited(shot: Shot, path: Path) -> None:
    """Rename depth that is not as it was written."""
    assert shot.folder is not None
    stamp = _read_json(shot.folder / "run.json").get("files", {}).get(path.name, {})
    if not path.exists() or stamp.get("blake2b") == tree_hash(path):
        return
    free = (path.with_name(f"{path.stem}-edited-{n}{path.suffix}") for n in itertools.count(1))
    kept = next(name for name in free if not name.exists())
    path.rename(kept)
    shot.session.reporter.warn(f"{path} was changed since it was written; it is kept as {kept.name}")


def _write_preview(shot: Shot, path: Path) -> None:
    scene = shot.scene
    with shot.session.reporter.stage("preview") as progress:
        write_preview(scene, path, progress=progress)


def _groups(take: Take, goal: Goal, save_mesh: MeshChoice | None, mesh_format: MeshFormat) -> list[_Group]:
    folder, part = take.shot.folder, cam_file_part(take.cam)
    assert folder is not None
    groups = []
    color, mask, camera = folder / f"color_{part}.mp4", folder / f"mask_{part}.mp4", folder / f"camera_{part}.npz"

    def write_guidance() -> None:
        guidance = take.guidance
        write_video(Video(frames=guidance.color, fps=guidance.fps), color)
        write_mask(guidance.mask, mask, fps=guidance.fps)
        with replacing(camera) as temporary:
            assert guidance.cameras is not None
            np.savez(temporary, **guidance.cameras.to_ex4d_npz())  # type: ignore[arg-type]  # numpy types savez's arrays as its flags

    guidance_files = {"color": color, "mask": mask, "camera": camera}
    key = content_key(take.guidance_inputs)
    groups.append(_Group(key=key, files=guidance_files, write=write_guidance, stage="guidance"))
    if save_mesh:
        groups.append(_mesh_group(take.shot, folder, save_mesh, mesh_format))
    if goal == "result":
        result, sheet = folder / f"result_{part}.mp4", folder / f"sheet_{part}.png"

        def write_result() -> None:
            write_video(take.video, result)
            _write_sheet(take, sheet)

        key = content_key(take.video_inputs)
        groups.append(_Group(key=key, files={"result": result, "sheet": sheet}, write=write_result, stage="result"))
    return groups


def _mesh_group(shot: Shot, folder: Path, choice: MeshChoice, suffix: MeshFormat) -> _Group:
    """Frame 0 is `DW-Mesh.ply`, the reference's name; all of them are `DW-Mesh_00000.ply` and on."""
    names = [f"DW-Mesh_{frame:05d}" for frame in range(shot.video.num_frames)] if choice == "all" else ["DW-Mesh"]
    paths = [folder / f"{name}.{suffix}" for name in names]

    def write() -> None:
        for frame, path in enumerate(paths):
            write_mesh(shot.mesh(frame), path)

    key = content_key(
        {"depth": shot.depth_inputs, "lens": shot.lens_inputs, "mesh": shot.session.choose("mesh").identity()}
    )
    labels = ["mesh"] if choice == "first" else [f"mesh {frame}" for frame in range(len(paths))]
    return _Group(key=key, files=dict(zip(labels, paths, strict=True)), write=write)


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


def _write_facts(shot: Shot, more: Callable[[Tree], Tree]) -> None:
    """Write `run.json`: what is there already, with what this run adds."""
    folder, session = shot.folder, shot.session
    assert folder is not None
    before = _read_json(folder / "run.json")  # read again: another run may have written to it meanwhile
    facts = {
        **before,
        "versions": {
            "ex4d": ex4d_core.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
        "clip": _name(shot),
        "device": str(session.device),
        "seed": session.config.seed,
        **more(before),
    }
    with replacing(folder / "run.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2, default=str))


def _write_config(shot: Shot) -> None:
    assert shot.folder is not None
    with replacing(shot.folder / CONFIG) as temporary:
        clips = () if isinstance(shot.clip, Video) else (_name(shot),)
        temporary.write_text(write_config(attrs.evolve(shot.session.config, clips=clips)))


def _name(shot: Shot) -> str:
    return "frames in memory" if isinstance(shot.clip, Video) else str(shot.clip)


def _record(record: StageRecord) -> Tree:
    cost = attrs.asdict(record.cost)
    return {"stage": record.stage, "key": record.key, "reused": record.reused, **cost}


def _read_json(path: Path) -> Tree:
    """Return the object in a JSON file, or an empty one: what is damaged is written anew."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
