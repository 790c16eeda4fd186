"""Contract tests of every move."""

import pytest

from ex4d_core.testing.contracts import TrajectoryContract
from ex4d_trajectories.options import MOVES
from ex4d_trajectories.plugin import STARTS_ELSEWHERE

pytestmark = pytest.mark.slow

SETTINGS = {
    "sweep": {"start": -60, "end": 60},
    "orbit": {"yaw": 120, "pitch": 30},
    "pedestal": {"track_subject": True},
    "keyframes": {"yaw": [0, 40, -20], "tilt": [0, 5, 5], "at": [0, 0.3, 1]},
    "freeze": {"frame": 1},
}
"""Options to test with; other moves are tested with their default options."""


class TestMoves(TrajectoryContract):
    @pytest.fixture(autouse=True, params=MOVES)
    def move(self, request):
        self.name = request.param
        self.starts_at_source = self.name not in STARTS_ELSEWHERE

    @pytest.fixture
    def settings(self):
        return SETTINGS.get(self.name, {})
