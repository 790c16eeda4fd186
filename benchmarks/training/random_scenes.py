"""Random synthetic scenes, one for each seed: rooms with moving objects, as training data for small networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from ex4d_core.geometry.projective import look_at
from ex4d_core.testing._paint import Rgb, checks, mix, panels, plain, stripes, wave
from ex4d_core.testing._room import FLOOR
from ex4d_core.testing._solids import Array, Box, Capsule, Ellipsoid, Interior, Paint, Solid
from ex4d_core.testing.scenes import SyntheticScene
from ex4d_core.types import CameraPath, Intrinsics

Center = Callable[[float], Array]
"""World coordinates of the center of a solid at a time in seconds."""

_SUBJECT_DISTANCE = 3.4
"""Approximate distance of the point that cameras turn around."""


def random_scene(*, seed: int) -> SyntheticScene:
    """Return a room of random size and colors with four to seven objects, of which one to three move.

    Floor level, light and kinds of objects are the same for all seeds.
    """
    rng = np.random.default_rng(seed)
    room = _room(rng)
    count = int(rng.integers(4, 8))
    moving = int(rng.integers(1, 4))
    objects = [_object(rng, number, moves=number < moving) for number in range(count)]
    return SyntheticScene(objects=partial(_at, room, objects))


def random_cameras(*, seed: int, num_frames: int, intrinsics: Intrinsics) -> CameraPath:
    """Return a random camera path in such a room, static or orbiting, in the coordinates of the room.

    Args:
        seed: seed of the path, independent of the seed of the scene.
        num_frames: number of poses.
        intrinsics: of the camera.
    """
    rng = np.random.default_rng((seed, 1))
    start = rng.uniform(-100, 100)
    turn = rng.choice([0.0, 1.0], p=[0.15, 0.85]) * rng.uniform(-100, 100)
    angles = np.radians(start + turn * np.linspace(0, 1, num_frames))
    radius = _SUBJECT_DISTANCE * (rng.uniform(0.75, 1.0) + rng.uniform(-0.12, 0.12) * np.linspace(0, 1, num_frames))
    height = rng.uniform(-0.5, 0.25) + rng.uniform(-0.3, 0.3) * np.linspace(0, 1, num_frames)
    eyes = np.stack([radius * np.sin(angles), height, _SUBJECT_DISTANCE - radius * np.cos(angles)], axis=1)
    center = torch.tensor([rng.uniform(-0.4, 0.4), rng.uniform(-0.1, 0.2), _SUBJECT_DISTANCE])
    return CameraPath(world_to_camera=look_at(torch.from_numpy(eyes), center.double()), intrinsics=intrinsics)


def _at(room: Solid, objects: list[Callable[[float], list[Solid]]], time: float) -> tuple[Solid, ...]:
    return (room, *(solid for solids in objects for solid in solids(time)))


def _color(rng: np.random.Generator, low: float = 0.1, high: float = 0.95) -> Rgb:
    red, green, blue = rng.uniform(low, high, 3).tolist()
    return red, green, blue


def _room(rng: np.random.Generator) -> Solid:
    low = np.array([-rng.uniform(4.0, 4.6), -rng.uniform(1.9, 2.3), -rng.uniform(1.0, 1.6)])
    high = np.array([rng.uniform(4.0, 4.6), FLOOR, rng.uniform(7.4, 8.2)])
    walls, floor, other = _color(rng, 0.45, 0.9), _color(rng, 0.2, 0.6), _color(rng, 0.3, 0.7)
    band = _color(rng)

    def paint(points: Array, normals: Array) -> Array:
        up = points[:, 1]
        color = np.array(plain(walls)(points, normals))
        color = mix(color, band, wave(up, 9.0, duty=0.08, softness=0.1))
        on_floor = (normals[:, 1] < -0.5)[:, None]
        tiles = checks(floor, other, size=1.2, axes=(0, 2))(points, normals)
        ceiling = (normals[:, 1] > 0.5)[:, None]
        return np.where(on_floor, tiles, np.where(ceiling, np.float32(0.92), color))

    return Interior(center=(low + high) / 2, half=(high - low) / 2, paint=paint)


def _object(rng: np.random.Generator, number: int, *, moves: bool) -> Callable[[float], list[Solid]]:
    """Return an object as a function of time. Each is in its own sector around the center, so that few intersect."""
    angle, away = 2.4 * number + rng.uniform(-0.5, 0.5), rng.uniform(0.2, 1.7)
    place = np.array([away * math.cos(angle), 0.0, _SUBJECT_DISTANCE + away * math.sin(angle)])
    size = rng.uniform(0.28, 0.6)
    paint = _paint(rng, size)
    kind = rng.choice(["ball", "box", "post"])
    height = rng.uniform(0.0, 1.6) if kind == "ball" else 0.0
    rise = size * rng.uniform(0.8, 2.6)
    rotation = _about_y(rng.uniform(0, math.pi))
    center = _moving(rng, place, hops=kind == "ball") if moves else (lambda time: place)

    def solids(time: float) -> list[Solid]:
        x, up, z = center(time)
        if kind == "ball":
            position = (x, FLOOR - size - height - up, z)
            return [Ellipsoid(center=position, radii=(size, size * 0.9, size), rotation=rotation, paint=paint)]
        if kind == "box":
            return [Box(center=(x, FLOOR - rise, z), half=(size, rise, size * 0.7), rotation=rotation, paint=paint)]
        top, foot = (x, FLOOR - 2 * rise, z), (x, FLOOR - 0.6 * size, z)
        return [Capsule.between(np.array(top), np.array(foot), radius=0.6 * size, paint=paint)]

    return solids


def _moving(rng: np.random.Generator, place: Array, *, hops: bool) -> Center:
    heading, speed = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 0.9)
    velocity = speed * np.array([math.cos(heading), 0.0, math.sin(heading)])
    hop, phase = (rng.uniform(0, 0.8) if hops else 0.0), rng.uniform(0, math.pi)

    def center(time: float) -> Array:
        moved: Array = place + velocity * (time - 0.5)
        moved[1] = hop * abs(math.sin(3 * time + phase))
        return moved

    return center


def _paint(rng: np.random.Generator, size: float) -> Paint:
    first, second = _color(rng), _color(rng)
    kind = rng.choice(["plain", "stripes", "panels"])
    if kind == "plain":
        return plain(first)
    if kind == "stripes":
        return stripes(first, second, axis=1, period=float(size))
    return panels(first, second)


def _about_y(angle: float) -> Array:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
