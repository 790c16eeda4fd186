"""Each move keeps the contract of trajectory generators."""

import pytest

from ex4d_core.testing.contracts import TrajectoryContract


class TestArc(TrajectoryContract):
    name = "arc"
    starts_at_source = True


class TestLoop(TrajectoryContract):
    name = "loop"
    starts_at_source = True


class TestSweep(TrajectoryContract):
    name = "sweep"

    @pytest.fixture
    def settings(self):
        return {"start": -60, "end": 60}


class TestOrbit(TrajectoryContract):
    name = "orbit"
    starts_at_source = True

    @pytest.fixture
    def settings(self):
        return {"yaw": 120, "pitch": 30}


class TestZoomIn(TrajectoryContract):
    name = "zoom_in"
    starts_at_source = True


class TestZoomOut(TrajectoryContract):
    name = "zoom_out"
    starts_at_source = True


class TestStatic(TrajectoryContract):
    name = "static"
    starts_at_source = True
