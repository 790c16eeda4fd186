"""Find out without torch, whose import takes longer than all the rest, that runs are finished.

Keys of inputs, and hashes of outputs, are compared as in any other run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from ex4d_core.errors import Ex4dError
from ex4d_core.pipeline.devices import recalled_type
from ex4d_core.pipeline.records import RUN_RECORD
from ex4d_core.pipeline.session import Session
from ex4d_core.runs.export import Goal, MeshChoice, MeshFormat, is_exported


def finished_session(
    session: Session,
    *,
    clips: Sequence[Path],
    folders: Sequence[Path],
    goal: Goal = "result",
    save_mesh: MeshChoice | None = None,
    mesh_format: MeshFormat = "ply",
) -> Session | None:
    """Return a session for runs that are finished; None if something is, or may be, left to do.

    Args:
        session: has the configuration; it is not changed.
        clips: as for `run_batch`.
        folders: as for `run_batch`.
        goal: as for `run_batch`.
        save_mesh: as for `run_batch`.
        mesh_format: as for `run_batch`.
    """
    device_type = recalled_type(session.config.device)
    if device_type is None or not all((folder / RUN_RECORD).is_file() for folder in folders):
        return None
    try:
        planned = session.changed(attrs.evolve(session.config, download="no"), device_type=device_type)
        runs = (
            planned.open_clip(clip, folder=folder).along(cam)
            for clip, folder in zip(clips, folders, strict=True)
            for cam in session.config.cam
        )
        done = all(is_exported(run, goal=goal, save_mesh=save_mesh, mesh_format=mesh_format) for run in runs)
    except Ex4dError:  # the run reports it
        return None
    return planned if done else None
