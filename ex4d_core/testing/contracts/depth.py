"""Contract of depth estimators."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ex4d_core.errors import Ex4dError
from ex4d_core.geometry.source_motion import places_in
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import DepthEstimator
from ex4d_core.testing.contracts._values import difference, filmed_room, filmed_walk, room
from ex4d_core.testing.contracts.component import Inputs, LongWork
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Scene, Video


class DepthEstimatorContract(LongWork):
    """Tests of a depth estimator, on a clip of a synthetic room."""

    role = "depth"

    any_clip: ClassVar[bool] = False
    """Claims support for any length and size; otherwise they may be refused with an error of ex4d_core.errors."""

    steadiness: ClassVar[float | None] = None
    """Claims this largest relative change of static depth between frames."""

    accuracy: ClassVar[float | None] = None
    """Claims this median relative error: of metric depth as it is, of relative depth after matching the scale, and of
    affine-inverse depth after matching scale and shift of the disparity."""

    trained: ClassVar[bool] = True
    """Claims that it tells near from far; False for a network with random weights."""

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
        fault = difference(self.call(component, slow), result)
        if fault and difference(self.call(component, inputs), result):
            pytest.skip("it is not deterministic")
        assert not fault, f"at 5 frames a second {fault}"

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
        truth = scene.depth.depth[valid].double()
        error = float((_matched(result.depth[valid].double(), truth, result.kind) / truth - 1).abs().median())
        assert error <= self.accuracy, f"the median relative error is {error:.3g}; accuracy is {self.accuracy:g}"

    def test_near_surfaces_have_smaller_depth(self, result: DepthVideo, scene: Scene) -> None:
        if not self.trained:
            pytest.skip("it does not claim to tell near from far")
        valid = torch.stack([result.valid_at(n) & scene.depth.valid_at(n) for n in range(result.num_frames)])
        if not valid.any():
            pytest.skip("no depth is valid")
        order = _rank_correlation(result.depth[valid], scene.depth.depth[valid])
        assert order > INVERTED, (
            f"its rank correlation with the true depth is {order:.2f}: near is far; return depth along +z, and "
            "1 / disparity for a model of disparity"
        )

    def test_source_cameras_are_world_to_camera(self, component: DepthEstimator, result: DepthVideo) -> None:
        if result.cameras is None:
            pytest.skip("it does not estimate source cameras, which are optional")
        cameras = moving_cameras(4, result.intrinsics_at(0))
        try:
            found = self.call(component, {"video": filmed_room(cameras).video}).cameras
        except Ex4dError as error:
            pytest.skip(f"it does not support the clip of a moving camera: {error}")
        if found is None:
            pytest.skip("it does not estimate the cameras of this clip")
        inverse = attrs.evolve(found, world_to_camera=torch.linalg.inv(found.world_to_camera))
        assert _turn_off(found, cameras) < 5 or _turn_off(inverse, cameras) > 5, (
            "its poses match the true ones only after inversion: return world to camera, the inverse of camera to world"
        )

    def test_poses_are_relative_to_the_first_frame(self, result: DepthVideo) -> None:
        if result.cameras is None:
            pytest.skip("it does not estimate source cameras, which are optional")
        offset = float((result.cameras.world_to_camera[0] - torch.eye(4)).abs().max())
        assert offset < 1e-4, f"the pose of the first frame differs from the identity by {offset:.3g}"

    def test_poses_and_lens_agree_with_depth(self, component: DepthEstimator) -> None:
        if self.poses is None:
            pytest.skip("it does not claim poses of the source camera")
        found = self.call(component, {"video": filmed_walk().video})
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
        truth = filmed_walk()
        found = self.call(component, {"video": truth.video})
        assert found.cameras is not None, "it returns no poses for a clip of a camera that moves"
        assert truth.depth.cameras is not None
        turn = found.cameras.world_to_camera[:, :3, :3] @ truth.depth.cameras.world_to_camera[:, :3, :3].mT
        cosine = (turn.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2
        angle = float(cosine.clamp(-1, 1).acos().max())
        assert angle <= self.poses, f"a rotation is {angle:.3g} radians off; poses claims {self.poses:g}"
        focal = found.intrinsics_at(0).fx / truth.depth.intrinsics_at(0).fx - 1
        assert abs(focal) <= self.poses, f"the focal length is {focal:.3g} off (relative); poses claims {self.poses:g}"


INVERTED = -0.5
"""Rank correlation with the true depth at which depth counts as inverted."""


def moving_cameras(num_frames: int, lens: Intrinsics) -> CameraPath:
    """Return the source cameras of a clip whose camera moves and turns to the right, by 12 degrees in all."""
    share = torch.linspace(0, 1, num_frames, dtype=torch.float64)
    angle = torch.deg2rad(12 * share)
    camera_to_world = torch.eye(4, dtype=torch.float64).repeat(num_frames, 1, 1)
    camera_to_world[:, 0, 0] = camera_to_world[:, 2, 2] = angle.cos()
    camera_to_world[:, 0, 2], camera_to_world[:, 2, 0] = angle.sin(), -angle.sin()
    camera_to_world[:, 0, 3] = 0.4 * share
    return CameraPath(world_to_camera=torch.linalg.inv(camera_to_world).float(), intrinsics=lens)


def _turn_off(found: CameraPath, truth: CameraPath) -> float:
    """Return by how many degrees the rotation between the first and the last camera differs from the true one."""
    turns = [path.world_to_camera[-1, :3, :3] @ path.world_to_camera[0, :3, :3].mT for path in (found, truth)]
    cosine = ((turns[0] @ turns[1].mT).trace() - 1) / 2
    return float(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))))


def _matched(depth: Tensor, truth: Tensor, kind: DepthKind) -> Tensor:
    """Return depth in the unit of the truth, as far as its kind leaves that open."""
    if kind is DepthKind.METRIC:
        return depth
    if kind is DepthKind.RELATIVE:
        return depth / (depth / truth).median()
    disparity = torch.stack([1 / depth, torch.ones_like(depth)], dim=1)
    scale, shift = torch.linalg.lstsq(disparity, 1 / truth[:, None]).solution.flatten()
    fitted: Tensor = 1 / (scale / depth + shift).clamp(min=torch.finfo(torch.float32).tiny)
    return fitted


def _rank_correlation(one: Tensor, other: Tensor) -> float:
    """Return Spearman's rank correlation of two vectors; 0 if one of them is constant."""
    ranks = np.stack([np.unique(values.numpy(), return_inverse=True)[1] for values in (one, other)])
    return float(np.nan_to_num(np.asarray(np.corrcoef(ranks))[0, 1]))
