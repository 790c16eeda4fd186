"""Facts about what the networks are shown of the guidance."""

from __future__ import annotations

import pytest
import torch

from ex4d_backbone_wan.conditioning import Known, known_frames, working_size
from ex4d_core.masks.erosion import erode, sample_erosion_sizes


def known(color=0.5, mask=True, *, frames=2, side=4):
    return Known(
        color=torch.full((frames, 3, side, side), color), mask=torch.full((frames, side, side), mask, dtype=torch.bool)
    )


@pytest.mark.parametrize(
    ("clip", "size", "fit", "worked_at"),
    [
        ((512, 512), (512, 512), "aspect", (512, 512)),
        ((1024, 1024), (512, 512), "aspect", (512, 512)),
        ((832, 480), (512, 512), "aspect", (672, 384)),
        ((480, 832), (512, 512), "aspect", (384, 672)),
        ((832, 480), (512, 512), "stretch", (512, 512)),
        ((850, 481), None, "aspect", (848, 480)),
        ((2000, 16), (64, 64), "aspect", (720, 16)),
        ((20, 20), None, "stretch", (16, 16)),
    ],
)
def test_the_size_that_is_worked_at_keeps_the_shape_and_the_number_of_pixels(clip, size, fit, worked_at):
    assert working_size(*clip, size=size, fit=fit) == worked_at


def test_hidden_pixels_are_black_and_colors_run_from_minus_1_to_1():
    assert (known(1.0).video == 1).all()
    assert (known(1.0, mask=False).video == -1).all()


def test_the_hidden_part_of_the_mask_is_minus_3():
    assert (known().mask_video == 1).all()
    assert (known(mask=False).mask_video == -3).all()
    assert known().mask_video.shape == (2, 3, 4, 4)


def test_the_first_picture_is_in_256_levels_rounded_down():
    assert (known(0.9999).first_picture == 254 / 255).all()
    assert (known(0.9999, mask=False).first_picture == 0).all()


def test_guidance_of_the_right_size_is_taken_as_it_is():
    generator = torch.Generator().manual_seed(0)
    color = torch.randint(0, 256, (2, 16, 32, 3), generator=generator, dtype=torch.uint8)
    mask = torch.rand(2, 16, 32, generator=generator) > 0.5
    seen = known_frames(color, mask, (32, 16))
    assert torch.equal((seen.color * 255).round().byte().movedim(1, -1), color * mask[..., None])
    assert torch.equal(seen.mask, mask)


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (48, 16)])
def test_resizing_keeps_the_black_of_hidden_pixels_out_of_colors(size):
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[:, :, :13] = True
    color = torch.full((1, 32, 32, 3), 200, dtype=torch.uint8) * mask[..., None]
    seen = known_frames(color, mask, size)
    shown = seen.color.movedim(1, -1)[seen.mask]
    torch.testing.assert_close(shown, torch.full_like(shown, 200 / 255), atol=0.02, rtol=0)
    assert seen.mask.float().mean() == pytest.approx(13 / 32, abs=0.04)


def test_eroding_sides_are_drawn_evenly_from_the_seed():
    sides = sample_erosion_sizes(700, (2, 8), seed=3)
    assert torch.equal(sides, sample_erosion_sizes(700, (2, 8), seed=3))
    assert not torch.equal(sides, sample_erosion_sizes(700, (2, 8), seed=4))
    assert all(60 < count < 140 for count in sides.bincount()[2:].tolist())
    assert set(sides.tolist()) == set(range(2, 9))


def test_without_erosion_masks_stay_as_they_are():
    mask = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5
    assert torch.equal(erode(mask, sample_erosion_sizes(3, None, seed=0)), mask)


@pytest.mark.parametrize("side", range(1, 9))
def test_a_hidden_pixel_hides_a_square_around_it(side):
    mask = torch.ones(1, 21, 21, dtype=torch.bool)
    mask[0, 10, 10] = False
    rows, columns = torch.nonzero(~erode(mask, torch.tensor([side]))[0], as_tuple=True)
    assert len(rows) == side * side
    assert rows.min() == columns.min() == 10 - side // 2
    assert rows.max() == columns.max() == 10 + (side - 1) // 2


def test_each_frame_is_eroded_by_its_own_square_and_the_border_hides_nothing():
    mask = torch.ones(3, 9, 9, dtype=torch.bool)
    mask[1:, 4, 4] = False
    shrunk = erode(mask, torch.tensor([5, 1, 3]))
    assert [int((~frame).sum()) for frame in shrunk] == [0, 1, 9]


def test_first_frames_can_be_replaced_by_ones_that_are_known_whole():
    seen = known(0.2, mask=False, frames=3).starting_with(torch.full((2, 3, 4, 4), 0.7))
    assert seen.mask[:2].all()
    assert not seen.mask[2].any()
    assert seen.color[:, 0, 0, 0].tolist() == pytest.approx([0.7, 0.7, 0.2])
