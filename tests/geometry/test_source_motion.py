"""Poses of the source camera are trusted only where they predict the frames."""

from functools import cache

import attrs
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ex4d_core.geometry.source_motion import measure_source_motion, seems_to_move
from ex4d_core.testing.filming import FILMING, filmed
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import CameraPath, Intrinsics, Video

LENS = Intrinsics.from_fov(width=96, height=72)


@cache
def clip(filming):
    return room_scene().clip(cameras=filmed(filming, num_frames=9, intrinsics=LENS))


def with_poses(scene, world_to_camera):
    cameras = CameraPath(world_to_camera=world_to_camera, intrinsics=LENS)
    return attrs.evolve(scene, depth=attrs.evolve(scene.depth, cameras=cameras))


@pytest.mark.parametrize("filming", FILMING)
def test_true_poses_are_trusted_and_their_inverses_are_not(filming):
    scene = clip(filming)
    assert measure_source_motion(scene).is_trusted
    inverse = torch.linalg.inv(scene.depth.cameras.world_to_camera)
    assert not measure_source_motion(with_poses(scene, inverse)).is_trusted


def test_poses_of_a_static_camera_are_not_trusted():
    still = room_scene().clip(num_frames=9, width=96, height=72)
    assert not measure_source_motion(with_poses(still, torch.eye(4).repeat(9, 1, 1))).is_trusted
    shaking = filmed("hand-held", num_frames=9, intrinsics=LENS).world_to_camera
    assert not measure_source_motion(with_poses(still, shaking)).is_trusted


def test_travel_and_turn_are_those_of_the_camera():
    motion = measure_source_motion(clip("orbit"))
    assert motion.turn == pytest.approx(20, abs=0.01)
    scene = clip("walk")
    depth = float(scene.depth.depth[4].median())
    assert measure_source_motion(scene).travel == pytest.approx(1.2 / depth, rel=0.01)


def test_poses_that_look_elsewhere_predict_nothing():
    scene = clip("walk")
    away = scene.depth.cameras.world_to_camera.clone()
    away[1::2] = torch.diag(torch.tensor([-1.0, 1, -1, 1])) @ away[1::2]
    motion = measure_source_motion(with_poses(scene, away))
    assert motion.change == float("inf")
    assert not motion.is_trusted
    assert str(motion).endswith("; consecutive frames would show different places")


def test_true_poses_of_a_camera_that_turns_around_are_trusted():
    turned = torch.eye(4).repeat(17, 1, 1)
    angles = np.linspace(0, 300, 17)[:, None]  # frames a quarter of the clip apart show different places
    turned[:, :3, :3] = torch.from_numpy(Rotation.from_euler("y", angles, degrees=True).as_matrix())
    scene = room_scene().clip(cameras=CameraPath(world_to_camera=turned, intrinsics=LENS))
    assert measure_source_motion(scene).is_trusted
    inverse = turned.mT.contiguous()
    assert not measure_source_motion(with_poses(scene, inverse)).is_trusted


@pytest.mark.parametrize("filming", FILMING)
def test_a_camera_that_moves_is_seen_without_depth(filming):
    lens = Intrinsics.from_fov(width=192, height=144)
    assert seems_to_move(room_scene().clip(cameras=filmed(filming, num_frames=9, intrinsics=lens)).video)


def test_a_camera_that_stands_still_does_not_seem_to_move():
    video = room_scene().clip(num_frames=9, width=192, height=144).video  # things and people move in it
    assert not seems_to_move(video)
    noise = torch.randint(-6, 7, video.frames.shape, generator=torch.Generator().manual_seed(0))
    assert not seems_to_move(Video(frames=(video.frames.int() + noise).clamp(0, 255).byte(), fps=video.fps))


@pytest.mark.parametrize("shape", [(1, 64, 64), (9, 64, 64), (9, 1, 64)])
def test_frames_without_edges_say_nothing_about_the_camera(shape):
    assert not seems_to_move(Video(frames=torch.full((*shape, 3), 90, dtype=torch.uint8), fps=24))
