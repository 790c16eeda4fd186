"""Contract of trajectory generators."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import attrs
import pytest
import torch
from torch import Tensor

from ex4d_core.cameras.generators import Moving
from ex4d_core.geometry.rigid import Pose, translation
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import TrajectoryGenerator
from ex4d_core.testing.contracts._values import difference, room
from ex4d_core.testing.contracts.component import ComponentContract, Inputs
from ex4d_core.types import CameraPath, DepthKind, Scene

NUM_FRAMES = 49
"""Length of the path in most tests; it differs from that of the clip."""


class TrajectoryContract(ComponentContract):
    """Tests of a trajectory generator, in a synthetic room."""

    role = "trajectory"

    starts_at_source: ClassVar[bool] = False
    """Claims that the path starts at the source camera."""

    moves_to: ClassVar[tuple[float, float, float] | None] = None
    """Claims the direction of the last camera from the first, in the axes of the world: x right, y down, z forward."""

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

    def test_poses_are_world_to_camera(self, result: CameraPath) -> None:
        said = "return world to camera, the inverse of camera to world"
        given, inverse = result.world_to_camera.double(), torch.linalg.inv(result.world_to_camera.double())
        if self.moves_to is not None:
            goal = torch.tensor(self.moves_to, dtype=torch.float64)
            turns = [_degrees_between(poses[-1, :3, 3] - poses[0, :3, 3], goal) for poses in (inverse, given)]
            assert turns[0] < 15, f"the camera moves {turns[0]:.0f} degrees away from the claimed direction" + (
                f", and only its inverse poses do not; {said}" if turns[1] < 15 else ""
            )
        only_inverse = _looks_at_a_point(given) and not _looks_at_a_point(inverse)
        assert not only_inverse, f"the camera looks at one point all the time only if its poses are inverted; {said}"

    def test_does_not_depend_on_frame_rate(
        self, component: TrajectoryGenerator, result: CameraPath, scene: Scene
    ) -> None:
        slow = attrs.evolve(scene, video=attrs.evolve(scene.video, fps=Fraction(5)))
        fault = difference(self.call(component, {"num_frames": NUM_FRAMES, "scene": slow}), result)
        if fault and difference(self.call(component, {"num_frames": NUM_FRAMES, "scene": scene}), result):
            pytest.skip("it is not deterministic")
        assert not fault, f"at 5 frames a second {fault}"

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


def _degrees_between(one: Tensor, other: Tensor) -> float:
    return float(torch.rad2deg(torch.acos(torch.cosine_similarity(one, other, dim=0).clamp(-1, 1))))


def _looks_at_a_point(camera_to_world: Tensor) -> bool:
    """Return whether the optical axes of a camera that moves, [T, 4, 4], meet in one point in front of it."""
    axes, eyes = camera_to_world[:, :3, 2], camera_to_world[:, :3, 3]
    # The point closest to all axes: the sum of (I - d d^T) (p - o) is 0.
    across = torch.eye(3, dtype=axes.dtype) - axes[:, :, None] * axes[:, None, :]
    point = torch.linalg.lstsq(across.sum(dim=0), (across @ eyes[:, :, None]).sum(dim=0), driver="gelsd").solution
    away = point.flatten() - eyes
    distance = away.norm(dim=1)
    moved = float((eyes - eyes[0]).norm(dim=1).max()) > 0.01 * float(distance.max())
    is_ahead = bool(((away * axes).sum(dim=1) > 0).all())
    off = (across @ away[:, :, None]).flatten(1).norm(dim=1)
    return moved and is_ahead and bool((off <= 1e-3 * distance).all())
