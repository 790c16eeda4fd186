"""Random scenes and the cameras that film them: a seed fixes each, and others differ."""

import pytest
import torch

from benchmarks.training.random_scenes import random_cameras, random_scene
from ex4d_core.types import Intrinsics

K = Intrinsics.from_fov(width=32, height=24)
SEEDS = range(12)


def film(seed):
    """Four frames of a scene, half a second apart."""
    cameras = random_cameras(seed=seed, num_frames=4, intrinsics=K)
    return random_scene(seed=seed).clip(fps=2, cameras=cameras)


def middles(path):
    """Where the cameras are, [T, 3], and their viewing directions, [T, 3]."""
    rotation, translation = path.world_to_camera[:, :3, :3], path.world_to_camera[:, :3, 3:]
    return -(rotation.mT @ translation)[..., 0], rotation[:, 2]


def test_a_seed_fixes_the_film_and_another_gives_another():
    films = [film(seed) for seed in (1, 1, 2)]
    assert torch.equal(films[0].video.frames, films[1].video.frames)
    assert torch.equal(films[0].depth.depth, films[1].depth.depth)
    assert (films[0].video.frames != films[2].video.frames).float().mean() > 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_cameras_are_in_a_closed_room_and_outside_all_things(seed):
    scene = film(seed)
    assert scene.depth.depth.isfinite().all()
    assert scene.depth.depth.min() > 0.2
    assert scene.depth.depth.max() > 2


@pytest.mark.parametrize("seed", SEEDS)
def test_cameras_look_at_the_middle_of_the_room(seed):
    eyes, directions = middles(random_cameras(seed=seed, num_frames=4, intrinsics=K))
    towards = torch.tensor([0.0, 0.0, 3.4]) - eyes
    assert (torch.nn.functional.cosine_similarity(towards, directions) > 0.95).all()


def test_some_cameras_go_around_and_some_stand_still():
    ways = []
    for seed in range(60):
        _, directions = middles(random_cameras(seed=seed, num_frames=2, intrinsics=K))
        ways.append(float(torch.rad2deg(torch.acos((directions[0] * directions[1]).sum().clamp(-1, 1)))))
    assert max(ways) > 60
    assert 2 <= sum(way < 12 for way in ways) <= 40


@pytest.mark.parametrize("seed", SEEDS)
def test_in_every_scene_something_moves_and_something_stays(seed):
    scene = random_scene(seed=seed)
    parts = [[tuple(getattr(solid, "center", ())) for solid in scene.objects(time)] for time in (0.0, 0.5)]
    assert len(parts[0]) == len(parts[1])
    assert 5 <= len(parts[0]) <= 8  # the room and four to seven things
    changed = (scene.view(0.0, torch.eye(4), K).color != scene.view(0.5, torch.eye(4), K).color).any()
    frozen = scene.frozen_at(0.0)
    assert torch.equal(frozen.view(0.0, torch.eye(4), K).color, frozen.view(0.5, torch.eye(4), K).color)
    assert changed or parts[0] != parts[1]


def test_new_views_of_the_filming_cameras_are_the_film():
    cameras = random_cameras(seed=3, num_frames=3, intrinsics=K)
    scene = random_scene(seed=3)
    film = scene.clip(fps=2, cameras=cameras)
    assert torch.equal(scene.novel_views(cameras, fps=2).frames, film.video.frames)
