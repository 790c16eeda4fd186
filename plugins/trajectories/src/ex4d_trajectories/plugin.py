"""The hook of the plugin: one trajectory generator for each move."""

from __future__ import annotations

from collections.abc import Mapping

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import OptionSets, Provider
from ex4d_trajectories.options import MOVES, MoveOptions, summary

STARTS_ELSEWHERE = ("sweep",)
"""Moves whose first pose is not that of the source camera."""

ALIASES: Mapping[str, OptionSets] = {
    # Camera types of ReCamMaster besides zoom_in and zoom_out, with amounts within the ranges of its data set.
    "pan": {"pan_right": {"amount": 25}, "pan_left": {"amount": -25}},
    "tilt": {"tilt_up": {"amount": 15}, "tilt_down": {"amount": -15}},
    "pedestal": {
        "translate_up": {"amount": 0.4, "track_subject": True},
        "translate_down": {"amount": -0.4, "track_subject": True},
    },
    "loop": {"180": {}},
    "orbit": {"arc_left": {"yaw": -45}, "arc_right": {"yaw": 45}},
}
"""Further names of some moves in `--cam`, each with the options that it sets."""

ANGLE_OPTIONS = {"arc": ("angle",), "sweep": ("start", "end")}
"""Options that plain angles in `--cam` set: `30` is an arc, `-90..90` a sweep, as in EX-4D."""

EX4D = {"look_at": "nearest", "angle_scaling": "reference"}
"""Subject and angle scaling of the released EX-4D code."""


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
            angle_options=ANGLE_OPTIONS.get(name, ()),
            contract="" if name in STARTS_ELSEWHERE else "ex4d_trajectories.contract:FromSourceContract",
        )
        for name, options in MOVES.items()
    ]
