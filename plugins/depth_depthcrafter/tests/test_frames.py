"""Facts about sizes and about what the image encoder sees."""

from __future__ import annotations

import pytest
import torch

from ex4d_depth_depthcrafter.frames import encoder_picture, resized, working_size


@pytest.mark.parametrize(
    ("size", "max_side", "expected"),
    [
        ((512, 512), 1024, (512, 512)),
        ((1024, 576), 1024, (1024, 576)),
        ((1920, 1080), 1024, (1024, 576)),
        ((1080, 1920), 640, (384, 640)),
        ((1050, 600), 1024, (1024, 576)),
        ((100, 100), 1024, (128, 128)),
        ((16, 2000), 1024, (64, 1024)),
    ],
)
def test_both_sides_become_multiples_of_64_and_the_longer_one_is_limited(size, max_side, expected):
    assert working_size(*size, max_side=max_side) == expected


def test_frames_of_the_working_size_are_taken_as_they_are():
    frames = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    assert resized(frames, (64, 64)) is frames
    assert resized(frames, (128, 64)).shape == (2, 64, 128, 3)


@pytest.mark.parametrize("size", [(64, 96), (224, 224), (576, 1024)])
def test_the_encoder_sees_what_stable_video_diffusion_shows_it(size):
    pipeline = pytest.importorskip("diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion")
    pictures = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    theirs = pipeline._resize_with_antialiasing(pictures, (224, 224))
    torch.testing.assert_close(encoder_picture(pictures, 224), theirs, rtol=0, atol=1e-5)
