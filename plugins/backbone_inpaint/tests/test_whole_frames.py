"""Clips whose frames are all filled from the model of the scene: cancellation, and tiny and narrow pictures."""

import threading
from fractions import Fraction

import pytest
import torch

from ex4d_backbone_inpaint.backbone import InpaintBackbone
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_core.errors import Cancelled
from ex4d_core.pipeline.stages import generate_video
from ex4d_core.progress import silent
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Guidance, Intrinsics, Scene, Video

GRAY = 90


def filled(num_frames, height, width, *, depth=3.0, progress=silent):
    """Return the fill of whole frames, uint8 [T, H, W, 3], of a still gray clip with the same depth everywhere."""
    lens, size = Intrinsics.from_fov(width=width, height=height), (num_frames, height, width)
    color = torch.full((*size, 3), GRAY, dtype=torch.uint8)
    scene = Scene(
        video=Video(frames=color, fps=Fraction(12)),
        depth=DepthVideo(depth=torch.full(size, depth), kind=DepthKind.METRIC, intrinsics=lens),
    )
    path = CameraPath(world_to_camera=torch.eye(4).repeat(num_frames, 1, 1), intrinsics=lens)
    guidance = Guidance(color=torch.zeros_like(color), mask=torch.zeros(size, dtype=torch.bool), fps=12, cameras=path)
    backbone = InpaintBackbone(InpaintOptions(), device=torch.device("cpu"))
    return generate_video(guidance, scene, backbone, progress=progress).frames


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (2, 300), (300, 1)])
@pytest.mark.parametrize("depth", [3.0, torch.inf])
def test_tiny_and_narrow_pictures_are_filled(height, width, depth):
    frames = filled(2, height, width, depth=depth)
    assert (frames.int() - GRAY).abs().max() <= 2


def test_no_thread_outlives_a_cancelled_fill():
    def stop(done, total):
        if done == 1:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled) as caught:
        filled(20, 48, 64, progress=stop)
    assert caught.tb  # it refers to the variables of the fill
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("inpaint")]
