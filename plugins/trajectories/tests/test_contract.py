"""Each move keeps the contract of trajectory generators."""

import pytest

from ex4d_core.testing.contracts import TrajectoryContract
from ex4d_trajectories.contract import FromSourceContract


class TestArc(FromSourceContract):
    name = "arc"


class TestLoop(FromSourceContract):
    name = "loop"


class TestSweep(TrajectoryContract):
    name = "sweep"

    @pytest.fixture
    def settings(self):
        return {"start": -60, "end": 60}


class TestOrbit(FromSourceContract):
    name = "orbit"

    @pytest.fixture
    def settings(self):
        return {"yaw": 120, "pitch": 30}


class TestZoomIn(FromSourceContract):
    name = "zoom_in"


class TestZoomOut(FromSourceContract):
    name = "zoom_out"


class TestStatic(FromSourceContract):
    name = "static"
