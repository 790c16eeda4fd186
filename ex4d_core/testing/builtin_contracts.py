"""Contracts of the components of the core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ex4d_core.cameras.files import write_camera_path
from ex4d_core.cameras.generators import generate_camera_trajectory
from ex4d_core.testing.contracts import (
    BackboneContract,
    DepthEstimatorContract,
    MeshBuilderContract,
    RendererContract,
    TrajectoryContract,
)
from ex4d_core.types import Scene


class FileContract(DepthEstimatorContract):
    """Reads the exact depth of the clip from a file."""

    name = "file"
    steadiness = 1e-6
    accuracy = 1e-6

    @pytest.fixture
    def settings(self, scene: Scene, tmp_path: Path) -> dict[str, Any]:
        """The file."""
        np.save(tmp_path / "depth.npy", scene.depth.depth.numpy())
        return {"path": str(tmp_path / "depth.npy")}


class SketchContract(DepthEstimatorContract):
    """Clips of any length and size have depth, which is steady."""

    name = "sketch"
    any_clip = True
    steadiness = 0.05


class WatertightContract(MeshBuilderContract):
    """Builds a closed mesh."""

    name = "watertight"
    closed = True


class FromFileContract(TrajectoryContract):
    """Resamples a path of five poses to any number of frames."""

    name = "from_file"
    starts_at_source = True

    @pytest.fixture
    def settings(self, tmp_path: Path) -> dict[str, Any]:
        """The file."""
        path = generate_camera_trajectory(start_angle=0, end_angle=40, num_frames=5)
        write_camera_path(path, tmp_path / "path.json")
        return {"path": str(tmp_path / "path.json"), "resample": True, "unit": "subject", "lens": "clip"}


class ZBufferContract(RendererContract):
    """Matches the slow reference renderer."""

    name = "zbuffer"
    twin = "raycast"


class TeleaContract(BackboneContract):
    """Preserves the visible region exactly."""

    name = "telea"
    keeps_known = 100.0
