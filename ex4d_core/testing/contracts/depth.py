"""Contract of depth estimators."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import attrs
import pytest
import torch

from ex4d_core.errors import Ex4dError
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import DepthEstimator
from ex4d_core.testing.contracts._values import difference, room
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
