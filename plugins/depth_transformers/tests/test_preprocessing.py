"""Facts about what a model sees, and how its maps come back."""

from __future__ import annotations

import pytest
import torch

from ex4d_depth_transformers.preprocessing import preparation

transformers = pytest.importorskip("transformers")

DEPTH_ANYTHING = {
    "size": {"height": 518, "width": 518},
    "ensure_multiple_of": 14,
    "keep_aspect_ratio": True,
    "resample": 3,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
DPT = {"size": {"height": 384, "width": 384}, "resample": 3}
ZOEDEPTH = {"size": {"height": 384, "width": 512}, "ensure_multiple_of": 32, "keep_aspect_ratio": True, "resample": 2}


def prepared(processor, model_type, width, height, max_side=None):
    return preparation(processor, model_type=model_type, width=width, height=height, max_side=max_side)


@pytest.mark.parametrize(
    ("processor", "model_type", "size", "max_side", "seen"),
    [
        (DEPTH_ANYTHING, "depth_anything", (512, 512), None, (518, 518)),
        (DEPTH_ANYTHING, "depth_anything", (1920, 1080), None, (924, 518)),
        (DEPTH_ANYTHING, "depth_anything", (1080, 1920), None, (518, 924)),
        (DEPTH_ANYTHING, "depth_anything", (1920, 1080), 518, (518, 294)),
        (DEPTH_ANYTHING, "depth_anything", (16, 2000), 280, (14, 280)),
        (DPT, "dpt", (1920, 1080), None, (384, 384)),
        ({"size": 384}, "dpt", (640, 480), None, (384, 384)),
        ({}, "depth_pro", (640, 480), None, (1536, 1536)),
        ({}, "depth_pro", (640, 480), 512, (1536, 1536)),
        ({}, "glpn", (650, 481), None, (640, 480)),
        ({}, "glpn", (20, 40), None, (32, 32)),
    ],
)
def test_a_model_sees_the_size_that_it_was_made_for(processor, model_type, size, max_side, seen):
    how = prepared(processor, model_type, *size, max_side)
    assert (how.width, how.height) == seen


@pytest.mark.parametrize("size", [(70, 50), (640, 480), (480, 854), (1000, 300)])
@pytest.mark.parametrize(
    ("processor", "model_type", "theirs"),
    [
        (DEPTH_ANYTHING, "depth_anything", "DPTImageProcessorPil"),
        (DPT, "dpt", "DPTImageProcessorPil"),
        (ZOEDEPTH, "zoedepth", "ZoeDepthImageProcessorPil"),
        ({"size_divisor": 32, "resample": 2}, "glpn", "GLPNImageProcessorPil"),
    ],
)
def test_pictures_are_those_of_the_librarys_processor(processor, model_type, theirs, size):
    width, height = size
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 9, 11, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 255)
    frames = smooth.movedim(1, -1).round().to(torch.uint8)
    expected = getattr(transformers, theirs)(**processor)(images=list(frames.numpy()), return_tensors="pt")
    ours = prepared(processor, model_type, width, height).pictures(frames)
    # Two levels of 8 bits, which the library rounds to in between, of 1 / (255 * 0.22).
    torch.testing.assert_close(ours, expected["pixel_values"].float(), rtol=0, atol=0.04)


def test_depth_pro_sees_a_square_without_smoothing_and_centerd_colors():
    frames = torch.randint(0, 256, (1, 40, 60, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ours = prepared({"size": {"width": 32, "height": 32}}, "depth_pro", 60, 40).pictures(frames)
    centerd = frames.movedim(-1, 1).float() / 127.5 - 1
    expected = torch.nn.functional.interpolate(centerd, size=(32, 32), mode="bilinear")
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(71, 53), (17, 90)])
def test_maps_come_back_in_the_size_of_the_clip_without_the_padding(size):
    width, height = size
    how = prepared(ZOEDEPTH, "zoedepth", width, height)
    down = how.pad[1]
    assert min(how.pad) > 0
    rows = torch.linspace(-down, height + down, how.height)[:, None].expand(how.height, how.width)
    maps = how.maps(rows[None], width=width, height=height)
    assert maps.shape == (1, height, width)
    assert maps[0, 0, 0] == pytest.approx(0.5, abs=1)
    assert maps[0, -1, 0] == pytest.approx(height - 0.5, abs=1)


def test_maps_of_sixteen_bits_come_back_in_thirty_two():
    how = prepared(DPT, "dpt", 40, 30)
    assert how.maps(torch.ones(2, 8, 8, dtype=torch.float16), width=40, height=30).dtype == torch.float32
