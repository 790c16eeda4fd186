"""The stages of a run in order, and the results and roles that each needs."""

from __future__ import annotations

import attrs

from ex4d_core.roles import ROLES
from ex4d_core.types import DepthVideo, Guidance, Video


@attrs.frozen(kw_only=True)
class StageDescription:
    """One stage of a run."""

    name: str
    makes: type
    needs: tuple[str, ...]
    """Earlier stages whose results it works on."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the components that take part in the stage."""
        return tuple(role.name for role in ROLES.values() if role.stage == self.name)


def describe_stages() -> tuple[StageDescription, ...]:
    """Return the stages of a run, in order."""
    return (
        StageDescription(name="read", makes=Video, needs=()),
        StageDescription(name="depth", makes=DepthVideo, needs=("read",)),
        StageDescription(name="guidance", makes=Guidance, needs=("read", "depth")),
        StageDescription(name="result", makes=Video, needs=("read", "depth", "guidance")),
    )


def roles_for_stage(stage: str) -> tuple[str, ...]:
    """Return the roles whose components determine the time of a stage; a camera path takes none."""
    found = next(each for each in describe_stages() if each.name == stage)
    return tuple(role for role in found.roles if not ROLES[role].in_cam)


def roles_for(goal: str) -> tuple[str, ...]:
    """Return the roles of a stage and of the stages that it needs, in order."""
    stages = {stage.name: stage for stage in describe_stages()}
    return tuple(role for name in (*stages[goal].needs, goal) for role in stages[name].roles)
