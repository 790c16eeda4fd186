"""What the plugin offers: one trajectory generator for each move."""

from __future__ import annotations

from collections.abc import Mapping

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import OptionSets, Provider
from ex4d_trajectories.options import MOVES, MoveOptions, summary

STARTS_ELSEWHERE = ("sweep",)
"""Moves whose first pose need not be the source camera's."""

ALIASES: Mapping[str, OptionSets] = {
    # ReCamMaster's camera types, besides zoom_in and zoom_out; its data set has ranges, and these lie within them.
    "pan": {"pan_right": {"by": 25}, "pan_left": {"by": -25}},
    "tilt": {"tilt_up": {"by": 15}, "tilt_down": {"by": -15}},
    "pedestal": {"translate_up": {"by": 0.4, "aim": True}, "translate_down": {"by": -0.4, "aim": True}},
    "orbit": {"arc_left": {"yaw": -45}, "arc_right": {"yaw": 45}},
}
"""Other words in `--cam` for some moves, each with the options that it stands for."""

EX4D = {"look_at": "nearest", "pace": "frames"}
"""How EX-4D's own paths find the subject and take the number of frames into account."""


@hookimpl
def ex4d_trajectory_generators() -> list[Provider]:
    """Offer every move."""
    return [
        Provider(
            name=name,
            summary=summary(options),
            license="Apache-2.0",
            component="ex4d_trajectories.generator:MoveGenerator",
            options=options,
            presets={"ex4d": EX4D} if issubclass(options, MoveOptions) else {},
            aliases=ALIASES.get(name, {}),
            contract="" if name in STARTS_ELSEWHERE else "ex4d_trajectories.contract:FromSourceContract",
        )
        for name, options in MOVES.items()
    ]
