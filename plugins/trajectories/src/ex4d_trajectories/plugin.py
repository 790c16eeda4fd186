"""What the plugin offers: one trajectory generator for each move."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider
from ex4d_trajectories.moves import MOVES
from ex4d_trajectories.options import MoveOptions

STARTS_ELSEWHERE = ("sweep",)
"""Moves whose first pose need not be the source camera's."""

EX4D = {"look_at": "nearest", "pace": "frames"}
"""How EX-4D's own paths find the subject and take the number of frames into account."""


@hookimpl
def ex4d_trajectory_generators() -> list[Provider]:
    """Offer every move of `moves.py`."""
    return [
        Provider(
            name=move.name,
            summary=move.summary,
            license="Apache-2.0",
            component="ex4d_trajectories.generator:MoveGenerator",
            options=move.options,
            presets={"ex4d": EX4D} if issubclass(move.options, MoveOptions) else {},
            contract="" if move.name in STARTS_ELSEWHERE else "ex4d_trajectories.contract:FromSourceContract",
        )
        for move in MOVES.values()
    ]
