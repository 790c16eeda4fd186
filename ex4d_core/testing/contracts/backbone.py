"""Contract of backbones."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
import torch

from ex4d_core.errors import Cancelled
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import DiffusionBackbone
from ex4d_core.testing.contracts._values import copy_of, difference, room
from ex4d_core.testing.contracts.component import Inputs, LongWork, check_cancelled
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath, Guidance, Video
from ex4d_core.workspace import NO_WORKSPACE, Workspace


class BackboneContract(LongWork):
    """Tests of a backbone, on true views of a synthetic room with a hidden block."""

    role = "backbone"

    keeps_known: ClassVar[float | None] = None
    """Claims at least this PSNR in the visible region, in dB."""

    random: ClassVar[bool] = False
    """Claims that the result depends on the seed."""

    num_frames: ClassVar[int] = 5
    """Length of the clip in most tests."""

    @pytest.fixture
    def inputs(self) -> Inputs:
        """Guidance of a short clip, from the side."""
        return self._clip(self.num_frames, 64, 48)

    def _clip(self, num_frames: int, width: int, height: int) -> Inputs:
        guidance: Guidance = copy_of(_guidance(num_frames, width, height))
        scene = room(num_frames, width=width, height=height)
        return {"guidance": guidance, "scene": scene, "prompt": "", "seed": 1}

    @pytest.fixture
    def bad_inputs(self, inputs: Inputs) -> list[Inputs]:
        """Guidance without frames."""
        whole = inputs["guidance"]
        empty = Guidance(color=whole.color[:0], mask=whole.mask[:0], fps=whole.fps)
        return [{**inputs, "guidance": empty, "scene": None}]

    def call(
        self,
        component: DiffusionBackbone,
        inputs: Inputs,
        progress: Progress = silent,
        workspace: Workspace = NO_WORKSPACE,
    ) -> Video:
        """Generate a video."""
        return component.generate(**inputs, progress=progress, workspace=workspace)

    def misfit(self, result: Any, inputs: Inputs) -> str:
        """Check length, size, rate and device of the video."""
        if not isinstance(result, Video):
            return f"it is a {type(result).__name__}, not a Video"
        guidance = inputs["guidance"]
        if result.frames.shape != guidance.color.shape:
            return f"frames are {list(result.frames.shape)} and the guidance is {list(guidance.color.shape)}"
        if result.fps != guidance.fps:
            return f"it has {result.fps} frames a second and the guidance {guidance.fps}"
        return "" if result.frames.device.type == "cpu" else f"it is on {result.frames.device}, not on the CPU"

    def test_preserves_the_visible_region(self, result: Video, inputs: Inputs) -> None:
        if self.keeps_known is None:
            pytest.skip("it does not claim to preserve the visible region")
        mask, color = inputs["guidance"].mask, inputs["guidance"].color
        error = (result.frames[mask].double() - color[mask].double()).square().mean()
        psnr = float(10 * torch.log10(255**2 / error))  # inf if equal
        assert psnr >= self.keeps_known, (
            f"the PSNR in the visible region is {psnr:.1f} dB; keeps_known is {self.keeps_known:g}"
        )

    def test_fills_hidden_regions(self, result: Video, inputs: Inputs) -> None:
        hidden = ~inputs["guidance"].mask
        fraction = float(result.frames[hidden].any(dim=-1).float().mean())
        assert fraction > 0.5, f"{1 - fraction:.0%} of the hidden region is black"

    @pytest.mark.parametrize(("frames", "width", "height"), [(1, 64, 48), (2, 33, 17), (6, 48, 64)])
    def test_accepts_any_clip_shape(
        self, component: DiffusionBackbone, result: Video, frames: int, width: int, height: int
    ) -> None:
        inputs = self._clip(frames, width, height)
        assert not (fault := self.misfit(self.call(component, inputs), inputs)), fault

    def test_works_from_guidance_alone(self, component: DiffusionBackbone, result: Video, inputs: Inputs) -> None:
        alone = {**inputs, "scene": None, "guidance": attrs.evolve(inputs["guidance"], cameras=None)}
        assert not (fault := self.misfit(self.call(component, alone), alone)), fault

    def test_depends_on_the_seed(self, component: DiffusionBackbone, result: Video, inputs: Inputs) -> None:
        if not self.random:
            pytest.skip("it does not claim to be random")
        other = self.call(component, {**inputs, "seed": 2})
        assert not torch.equal(other.frames, result.frames), "seeds 1 and 2 give the same result"

    def test_interrupted_work_resumes_to_the_same_video(
        self, component: DiffusionBackbone, result: Video, inputs: Inputs, tmp_path: Path
    ) -> None:
        def stop(done: int, total: int) -> None:
            if done > 0:
                raise Cancelled("the user asked to stop")

        workspace = Workspace(folder=tmp_path)
        check_cancelled(lambda: self.call(component, inputs, stop, workspace))
        assert not (fault := difference(self.call(component, inputs, silent, workspace), result)), fault


@cache
def _guidance(frames: int, width: int, height: int) -> Guidance:
    """Return true views of the room from a camera that moves to the right, with a hidden block."""
    scene = room(frames, width=width, height=height)
    poses = torch.eye(4).repeat(frames, 1, 1)
    poses[:, 0, 3] = -torch.linspace(0, 0.3, frames)
    path = CameraPath(world_to_camera=poses, intrinsics=scene.depth.intrinsics)
    mask = torch.ones(frames, height, width, dtype=torch.bool)
    mask[:, height // 4 : height // 2, width // 2 : 3 * width // 4] = False
    color = room_scene().novel_views(path, fps=scene.video.fps).frames * mask[..., None]
    return Guidance(color=color, mask=mask, fps=scene.video.fps, cameras=path)
