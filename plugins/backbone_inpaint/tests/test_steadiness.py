"""Fills do not flicker: texture and edges that move by fractions of a pixel, surfaces seen twice, noise of frames."""

from fractions import Fraction

import pytest
import torch

from ex4d_backbone_inpaint.backbone import InpaintBackbone
from ex4d_backbone_inpaint.backdrop import Backdrop
from ex4d_backbone_inpaint.clip_model import ClipModel
from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_backbone_inpaint.samples import take_samples
from ex4d_backbone_inpaint.sheets import RINGS
from ex4d_core.pipeline.stages import generate_video
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Guidance, Intrinsics, Scene, Video

pytestmark = pytest.mark.slow

DISTANCE = 8.0
LENS = Intrinsics.from_fov(width=128, height=96)


def clip(color, depth, lens=LENS):
    """A clip [T, H, W, 3] of a static camera with the same depth [H, W] in each frame."""
    depth = DepthVideo(depth=depth.expand(len(color), -1, -1), kind=DepthKind.METRIC, intrinsics=lens)
    return Scene(video=Video(frames=color, fps=Fraction(12)), depth=depth)


def filled(scene, mask, poses):
    """Frames, float [T, H, W, 3], of a clip whose own frames are visible where the mask is true."""
    color = scene.video.frames * mask[..., None]
    path = CameraPath(world_to_camera=poses, intrinsics=scene.depth.intrinsics)
    guidance = Guidance(color=color, mask=mask, fps=12, cameras=path)
    return generate_video(guidance, scene, InpaintBackbone(InpaintOptions(), device=torch.device("cpu"))).frames.float()


def shifted(color, depth, pixels):
    """Fills of whole frames of a still picture [H, W, 3] as things at `DISTANCE` move by so many pixels."""
    poses = torch.eye(4).repeat(len(pixels), 1, 1)
    poses[:, 0, 3] = torch.tensor(pixels) * DISTANCE / LENS.fx
    scene = clip(color.expand(len(pixels), -1, -1, -1), depth)
    return filled(scene, torch.zeros(len(pixels), 96, 128, dtype=torch.bool), poses)


def test_fine_texture_has_the_same_contrast_at_and_between_pixels():
    noise = torch.randint(0, 256, (96, 128, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    frames = shifted(noise.expand(-1, -1, 3), torch.full((96, 128), DISTANCE), [0.0, 0.25, 0.5])
    contrast = frames[:, 16:-16, 16:-16].std(dim=(1, 2, 3))
    assert contrast.min() > 0.95 * contrast.max()


def test_edges_move_by_half_a_pixel():
    """A white post before a black wall, of which all is filled."""
    color, depth = torch.zeros(96, 128, 3, dtype=torch.uint8), torch.full((96, 128), 2 * DISTANCE)
    color[:, 56:72], depth[:, 56:72] = 255, DISTANCE
    row = shifted(color, depth, [0.0, 0.5, 1.0])[:, 48, :, 0]
    centers = (row * torch.arange(128)).sum(dim=1) / row.sum(dim=1)
    assert torch.allclose(centers, torch.tensor([63.5, 64.0, 64.5]), atol=0.05)


def test_a_floor_around_a_thing_is_not_in_front_of_itself():
    """The fronts that close the back of a post contain the floor that it stands on, which the static scene has too."""
    floor = (1.5 * LENS.fy / (torch.arange(96) - 47.5).clamp_min(0.5)).clamp(max=4 * DISTANCE)
    depth = floor[:, None].repeat(1, 128)
    foot = int((floor > DISTANCE).sum())
    depth[10:foot, 56:72] = DISTANCE
    pose = torch.eye(4)
    pose[:2, 3] = torch.tensor([0.2, 0.1])
    scene = clip(torch.zeros(1, 96, 128, 3, dtype=torch.uint8), depth)
    in_front = ClipModel(scene, InpaintOptions()).view(0, pose, LENS).in_front
    scale = len(in_front) // 96
    assert in_front.any()
    assert not in_front[scale * (foot + 6) :].any()


def test_a_surface_that_hides_nothing_is_drawn_once():
    wall = clip(torch.full((1, 96, 128, 3), 90, dtype=torch.uint8), torch.full((96, 128), DISTANCE))
    model = Backdrop.of(take_samples(wall, [0], 0), 0.06)
    assert len(model.faces) == 2 * (96 + 2 * RINGS - 1) * (128 + 2 * RINGS - 1)


def test_holes_get_the_exposure_of_the_frame_but_not_its_noise():
    """A frame is 12 levels brighter than the rest of the clip, and each frame has noise of its own."""
    generator = torch.Generator().manual_seed(0)
    wall = torch.randint(60, 140, (192, 256, 1), generator=generator)
    noise = torch.randint(-8, 9, (9, 192, 256, 1), generator=generator)
    noise[4] += 12
    color = (wall + noise).expand(9, 192, 256, 3).to(torch.uint8)
    mask = torch.ones(9, 192, 256, dtype=torch.bool)
    mask[:, 88:104, 88:104] = False
    scene = clip(color, torch.full((192, 256), DISTANCE), Intrinsics.from_fov(width=256, height=192))
    hole = (filled(scene, mask, torch.eye(4).repeat(9, 1, 1)) - wall)[:, 88:104, 88:104]
    means = hole.mean(dim=(1, 2, 3))
    assert 8 < means[4] - means[[3, 5]].mean() < 13
    assert (hole[3] - hole[5]).abs().mean() < 0.3
