"""A person-like figure that walks, made of capsules and ellipsoids."""

from __future__ import annotations

import math

import attrs
import numpy as np

from ex4d_core.testing._paint import Rgb, constant, mix, plain, stripes
from ex4d_core.testing._solids import Array, Capsule, Ellipsoid, Paint, Solid


@attrs.frozen(kw_only=True)
class Walker:
    """A figure that walks along x, in world axes with the origin between its feet on the floor."""

    start: tuple[float, float, float]
    """Position of its feet at time 0, in world coordinates."""
    speed: float
    """Speed along x in units per second; negative to the left."""
    shirt: tuple[Rgb, Rgb]
    trousers: Rgb
    skin: Rgb = (0.87, 0.66, 0.52)
    hair: Rgb = (0.22, 0.13, 0.09)

    def solids(self, time: float) -> list[Solid]:
        """Return its solids at a time in seconds."""
        facing = math.copysign(1.0, self.speed)
        phase = 2 * math.pi * (0.72 * abs(self.speed) * time + 0.12)
        bob = 0.025 * math.cos(2 * phase)
        feet = np.array([self.start[0] + self.speed * time, *self.start[1:]])
        place = _Place(feet=feet, facing=facing, bob=bob)
        parts = [*self._body(place)]
        for side in (-1, 1):
            swing = math.sin(phase + (math.pi / 2) * (1 + side))
            lift = max(0.0, math.cos(phase + (math.pi / 2) * (1 + side)))
            parts += self._leg(place, side, swing, lift)
            parts += self._arm(place, side, -swing)
        return parts

    def _body(self, place: _Place) -> list[Solid]:
        torso = stripes(*self.shirt, axis=1, period=0.17)
        return [
            Capsule.between(place.at(0, 1.06, 0), place.at(0.03, 1.36, 0), radius=0.185, paint=torso),
            Capsule.between(
                place.at(0, 0.97, -0.05), place.at(0, 0.97, 0.05), radius=0.165, paint=plain(self.trousers)
            ),
            Capsule.between(place.at(0.02, 1.45, 0), place.at(0.04, 1.6, 0), radius=0.065, paint=plain(self.skin)),
            Ellipsoid(center=place.at(0.05, 1.69, 0), radii=(0.135, 0.165, 0.125), paint=self._head(place.facing)),
        ]

    def _leg(self, place: _Place, side: int, swing: float, lift: float) -> list[Solid]:
        thigh, bend = 0.5 * swing, 0.15 + 0.75 * lift
        hip = (0.0, 0.93, 0.09 * side)
        knee = _below(hip, 0.43, thigh)
        ankle = _below(knee, 0.42, thigh - bend)
        toe = (ankle[0] + 0.15 * math.cos(thigh - bend), ankle[1] - 0.02 + 0.1 * math.sin(thigh - bend), ankle[2])
        cloth, shoe = plain(self.trousers), plain((0.16, 0.15, 0.17))
        return [
            Capsule.between(place.at(*hip), place.at(*knee), radius=0.105, paint=cloth),
            Capsule.between(place.at(*knee), place.at(*ankle), radius=0.08, paint=cloth),
            Capsule.between(place.at(*ankle), place.at(*toe), radius=0.07, paint=shoe),
        ]

    def _arm(self, place: _Place, side: int, swing: float) -> list[Solid]:
        shoulder = (0.03, 1.4, 0.22 * side)
        elbow = _below(shoulder, 0.29, 0.45 * swing)
        hand = _below(elbow, 0.27, 0.45 * swing + 0.45)
        return [
            Capsule.between(place.at(*shoulder), place.at(*elbow), radius=0.07, paint=plain(self.shirt[0])),
            Capsule.between(place.at(*elbow), place.at(*hand), radius=0.052, paint=plain(self.skin)),
            Ellipsoid(center=place.at(*hand), radii=(0.07, 0.085, 0.06), paint=plain(self.skin)),
        ]

    def _head(self, facing: float) -> Paint:
        def paint(points: Array, normals: Array) -> Array:
            forward, up, across = facing * normals[:, 0], -normals[:, 1], np.abs(normals[:, 2])
            color = constant(self.skin, len(points))
            eye = 1 - np.clip((np.hypot(up - 0.12, across - 0.35) - 0.11) / 0.06, 0, 1)
            color = mix(color, (0.1, 0.1, 0.12), eye * (forward > 0))
            return mix(color, self.hair, np.clip((up - 0.75 * forward - 0.1) / 0.12, 0, 1))

        return paint


@attrs.frozen(eq=False, kw_only=True)
class _Place:
    feet: Array
    facing: float
    bob: float

    def at(self, forward: float, height: float, across: float) -> Array:
        """Return the world position of a point ahead of, above and beside the feet."""
        shoulder_sway = self.bob if height > 0.5 else 0.0
        moved: Array = self.feet + np.array([self.facing * forward, -height - shoulder_sway, across])
        return moved


def _below(joint: tuple[float, float, float], length: float, angle: float) -> tuple[float, float, float]:
    return joint[0] + length * math.sin(angle), joint[1] - length * math.cos(angle), joint[2]
