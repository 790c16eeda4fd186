"""Facts about cheap looks at latents."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from ex4d_backbone_wan.denoiser import Schedule, integrate
from ex4d_backbone_wan.preview import LatentColors, Watcher


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def video_of(latents):
    """A video whose colors are three of the channels, so that a linear map from the latents is exact."""
    colors = latents[0, :3].repeat_interleave(8, -1).repeat_interleave(8, -2) * 0.2 + 0.1
    return torch.cat([colors[:, :1], colors[:, 1:].repeat_interleave(4, 1)], dim=1).movedim(1, 0)


def test_colors_that_depend_on_latents_linearly_are_found_again():
    latents = noise(1, 16, 9, 1, 1).expand(1, 16, 9, 8, 8)
    video = video_of(latents)
    shown = LatentColors(latents, video).frames(latents, 33)
    assert shown.shape == (33, 32, 32, 3)
    assert shown.dtype == torch.uint8
    wanted = (video[:, :, :32, :32].movedim(1, -1) / 2 + 0.5).clamp(0, 1) * 255
    assert (shown - wanted).abs().max() < 2


def test_the_first_latent_frame_is_one_frame_and_each_other_is_four():
    latents = noise(1, 16, 3, 4, 4)
    shown = LatentColors(latents, video_of(latents)).frames(latents, 7)
    same = [bool((a == b).all()) for a, b in pairwise(shown)]
    assert same == [False, True, True, True, False, True]


def test_a_video_of_one_color_gives_that_color():
    latents = torch.ones(1, 16, 1, 4, 4)
    shown = LatentColors(latents, torch.zeros(1, 3, 32, 32)).frames(latents, 1)
    assert set(shown.unique().tolist()) <= {127, 128}


@pytest.mark.parametrize(("every", "seen"), [(1, 4), (2, 2), (3, 1), (9, 0)])
def test_it_shows_the_clean_latents_that_a_step_goes_towards_but_for_the_last(every, seen):
    clean, start, schedule, shown = noise(1, 16, 2, 4, 4) + 3, noise(1, 16, 2, 4, 4), Schedule(5, 5.0), []
    watcher = Watcher(start, schedule=schedule, every=every, show=shown.append)
    integrate(lambda latents, step: start - clean, start, schedule=schedule, after_step=watcher)
    assert len(shown) == seen
    for latents in shown:
        torch.testing.assert_close(latents, clean, atol=1e-4, rtol=0)
