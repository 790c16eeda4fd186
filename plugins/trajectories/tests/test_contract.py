"""Each move keeps the contract of trajectory generators."""

import pytest

from ex4d_core.testing.contracts import TrajectoryContract

pytestmark = pytest.mark.slow


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


class TestSpiral(TrajectoryContract):
    name = "spiral"
    starts_at_source = True


class TestDolly(TrajectoryContract):
    name = "dolly"
    starts_at_source = True


class TestTruck(TrajectoryContract):
    name = "truck"
    starts_at_source = True


class TestPedestal(TrajectoryContract):
    name = "pedestal"
    starts_at_source = True

    @pytest.fixture
    def settings(self):
        return {"track_subject": True}


class TestPan(TrajectoryContract):
    name = "pan"
    starts_at_source = True


class TestTilt(TrajectoryContract):
    name = "tilt"
    starts_at_source = True


class TestRoll(TrajectoryContract):
    name = "roll"
    starts_at_source = True


class TestDollyZoom(TrajectoryContract):
    name = "dolly_zoom"
    starts_at_source = True


class TestHandheld(TrajectoryContract):
    name = "handheld"
    starts_at_source = True


class TestKeyframes(TrajectoryContract):
    name = "keyframes"
    starts_at_source = True

    @pytest.fixture
    def settings(self):
        return {"yaw": [0, 40, -20], "tilt": [0, 5, 5], "at": [0, 0.3, 1]}


class TestFreeze(TrajectoryContract):
    name = "freeze"
    starts_at_source = True

    @pytest.fixture
    def settings(self):
        return {"frame": 1}


class TestSlow(TrajectoryContract):
    name = "slow"
    starts_at_source = True


class TestReverse(TrajectoryContract):
    name = "reverse"
    starts_at_source = True
