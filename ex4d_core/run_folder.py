"""What a run leaves for people and for other tools, beside the artifacts: videos, cameras, a sheet, `run.json`."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs
import cv2
import numpy as np
import torch

import ex4d_core
from ex4d_core.cam import cam_file_part
from ex4d_core.config import Tree, write_config
from ex4d_core.contact_sheet import contact_sheet
from ex4d_core.files import replacing
from ex4d_core.memory import Cost
from ex4d_core.mesh_io import write_mesh
from ex4d_core.pipeline import Shot, StageRecord, Take
from ex4d_core.store import content_key
from ex4d_core.types import Video
from ex4d_core.video_io import write_mask, write_video

Goal = Literal["guidance", "result"]
MeshChoice = Literal["first", "all"]
MeshFormat = Literal["ply", "glb"]


@attrs.frozen(kw_only=True)
class Exported:
    """What a take left, and what it took."""

    files: dict[str, Path]
    """By what they are: `result`, `color`, `mask`, `camera`, `sheet`, `mesh`."""
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
    shot = take.shot
    assert shot.folder is not None, "exports need a run folder"
    known = _read_json(shot.folder / "run.json").get("files", {})
    records_before = len(shot.records)
    files: dict[str, Path] = {}
    stamps: Tree = {}
    for group in _groups(take, goal, save_mesh, mesh_format):
        if not all(_is_fresh(path, known.get(path.name), group.key) for path in group.files.values()):
            group.write()
        elif group.stage:
            shot.records.append(StageRecord(stage=group.stage, key=group.key, reused=True, cost=Cost()))
        files |= group.files
        stamps |= {path.name: {"key": group.key, "bytes": path.stat().st_size} for path in group.files.values()}
    records = tuple(shot.records[records_before:])
    _write_texts(take, goal, stamps, records)
    return Exported(files=files, records=records)


@attrs.frozen(kw_only=True)
class _Group:
    """Files that are made from one artifact."""

    key: str
    files: dict[str, Path]
    write: Callable[[], None]
    stage: str = ""


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
        "input": take.shot.video.frames,
        "guidance": guidance.color,
        "mask": guidance.mask,
        "output": take.video.frames,
    }
    with replacing(path) as temporary:
        sheet = cv2.cvtColor(contact_sheet(rows).numpy(), cv2.COLOR_RGB2BGR)
        temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())  # imwrite would not say why it failed


def _write_texts(take: Take, goal: Goal, stamps: Tree, records: tuple[StageRecord, ...]) -> None:
    shot = take.shot
    folder, session = shot.folder, shot.session
    assert folder is not None
    clip = "frames in memory" if isinstance(shot.clip, Video) else str(shot.clip)
    before = _read_json(folder / "run.json")  # read again: another run may have written to it meanwhile
    inputs = take.video_inputs if goal == "result" else take.guidance_inputs
    facts = {
        "versions": {
            "ex4d": ex4d_core.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
        "clip": clip,
        "device": str(session.device),
        "seed": session.config.seed,
        "files": {**before.get("files", {}), **stamps},
        "takes": {**before.get("takes", {}), take.cam: {"inputs": inputs, "stages": list(map(_record, records))}},
    }
    with replacing(folder / "run.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2, default=str))
    with replacing(folder / "config.toml") as temporary:
        clips = () if isinstance(shot.clip, Video) else (clip,)
        temporary.write_text(write_config(attrs.evolve(session.config, clips=clips)))


def _record(record: StageRecord) -> Tree:
    cost = attrs.asdict(record.cost)
    return {"stage": record.stage, "key": record.key, "reused": record.reused, **cost}


def _is_fresh(path: Path, stamp: Any, key: str) -> bool:
    try:
        return bool(stamp["key"] == key and stamp["bytes"] == path.stat().st_size)
    except (OSError, KeyError, TypeError):
        return False


def _read_json(path: Path) -> Tree:
    """Return the object in a JSON file, or an empty one: what is damaged is written anew."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
