"""The synthetic room: static furniture, and a walker, a balloon and a ball that move."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ex4d_core.testing._figure import Walker
from ex4d_core.testing._paint import (
    Rgb,
    books,
    checks,
    constant,
    grain,
    mix,
    panels,
    picture,
    plain,
    stripes,
    wave,
)
from ex4d_core.testing._solids import Array, Box, Capsule, Ellipsoid, Interior, Solid

FLOOR = 1.75
"""y of the floor in scene units; the source camera is at eye level."""

LOW, HIGH = np.array([-3.6, -2.05, -1.6]), np.array([5.4, FLOOR, 8.2])
"""Corners of the room in world coordinates; it is wider on the right, where cameras usually go."""

_WOOD: Rgb = (0.55, 0.37, 0.22)
_SHIRTS: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.80, 0.16, 0.14), (0.96, 0.93, 0.86)),
    ((0.12, 0.38, 0.62), (0.95, 0.93, 0.88)),
    ((0.16, 0.50, 0.32), (0.96, 0.82, 0.30)),
)


Place = Callable[[float, float, float], Array]
"""World coordinates of a point beside, above and behind the foot of a piece of furniture."""


def objects_at(seed: int, time: float) -> tuple[Solid, ...]:
    """Return all solids of the room at a time in seconds."""
    return (*_furniture(seed), *_movers(seed, time))


def _movers(seed: int, time: float) -> list[Solid]:
    rng = np.random.default_rng(seed + 1000)
    later = rng.uniform(0.0, 1.0) if seed else 0.0
    walker = Walker(
        start=(-0.55 + 0.3 * later, FLOOR - 0.07, 3.95),
        speed=0.62,
        shirt=_SHIRTS[seed % len(_SHIRTS)],
        trousers=(0.20, 0.25, 0.38),
    )
    return [*walker.solids(time), *_balloon(time + later), *_ball(time + later)]


def _balloon(time: float) -> list[Solid]:
    sway = 0.16 * math.sin(1.5 * time)
    center = np.array([0.72 + sway, -0.62 - 0.14 * math.sin(2.1 * time + 0.6), 4.35])
    knot = center + np.array([0, 0.52, 0])
    paint = panels((0.96, 0.72, 0.12), (0.90, 0.32, 0.16), around=8)
    weight = np.array([0.95, FLOOR - 0.06, 4.5])
    return [
        Ellipsoid(center=center, radii=(0.40, 0.47, 0.40), paint=paint),
        Ellipsoid(center=knot, radii=(0.06, 0.07, 0.06), paint=plain((0.85, 0.35, 0.15))),
        Capsule.between(knot, weight, radius=0.013, paint=plain((0.92, 0.92, 0.9))),
        Box(center=weight, half=(0.07, 0.06, 0.07), paint=plain((0.3, 0.3, 0.34))),
    ]


def _ball(time: float) -> list[Solid]:
    radius = 0.24
    height = radius + 0.75 * abs(math.sin(2.6 * time + 0.9))
    turn = 2.2 * time
    spin = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    center = np.array([-1.75 + 0.55 * time, FLOOR - height, 4.9])
    paint = panels((0.15, 0.55, 0.80), (0.95, 0.95, 0.93))
    return [Ellipsoid(center=center, radii=(radius,) * 3, rotation=spin, paint=paint)]


@lru_cache(maxsize=8)
def _furniture(seed: int) -> tuple[Solid, ...]:
    return (
        Interior(center=(LOW + HIGH) / 2, half=(HIGH - LOW) / 2, paint=_walls),
        *_plant(_on_floor(-0.62, 4.75)),
        *_table(_on_floor(1.75, 5.3)),
        *_shelf(_on_floor(-2.1, 7.85), seed),
        *_sofa(_on_floor(1.4, 7.4)),
        *_lamp(_on_floor(3.2, 6.9)),
        *_cabinet(_on_floor(-3.2, 3.9)),
        Box(center=(1.4, -0.62, 8.17), half=(0.85, 0.55, 0.03), paint=picture(seed + 5)),
        Box(center=(1.4, -0.62, 8.19), half=(0.92, 0.62, 0.03), paint=plain((0.25, 0.16, 0.1))),
        Box(center=(3.9, -0.62, 8.17), half=(0.5, 0.6, 0.03), paint=picture(seed + 9)),
        Box(center=(3.9, -0.62, 8.19), half=(0.56, 0.66, 0.03), paint=plain((0.25, 0.16, 0.1))),
    )


def _on_floor(x: float, z: float) -> Place:
    return lambda beside, above, behind: np.array([x + beside, FLOOR - above, z + behind])


def _plant(at: Place) -> list[Solid]:
    leaf = stripes((0.20, 0.46, 0.20), (0.30, 0.60, 0.26), axis=0, period=0.16)
    places = ((0, 1.62, 0, 0.40), (-0.30, 1.34, 0.05, 0.33), (0.27, 1.30, -0.08, 0.31), (0.0, 1.22, 0.12, 0.36))
    crown = [Ellipsoid(center=at(x, y, z), radii=(size, size * 0.86, size), paint=leaf) for x, y, z, size in places]
    return [
        Capsule.between(at(0, 0.5, 0), at(0, 1.2, 0), radius=0.05, paint=plain(_WOOD)),
        Capsule.between(
            at(0, 0.22, 0),
            at(0, 0.4, 0),
            radius=0.22,
            paint=stripes((0.78, 0.42, 0.28), (0.90, 0.80, 0.66), axis=1, period=0.2),
        ),
        *crown,
    ]


def _table(at: Place) -> list[Solid]:
    legs = [
        Capsule.between(at(x, 0.05, z), at(x, 0.75, z), radius=0.04, paint=plain(_WOOD))
        for x in (-0.55, 0.55)
        for z in (-0.35, 0.35)
    ]
    return [
        *legs,
        Box(
            center=at(0, 0.8, 0),
            half=(0.7, 0.04, 0.48),
            paint=stripes(_WOOD, (0.63, 0.44, 0.28), axis=2, period=0.24),
        ),
        Ellipsoid(center=at(-0.25, 0.98, 0.05), radii=(0.15, 0.15, 0.15), paint=plain((0.85, 0.22, 0.16))),
        Ellipsoid(center=at(0.02, 0.95, -0.15), radii=(0.12, 0.12, 0.12), paint=plain((0.93, 0.66, 0.12))),
        Capsule.between(
            at(0.4, 0.95, 0.0),
            at(0.4, 1.2, 0.0),
            radius=0.12,
            paint=stripes((0.18, 0.38, 0.62), (0.92, 0.93, 0.95), axis=1, period=0.12),
        ),
    ]


def _shelf(at: Place, seed: int) -> list[Solid]:
    boards = [Box(center=at(0, y, 0), half=(1.05, 0.035, 0.3), paint=plain(_WOOD)) for y in (0.1, 0.75, 1.4, 2.05, 2.7)]
    sides = [Box(center=at(x, 1.4, 0), half=(0.035, 1.37, 0.3), paint=plain(_WOOD)) for x in (-1.05, 1.05)]
    rows = [
        Box(center=at(0, y + 0.25, 0.05), half=(1.0, 0.22 + 0.03 * (n % 2), 0.22), paint=books(seed + n))
        for n, y in enumerate((0.1, 0.75, 1.4, 2.05))
    ]
    return [*boards, *sides, *rows]


def _sofa(at: Place) -> list[Solid]:
    cloth = stripes((0.22, 0.44, 0.46), (0.27, 0.50, 0.51), axis=0, period=0.3)
    return [
        Box(center=at(0, 0.25, 0), half=(1.1, 0.25, 0.45), paint=cloth),
        Box(center=at(0, 0.65, 0.38), half=(1.1, 0.4, 0.13), paint=cloth),
        Capsule.between(at(-1.15, 0.55, -0.35), at(-1.15, 0.55, 0.35), radius=0.16, paint=cloth),
        Capsule.between(at(1.15, 0.55, -0.35), at(1.15, 0.55, 0.35), radius=0.16, paint=cloth),
        Box(
            center=at(-0.6, 0.72, 0.12),
            half=(0.24, 0.22, 0.08),
            paint=checks((0.92, 0.70, 0.25), (0.95, 0.90, 0.78), size=0.12, axes=(0, 1)),
        ),
    ]


def _lamp(at: Place) -> list[Solid]:
    return [
        Capsule.between(at(0, 0.02, 0), at(0, 1.7, 0), radius=0.03, paint=plain((0.2, 0.2, 0.22))),
        Ellipsoid(center=at(0, 0.03, 0), radii=(0.24, 0.04, 0.24), paint=plain((0.2, 0.2, 0.22))),
        Ellipsoid(center=at(0, 1.85, 0), radii=(0.33, 0.28, 0.33), paint=plain((1.0, 0.93, 0.74))),
    ]


def _cabinet(at: Place) -> list[Solid]:
    return [
        Box(
            center=at(0, 0.5, 0),
            half=(0.35, 0.5, 1.1),
            paint=stripes((0.46, 0.30, 0.19), (0.40, 0.26, 0.16), axis=2, period=0.55, duty=0.93),
        ),
        Ellipsoid(center=at(0, 1.25, -0.4), radii=(0.17, 0.25, 0.17), paint=panels((0.2, 0.5, 0.5), (0.9, 0.85, 0.7))),
    ]


def _walls(points: Array, normals: Array) -> Array:
    world = points + ((LOW + HIGH) / 2).astype(points.dtype)
    color = np.empty_like(points)
    axis = np.abs(normals).argmax(axis=1)
    floor, ceiling = (axis == 1) & (normals[:, 1] < 0), (axis == 1) & (normals[:, 1] > 0)
    for where, paint in ((floor, _floor), (ceiling, _ceiling), (axis == 0, _side_wall), (axis == 2, _end_wall)):
        color[where] = paint(world[where])
    near_edge = np.ones(len(points), np.float32)
    for k in range(3):
        gap = np.minimum(world[:, k] - LOW[k], HIGH[k] - world[:, k]).astype(np.float32)
        near_edge *= np.where(axis == k, 1, 1 - 0.25 * np.exp(-gap / 0.35))
    return color * near_edge[:, None]


def _floor(at: Array) -> Array:
    plank = np.floor(at[:, 0] / 0.3)
    tone = 0.06 * np.sin(plank * 12.9898 + np.floor(at[:, 2] / 1.7 + 0.37 * plank) * 78.233)
    streak = 0.05 * grain(at * np.array([6, 1, 0.6], np.float32), 1.2, seed=3)
    wood = constant((0.66, 0.49, 0.33), len(at)) * (1 + tone + streak)[:, None]
    color = mix(wood, (0.36, 0.25, 0.16), 1 - wave(at[:, 0] + 0.008, 0.3, duty=0.95, softness=0.02))
    x, z = (at[:, 0] - 0.35) / 2.1, (at[:, 2] - 4.9) / 1.35
    reach = np.hypot(x, z)
    ring = wave(reach, 0.25, duty=0.4, softness=0.03)
    rug = mix(constant((0.30, 0.36, 0.55), len(at)), (0.82, 0.74, 0.62), ring)
    rug = rug * (1 + 0.05 * grain(at, 0.15, seed=8))[:, None]
    return mix(color, rug, np.clip((1 - reach) / 0.015, 0, 1))


def _ceiling(at: Array) -> Array:
    beam = wave(at[:, 2] + 0.2, 1.6, duty=0.14, softness=0.03)
    return mix(constant((0.90, 0.88, 0.84), len(at)), (0.50, 0.36, 0.25), beam)


def _side_wall(at: Array) -> Array:
    color = constant((0.80, 0.70, 0.56), len(at)) * (1 + 0.03 * grain(at, 0.8, seed=5))[:, None]
    color = mix(color, (0.88, 0.82, 0.70), wave(at[:, 2], 0.6, duty=0.5, softness=0.04))
    return _with_wainscot(color, at, at[:, 2])


def _end_wall(at: Array) -> Array:
    color = constant((0.60, 0.70, 0.68), len(at)) * (1 + 0.03 * grain(at, 0.9, seed=6))[:, None]
    dot = np.hypot(np.mod(at[:, 0] + 0.2 * np.floor(at[:, 1] / 0.4), 0.4) - 0.2, np.mod(at[:, 1], 0.4) - 0.2)
    color = mix(color, (0.76, 0.82, 0.78), np.clip((0.07 - dot) / 0.03 + 0.5, 0, 1))
    return _with_wainscot(color, at, at[:, 0])


def _with_wainscot(color: Array, at: Array, along: Array) -> Array:
    panel = (
        constant((0.93, 0.91, 0.87), len(at)) * (1 - 0.09 * (1 - wave(along, 0.5, duty=0.94, softness=0.03)))[:, None]
    )
    color = mix(color, panel, np.clip((at[:, 1] - 0.75) / 0.02, 0, 1))
    rail = np.clip((0.05 - np.abs(at[:, 1] - 0.75)) / 0.02 + 0.5, 0, 1)
    return mix(color, (0.80, 0.77, 0.72), rail)
