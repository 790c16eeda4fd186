"""Facts about the control: gray holes, the mask of latent frames, reference pictures, scales."""

from __future__ import annotations

import pytest
import torch

from ex4d_backbone_vace.conditioning import gray_video, letterboxed, mask_channels
from ex4d_backbone_wan.conditioning import Known


def test_holes_are_mid_gray_whatever_color_they_have():
    color, mask = torch.rand(5, 3, 16, 16), torch.rand(5, 16, 16) > 0.5
    video = gray_video(Known(color=color, mask=mask))
    hidden = ~mask[:, None].expand_as(video)
    assert (video[hidden] == 0).all()
    torch.testing.assert_close(video[~hidden], color[~hidden] * 2 - 1)


@pytest.mark.parametrize("frame", range(9))
def test_a_hole_in_one_frame_is_in_the_mask_of_its_latent_frame(frame):
    hidden = torch.zeros(9, 16, 16, dtype=torch.bool)
    hidden[frame, 11, 2] = True
    mask = mask_channels(hidden, scale=8)
    assert mask.shape == (1, 64, 3, 2, 2)
    # Row 3 and column 2 of the latent pixel (1, 0); the first latent frame has one frame, and each other four.
    assert mask.nonzero().tolist() == [[0, 3 * 8 + 2, (frame + 3) // 4, 1, 0]]


def test_a_reference_keeps_its_aspect_ratio_on_white():
    picture = letterboxed(torch.zeros(3, 20, 40), (32, 32))
    assert (picture[:, 8:24] == 0).all()
    assert (picture[:, :8] == 1).all()
    assert (picture[:, 24:] == 1).all()
