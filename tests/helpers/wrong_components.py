"""Options, depth estimators and trajectory generators that are wrong on purpose, one fault each."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import attrs
import torch

from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.geometry.rigid import Pose
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.options import option
from ex4d_core.progress import silent, track
from ex4d_core.testing.contracts._values import room
from ex4d_core.testing.contracts.depth import moving_cameras
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics

KEPT: list[Any] = []
"""References that some of them keep, so that they leak."""


@attrs.frozen
class NoOptions:
    pass


@attrs.frozen
class SilentOptions:
    gain: float = attrs.field(default=1.0)


@attrs.frozen
class ShiftingOptions:
    """What is written is not what is read."""

    gain: float = attrs.field(default=1.0, converter=lambda gain: gain + 1, metadata={"help": "Grows each time."})


@attrs.frozen
class PlainOptions:
    gain: float = option(1.0, help="Nothing.")


class Brightness:
    """A depth estimator without fault: what is bright is near."""

    def __init__(self, options: object, *, device: torch.device) -> None:
        self.device = device

    def estimate(self, video, *, progress):
        if not video.num_frames:
            raise InvalidInput("the clip has no frames; give at least one")
        depth = torch.stack([2 - frame.float().mean(dim=-1) / 255 for frame in track(video.frames, progress)])
        lens = Intrinsics.from_fov(width=video.width, height=video.height)
        return DepthVideo(depth=depth, kind=DepthKind.RELATIVE, intrinsics=lens)


class DepthOfAnotherSize(Brightness):
    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        return attrs.evolve(found, depth=found.depth[:, 1:])


class DepthNotAType(Brightness):
    def estimate(self, video, *, progress):
        return super().estimate(video, progress=progress).depth


class DepthWithLensOfAnotherSize(Brightness):
    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        return attrs.evolve(found, intrinsics=Intrinsics.from_fov(width=9, height=9))


class DepthBelowZero(Brightness):
    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        return attrs.evolve(found, depth=-found.depth, valid=torch.ones_like(found.depth, dtype=torch.bool))


class DepthThatPaints(Brightness):
    """Gives the right depth, and then changes the frames."""

    def estimate(self, video, *, progress):
        found = super().estimate(attrs.evolve(video, frames=video.frames.clone()), progress=progress)
        if not (video.frames[0, 0, 0] == 7).all():
            video.frames[0, 0, 0] = 7
        return found


class DepthOfChance(Brightness):
    def __init__(self, options, *, device):
        self.generator = torch.Generator()
        self.generator.seed()

    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        return attrs.evolve(found, depth=found.depth + torch.rand(1, generator=self.generator))


class DepthThatSeeds(Brightness):
    def estimate(self, video, *, progress):
        torch.manual_seed(torch.seed() % 1000)
        return super().estimate(video, progress=progress)


class DepthWithForeignErrors(Brightness):
    def estimate(self, video, *, progress):
        if not video.num_frames:
            raise IndexError("index 0 is out of bounds")
        return super().estimate(video, progress=progress)


class DepthThatHoards(Brightness):
    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        KEPT.append(found)
        return found


class DepthThatStays(Brightness):
    def __init__(self, options, *, device):
        KEPT.append(self)


class DepthWithoutProgress(Brightness):
    """Asks whether to go on, but says only that it began."""

    def estimate(self, video, *, progress):
        progress(0, max(video.num_frames, 1))
        return super().estimate(video, progress=silent)


class DepthThatCannotBeStopped(Brightness):
    def estimate(self, video, *, progress):
        def deaf(done, total):
            try:
                progress(done, total)
            except Exception:
                return

        return super().estimate(video, progress=deaf)


class DepthForOneSize(Brightness):
    def estimate(self, video, *, progress):
        if video.width % 8:
            raise InvalidInput("the width must be a multiple of 8; crop the clip")
        return super().estimate(video, progress=progress)


class DepthWithLongNotes(Brightness):
    def notes(self):
        return ["two\nlines"]


class DepthByTheClock(Brightness):
    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        return attrs.evolve(found, depth=found.depth * float(video.fps / Fraction(24)))


class DepthThatDrifts(Brightness):
    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        return attrs.evolve(found, depth=found.depth * (1 + 0.2 * torch.arange(video.num_frames)[:, None, None]))


class DepthOfDisparity(Brightness):
    """Gives 1 / depth of the room, exactly."""

    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        truth = room(video.num_frames, width=video.width, height=video.height).depth.depth
        return attrs.evolve(found, depth=self.of(truth), kind=self.kind)

    kind = DepthKind.RELATIVE

    def of(self, truth):
        return 1 / truth


class DepthUpToScaleAndShift(DepthOfDisparity):
    """Is without fault: its disparity is that of the room but for scale and shift."""

    kind = DepthKind.AFFINE_INVERSE

    def of(self, truth):
        return 1 / (0.3 / truth + 0.1)


class DepthUpToShiftSaidRelative(DepthUpToScaleAndShift):
    kind = DepthKind.RELATIVE


class DepthWithCamerasToWorld(Brightness):
    """Knows where the camera was, and gives the inverse."""

    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        path = moving_cameras(video.num_frames, found.intrinsics_at(0))
        inverse = attrs.evolve(path, world_to_camera=torch.linalg.inv(path.world_to_camera))
        return attrs.evolve(found, cameras=inverse)


class Rightward:
    """A trajectory without fault: half the subject's distance to the right."""

    def __init__(self, options: object, *, device: torch.device) -> None:
        pass

    def path(self, num_frames, scene):
        if num_frames < 1:
            raise InvalidConfig("a path needs a frame; ask for at least 1")
        radius = self.radius(scene)
        eyes = [(0.5 * radius * share, 0.0, 0.0) for share in self.shares(num_frames)]
        return path_of_eyes(eyes, center=(0.0, 0.0, radius), intrinsics=scene.depth.intrinsics_at(0))

    def radius(self, scene):
        return subject_distance(scene.depth)

    def shares(self, num_frames):
        return [frame / max(num_frames - 1, 1) for frame in range(num_frames)]


