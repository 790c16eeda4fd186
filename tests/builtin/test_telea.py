"""The `telea` backbone beyond its contract."""

import torch

from ex4d_core.builtin.backbone_telea import TeleaBackbone
from ex4d_core.builtin.telea_options import TeleaOptions
from ex4d_core.pipeline.stages import generate_video
from ex4d_core.plugins.discovery import Plugins, find_plugins
from ex4d_core.plugins.registry import Registry
from ex4d_core.types import Guidance


def fill(frames, mask):
    backbone = TeleaBackbone(TeleaOptions(), device=torch.device("cpu"))
    return generate_video(Guidance(color=frames * mask[..., None], mask=mask, fps=24), None, backbone).frames


def test_holes_are_filled_from_their_borders():
    frames = torch.full((2, 16, 24, 3), 90, dtype=torch.uint8)
    mask = torch.ones(2, 16, 24, dtype=torch.bool)
    mask[:, 4:12, 6:14] = False
    filled = fill(frames, mask)
    assert (filled.int() - frames.int()).abs().max() <= 3  # OpenCV extrapolates gradients, which are not exactly 0


def test_a_frame_without_visible_pixels_is_gray():
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    assert (fill(torch.full((1, 16, 16, 3), 200, dtype=torch.uint8), mask) == 127).all()


def test_the_core_alone_has_a_backbone():
    offers = tuple(offer for offer in find_plugins().offers if offer.builtin)
    assert Registry(Plugins(offers=offers, problems=())).choose("backbone", "cpu").offer.name == "telea"
