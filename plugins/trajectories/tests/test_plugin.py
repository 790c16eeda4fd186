"""Facts about how the moves are offered."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points

from ex4d_trajectories.plugin import ex4d_trajectory_generators

MOVES = [
    "arc",
    "loop",
    "sweep",
    "orbit",
    "spiral",
    "zoom_in",
    "zoom_out",
    "dolly",
    "truck",
    "pedestal",
    "pan",
    "tilt",
    "roll",
    "dolly_zoom",
    "static",
    "handheld",
    "keyframes",
    "freeze",
    "slow",
    "reverse",
]


def test_every_move_is_offered_by_name_with_a_summary():
    providers = ex4d_trajectory_generators()
    assert [provider.name for provider in providers] == MOVES
    assert providers[MOVES.index("static")].summary == "stay at the current pose"
    assert providers[MOVES.index("freeze")].summary == "freeze time (bullet time)"


def test_every_component_can_be_made_with_its_default_options():
    for provider in ex4d_trajectory_generators():
        module, _, name = provider.component.partition(":")
        component = getattr(import_module(module), name)
        assert callable(component(provider.options(), device=None).path), provider.name


def test_the_camera_types_of_recammaster_are_words_of_their_own():
    words = [alias for provider in ex4d_trajectory_generators() for alias in provider.aliases]
    assert words == [
        "180",
        "arc_left",
        "arc_right",
        "translate_up",
        "translate_down",
        "pan_right",
        "pan_left",
        "tilt_up",
        "tilt_down",
    ]


def test_the_entry_point_is_declared():
    (found,) = entry_points(group="ex4d", name="trajectories")
    assert found.value == "ex4d_trajectories.plugin"


def test_listing_the_moves_imports_neither_torch_nor_numpy():
    code = "import sys, ex4d_trajectories.plugin as p; p.ex4d_trajectory_generators(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy"} & set(done.stdout.split())