class PathTooShort(Rightward):
    def path(self, num_frames, scene):
        return super().path(num_frames, scene) if num_frames != 81 else super().path(80, scene)


class PathThatStartsElsewhere(Rightward):
    def shares(self, num_frames):
        return [0.2 + share for share in super().shares(num_frames)]


class PathThatJumps(Rightward):
    def shares(self, num_frames):
        return [3.0 * (share > 0.5) for share in super().shares(num_frames)]


class PathUpsideDown(Rightward):
    """Rolls over slowly, 4 degrees a frame."""

    def path(self, num_frames, scene):
        path = super().path(num_frames, scene)
        angle = torch.deg2rad(torch.arange(num_frames) * 4.0)
        roll = torch.eye(4).repeat(num_frames, 1, 1)
        roll[:, 0, 0] = roll[:, 1, 1] = torch.cos(angle)
        roll[:, 1, 0] = torch.sin(angle)
        roll[:, 0, 1] = -torch.sin(angle)
        return attrs.evolve(path, world_to_camera=roll @ path.world_to_camera)


class PathToWorld(Rightward):
    """Gives camera to world."""

    def path(self, num_frames, scene):
        path = super().path(num_frames, scene)
        return attrs.evolve(path, world_to_camera=torch.linalg.inv(path.world_to_camera))


class PathByTheClock(Rightward):
    def path(self, num_frames, scene):
        self.fps = scene.video.fps
        return super().path(num_frames, scene)

    def shares(self, num_frames):
        return [share * float(self.fps / 24) for share in super().shares(num_frames)]


class PathInMetres(Rightward):
    def radius(self, scene):
        return 5.0


class PathUnlikeItsMotion(Rightward):
    """Stays where it is when it is joined with other moves."""

    def motion(self, num_frames, scene, start):
        return SimpleNamespace(pose=lambda t: Pose.identity())


class PathOfAnotherLens(Rightward):
    """Looks through a lens of another size."""

    def path(self, num_frames, scene):
        path = super().path(num_frames, scene)
        return CameraPath(
            world_to_camera=path.world_to_camera, intrinsics=path.intrinsics[0].scaled_to(width=8, height=8)
        )
