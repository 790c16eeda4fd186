"""Contract of trajectory generators."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import pytest
import torch

from ex4d_core.cameras.generators import Moving
from ex4d_core.geometry.rigid import Pose, translation
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import TrajectoryGenerator
from ex4d_core.testing.contracts._values import room
from ex4d_core.testing.contracts.component import ComponentContract, Inputs
from ex4d_core.types import CameraPath, DepthKind, Scene

NUM_FRAMES = 49
"""Length of the path in most tests; it differs from that of the clip."""


class TrajectoryContract(ComponentContract):
    """Tests of a trajectory generator, in a synthetic room."""

    role = "trajectory"

    starts_at_source: ClassVar[bool] = False
    """Claims that the path starts at the source camera."""

    largest_turn: ClassVar[float] = 30.0
    """Largest rotation from one frame to the next, in degrees, for 49 frames."""

    @pytest.fixture
    def scene(self) -> Scene:
        """The clip and its depth."""
        return room(2)

    @pytest.fixture
    def inputs(self, scene: Scene) -> Inputs:
        """A path of 49 frames."""
        return {"num_frames": NUM_FRAMES, "scene": scene}

    @pytest.fixture
    def bad_inputs(self, scene: Scene) -> list[Inputs]:
        """A path without frames."""
        return [{"num_frames": 0, "scene": scene}]

    def call(self, component: TrajectoryGenerator, inputs: Inputs, progress: Progress = silent) -> CameraPath:
        """Generate a path."""
        return component.path(**inputs)

    def misfit(self, result: Any, inputs: Inputs) -> str:
        """Check number of poses, frames of the clip, and size of the intrinsics."""
        if not isinstance(result, CameraPath):
            return f"it is a {type(result).__name__}, not a CameraPath"
        if result.num_frames != inputs["num_frames"]:
            return f"it has {result.num_frames} poses, not {inputs['num_frames']}"
        video = inputs["scene"].video
        if result.frames is not None and max(result.frames) >= video.num_frames:
            return f"it shows frame {max(result.frames)} of a clip of {video.num_frames}, counted from 0"
        if {(camera.width, camera.height) for camera in result.intrinsics} != {(video.width, video.height)}:
            return "its intrinsics are not for images of the size of the clip"
        return ""

    @pytest.mark.parametrize("num_frames", [1, 2, 81])
    def test_accepts_any_number_of_frames(
        self, component: TrajectoryGenerator, result: CameraPath, scene: Scene, num_frames: int
    ) -> None:
        inputs = {"num_frames": num_frames, "scene": scene}
        assert not (fault := self.misfit(self.call(component, inputs), inputs)), fault

    def test_path_starts_where_claimed(self, result: CameraPath) -> None:
        if not self.starts_at_source:
            pytest.skip("it does not claim to start at the source camera")
        off = float((result.world_to_camera[0] - torch.eye(4)).abs().max())
        assert off < 1e-4, f"the first pose differs from the identity by up to {off:.3g}"

    def test_camera_is_never_upside_down(self, result: CameraPath) -> None:
        # Row 1 is the y axis of the camera in the world, where y is down too.
        frames = (result.world_to_camera[:, 1, 1] <= 0).nonzero().flatten().tolist()
        assert not frames, f"it is upside down in frame {frames[0]}: y points down in ex4d"

    def test_path_is_continuous(self, result: CameraPath) -> None:
        rotation = result.world_to_camera[:, :3, :3].double()
        between = rotation[1:] @ rotation[:-1].mT
        cosine = (between.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2
        turn, frame = torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).max(dim=0)
        said = f"it turns by {float(turn):.0f} degrees after frame {int(frame)}; largest_turn is {self.largest_turn:g}"
        assert float(turn) <= self.largest_turn, said

    def test_motion_matches_path(self, component: TrajectoryGenerator, result: CameraPath, scene: Scene) -> None:
        if not isinstance(component, Moving):
            pytest.skip("it has no method `motion`, which is optional")
        motion = component.motion(NUM_FRAMES, scene, Pose.identity())
        for frame in (0, NUM_FRAMES // 2, NUM_FRAMES - 1):
            pose = torch.from_numpy(motion.pose(frame / (NUM_FRAMES - 1)).inverse().matrix()).float()
            said = f"`motion` and `path` differ in frame {frame}"
            torch.testing.assert_close(pose, result.world_to_camera[frame], rtol=1e-4, atol=1e-4, msg=said)
        elsewhere = component.motion(NUM_FRAMES, scene, translation((0.1, 0.0, 0.0)))
        if self.starts_at_source:
            first, said = (
                torch.from_numpy(elsewhere.pose(0.0).matrix()).float(),
                "a motion that starts elsewhere jumps there",
            )
            torch.testing.assert_close(first, torch.eye(4), rtol=0, atol=1e-4, msg=said)

    def test_path_scales_with_the_scene(self, component: TrajectoryGenerator, result: CameraPath, scene: Scene) -> None:
        # The scale of relative depth is arbitrary, so images along the path must not depend on it.
        both = [
            self.call(component, {"num_frames": NUM_FRAMES, "scene": _scaled(scene, scale)}).world_to_camera
            for scale in (1, 10)
        ]
        for part, times, what in ((slice(3, 4), 10, "goes 10 times as far"), (slice(3), 1, "turns as much")):
            small, large = (path[:, :3, part] for path in both)
            torch.testing.assert_close(large, times * small, rtol=1e-3, atol=1e-3, msg=f"it is not true that it {what}")


def _scaled(scene: Scene, scale: float) -> Scene:
    depth = attrs.evolve(scene.depth, depth=scene.depth.depth * scale, kind=DepthKind.RELATIVE)
    return attrs.evolve(scene, depth=depth)
