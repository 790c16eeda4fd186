"""Contract of depth estimators."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import attrs
import pytest
import torch
from torch.nn import functional

from ex4d_core.errors import Ex4dError
from ex4d_core.geometry.source_motion import places_in
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import DepthEstimator
from ex4d_core.testing.contracts._values import difference, filmed_room, room
from ex4d_core.testing.contracts.component import Inputs, LongWork
from ex4d_core.types import DepthKind, DepthVideo, Scene, Video


class DepthEstimatorContract(LongWork):
    """Tests of a depth estimator, on a clip of a synthetic room."""

    role = "depth"

    any_clip: ClassVar[bool] = False
    """Claims support for any length and size; otherwise they may be refused with an error of ex4d_core.errors."""

    steadiness: ClassVar[float | None] = None
    """Claims this largest relative change of static depth between frames."""

    accuracy: ClassVar[float | None] = None
    """Claims this median relative error, after matching the scale unless depth is metric."""

    poses: ClassVar[float | None] = None
    """Claims poses and lens of a source camera that moves: this largest error of depth that is predicted from another
    frame (median, relative), of rotation (radians) and of the focal length (relative)."""

    @pytest.fixture
    def scene(self) -> Scene:
        """The clip with its true depth."""
        return room(4)

    @pytest.fixture
    def inputs(self, scene: Scene) -> Inputs:
        """A clip in which a figure walks."""
        return {"video": scene.video}

    @pytest.fixture
    def bad_inputs(self) -> list[Inputs]:
        """A clip without frames."""
        return [{"video": Video(frames=torch.zeros(0, 48, 64, 3, dtype=torch.uint8), fps=Fraction(24))}]

    def call(self, component: DepthEstimator, inputs: Inputs, progress: Progress = silent) -> DepthVideo:
        """Estimate depth."""
        return component.estimate(**inputs, progress=progress)

    def misfit(self, result: Any, inputs: Inputs) -> str:
        """Check length, size and device of the depth, and the size of the intrinsics."""
        if not isinstance(result, DepthVideo):
            return f"it is a {type(result).__name__}, not a DepthVideo"
        video = inputs["video"]
        if result.depth.shape != video.frames.shape[:3]:
            return f"depth is {list(result.depth.shape)} and the frames are {list(video.frames.shape[:3])}"
        if result.depth.device.type != "cpu":
            return f"depth is on {result.depth.device}, not on the CPU"
        if {(camera.width, camera.height) for camera in result.intrinsics} != {(video.width, video.height)}:
            return "the intrinsics are not for images of the size of the clip"
        return ""

    def test_valid_depth_is_positive(self, result: DepthVideo) -> None:
        valid = torch.ones_like(result.depth, dtype=torch.bool) if result.valid is None else result.valid
        assert valid.any(), "no pixel is valid"
        known = result.depth[valid]
        assert not torch.isnan(known).any(), "the depth of a valid pixel is NaN"
        assert (known > 0).all(), f"the depth of a valid pixel is {float(known.min()):g}"

    @pytest.mark.parametrize("name", ["notes", "warnings"])
    def test_notes_and_warnings_are_single_lines(
        self, component: DepthEstimator, result: DepthVideo, name: str
    ) -> None:
        texts: Any = getattr(component, name, list)()
        assert isinstance(texts, list)
        assert all(isinstance(text, str) and text and "\n" not in text for text in texts)

    @pytest.mark.parametrize(("frames", "width", "height"), [(1, 64, 48), (3, 71, 45), (2, 40, 64)])
    def test_accepts_any_clip_shape(
        self, component: DepthEstimator, result: DepthVideo, frames: int, width: int, height: int
    ) -> None:
        inputs = {"video": room(frames, width=width, height=height).video}
        try:
            found = self.call(component, inputs)
        except Ex4dError as error:
            if self.any_clip:
                raise
            pytest.skip(f"it does not claim to support any clip: {error}")
        assert not (fault := self.misfit(found, inputs)), fault

    def test_does_not_depend_on_frame_rate(self, component: DepthEstimator, result: DepthVideo, inputs: Inputs) -> None:
        slow = {"video": attrs.evolve(inputs["video"], fps=Fraction(5))}
        assert not (fault := difference(self.call(component, slow), result)), f"at 5 frames a second {fault}"

    def test_scale_is_consistent_over_time(self, result: DepthVideo, scene: Scene) -> None:
        if self.steadiness is None:
            pytest.skip("it does not claim steadiness")
        truth = scene.depth.depth
        still = ((truth - truth[0]).abs() < 1e-4).all(dim=0)
        for frame in range(1, result.num_frames):
            both = still & result.valid_at(frame) & result.valid_at(0)
            if not both.any():
                pytest.skip("no depth is valid in static regions")
            change = float((result.depth[frame][both] / result.depth[0][both]).median())
            message = f"static depth in frame {frame} is {change:.3g} times that in frame 0"
            assert change == pytest.approx(1, rel=self.steadiness), message

    def test_depth_is_as_accurate_as_claimed(self, result: DepthVideo, scene: Scene) -> None:
        if self.accuracy is None:
            pytest.skip("it does not claim accuracy")
        valid = torch.stack([result.valid_at(n) & scene.depth.valid_at(n) for n in range(result.num_frames)])
        if not valid.any():
            pytest.skip("no depth is valid")
        ratio = (result.depth / scene.depth.depth)[valid]
        scale = 1.0 if result.kind is DepthKind.METRIC else float(ratio.median())
        error = float((ratio / scale - 1).abs().median())
        assert error <= self.accuracy, f"the median relative error is {error:.3g}; accuracy is {self.accuracy:g}"

    def test_poses_are_relative_to_the_first_frame(self, result: DepthVideo) -> None:
        if result.cameras is None:
            pytest.skip("it returns no poses of the source camera")
        offset = float((result.cameras.world_to_camera[0] - torch.eye(4)).abs().max())
        assert offset < 1e-4, f"the pose of the first frame differs from the identity by {offset:.3g}"

    def test_poses_and_lens_agree_with_depth(self, component: DepthEstimator) -> None:
        if self.poses is None:
            pytest.skip("it does not claim poses of the source camera")
        found = self.call(component, {"video": filmed_room().video})
        assert found.cameras is not None, "it returns no poses for a clip of a camera that moves"
        pose, last = found.cameras.world_to_camera, found.num_frames - 1
        relative = pose[last] @ torch.linalg.inv(pose[0])
        places, distance = places_in(found.depth[0], relative, found.intrinsics_at(0), found.intrinsics_at(last))
        surface = functional.grid_sample(
            found.depth[last][None, None], places[None], mode="nearest", align_corners=False
        )[0, 0]
        shared = found.valid_at(0) & (places.abs() < 1).all(dim=-1) & (distance > 0) & (surface > 0)
        assert shared.float().mean() > 0.2, "by its poses, the last frame hardly shows what the first does"
        error = float((distance / surface - 1)[shared].abs().median())
        assert error <= self.poses, (
            f"points of the first frame are {error:.3g} off the depth of the last (relative); poses must be "
            "world-to-camera in the unit of the depth"
        )

    def test_poses_and_lens_are_as_accurate_as_claimed(self, component: DepthEstimator) -> None:
        if self.poses is None:
            pytest.skip("it does not claim poses of the source camera")
        truth = filmed_room()
        found = self.call(component, {"video": truth.video})
        assert found.cameras is not None, "it returns no poses for a clip of a camera that moves"
        assert truth.depth.cameras is not None
        turn = found.cameras.world_to_camera[:, :3, :3] @ truth.depth.cameras.world_to_camera[:, :3, :3].mT
        cosine = (turn.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2
        angle = float(cosine.clamp(-1, 1).acos().max())
        assert angle <= self.poses, f"a rotation is {angle:.3g} radians off; poses claims {self.poses:g}"
        focal = found.intrinsics_at(0).fx / truth.depth.intrinsics_at(0).fx - 1
        assert abs(focal) <= self.poses, f"the focal length is {focal:.3g} off (relative); poses claims {self.poses:g}"
