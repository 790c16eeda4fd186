"""Components that are wrong on purpose, one fault each."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import attrs
import torch

from ex4d_core.builtin.backbone_telea import TeleaBackbone
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.builtin.telea_options import TeleaOptions
from ex4d_core.cameras.generators import path_of_eyes
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.geometry.rigid import Pose
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.options import option
from ex4d_core.progress import silent, track
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, RenderedFrame

KEPT: list[Any] = []
"""What those that cannot let go hold on to."""


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


class DepthByTheClock(Brightness):
    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        return attrs.evolve(found, depth=found.depth * float(video.fps / Fraction(24)))


class DepthThatDrifts(Brightness):
    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        return attrs.evolve(found, depth=found.depth * (1 + 0.2 * torch.arange(video.num_frames)[:, None, None]))


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


class Watertight(WatertightMesh):
    """A mesh builder without fault."""

    def __init__(self, options: object, *, device: torch.device) -> None:
        super().__init__(WatertightOptions(), device=device)


class MeshWithAHole(Watertight):
    def build(self, frame, depth, intrinsics, *, valid=None):
        mesh = super().build(frame, depth, intrinsics, valid=valid)
        return attrs.evolve(mesh, faces=mesh.faces[:-1], face_occluded=mesh.face_occluded[:-1])


class MeshDeafToValid(Watertight):
    def build(self, frame, depth, intrinsics, *, valid=None):
        return super().build(frame, depth, intrinsics)


class MeshOfOtherColours(Watertight):
    def build(self, frame, depth, intrinsics, *, valid=None):
        return super().build(255 - frame, depth, intrinsics, valid=valid)


class MeshTooFar(Watertight):
    def build(self, frame, depth, intrinsics, *, valid=None):
        mesh = super().build(frame, depth, intrinsics, valid=valid)
        return attrs.evolve(mesh, vertices=mesh.vertices * 1.05)


class MeshThatTrustsDepth(Watertight):
    """Takes unknown depth for 3 units."""

    def build(self, frame, depth, intrinsics, *, valid=None):
        guessed = torch.where(torch.isfinite(depth) & (depth > 0), depth, 3.0) if depth.any() else depth
        return super().build(frame, guessed, intrinsics, valid=valid)


class MeshOfNothing(Watertight):
    """Takes a frame without depth for a wall."""

    def build(self, frame, depth, intrinsics, *, valid=None):
        return super().build(frame, depth if depth.any() else depth + 3, intrinsics, valid=valid)


class ZBuffer(ZBufferRenderer):
    """A renderer without fault."""

    def __init__(self, options: object, *, device: torch.device) -> None:
        super().__init__(RasterOptions(threads=1), device=device)


class ViewWithBackground(ZBuffer):
    def render(self, mesh, world_to_camera, intrinsics):
        view = super().render(mesh, world_to_camera, intrinsics)
        return attrs.evolve(view, color=torch.where(view.mask[..., None], view.color, 9))


class ViewOfAnotherSize(ZBuffer):
    def render(self, mesh, world_to_camera, intrinsics):
        return super().render(mesh, world_to_camera, intrinsics.scaled_to(width=32, height=24))


class ViewAside(ZBuffer):
    """Samples the corners of pixels."""

    def render(self, mesh, world_to_camera, intrinsics):
        lens = attrs.evolve(intrinsics, cx=intrinsics.cx + 0.5, cy=intrinsics.cy + 0.5)
        return super().render(mesh, world_to_camera, lens)


class ViewOfDepthZero(ZBuffer):
    def render(self, mesh, world_to_camera, intrinsics):
        view = super().render(mesh, world_to_camera, intrinsics)
        return attrs.evolve(view, depth=torch.where(torch.isinf(view.depth), 0.0, view.depth))


class ViewThroughTheUnseen(ZBuffer):
    """Leaves out what nobody saw, so that what is behind it shows."""

    def render(self, mesh, world_to_camera, intrinsics):
        seen = ~mesh.face_occluded
        mesh = attrs.evolve(mesh, faces=mesh.faces[seen], face_occluded=mesh.face_occluded[seen])
        return super().render(mesh, world_to_camera, intrinsics)


class ViewOfDistance(ZBuffer):
    """Depth along the ray, not along z."""

    def render(self, mesh, world_to_camera, intrinsics):
        view = super().render(mesh, world_to_camera, intrinsics)
        x = (torch.arange(intrinsics.width) + 0.5 - intrinsics.cx) / intrinsics.fx
        y = (torch.arange(intrinsics.height) + 0.5 - intrinsics.cy) / intrinsics.fy
        return attrs.evolve(view, depth=view.depth * torch.sqrt(1 + x**2 + y[:, None] ** 2).float())


class ViewWithoutCheck(ZBuffer):
    """Lets what is wrong with a mesh out as it comes."""

    def render(self, mesh, world_to_camera, intrinsics):
        try:
            return super().render(mesh, world_to_camera, intrinsics)
        except InvalidInput as error:
            raise IndexError(str(error)) from error


class ViewNeedsFaces(ZBuffer):
    def render(self, mesh, world_to_camera, intrinsics):
        if not len(mesh.faces):
            raise InvalidInput("the mesh has no faces; give one that has")
        return super().render(mesh, world_to_camera, intrinsics)


class ViewByOrder(ZBuffer):
    """The first half of the faces covers the second."""

    def render(self, mesh, world_to_camera, intrinsics):
        middle = len(mesh.faces) // 2
        first, second = (
            super(ViewByOrder, self).render(
                attrs.evolve(mesh, faces=mesh.faces[part], face_occluded=mesh.face_occluded[part]),
                world_to_camera,
                intrinsics,
            )
            for part in (slice(middle), slice(middle, None))
        )
        there = torch.isfinite(first.depth)
        return RenderedFrame(
            color=torch.where(there[..., None], first.color, second.color),
            mask=torch.where(there, first.mask, second.mask),
            depth=torch.where(there, first.depth, second.depth),
        )


class ViewBehind(ZBuffer):
    """Turns to what is behind it where nothing is ahead."""

    def render(self, mesh, world_to_camera, intrinsics):
        view = super().render(mesh, world_to_camera, intrinsics)
        return (
            view
            if view.mask.any()
            else super().render(attrs.evolve(mesh, vertices=-mesh.vertices), world_to_camera, intrinsics)
        )


class Fill(TeleaBackbone):
    """A backbone without fault."""

    def __init__(self, options: object, *, device: torch.device) -> None:
        super().__init__(TeleaOptions(), device=device)


class VideoPaintedOver(Fill):
    """Repaints what is known."""

    def generate(self, guidance, scene, **rest):
        video = super().generate(guidance, scene, **rest)
        return attrs.evolve(video, frames=video.frames // 2 + 60)


class VideoWithHoles(Fill):
    def generate(self, guidance, scene, **rest):
        video = super().generate(guidance, scene, **rest)
        return attrs.evolve(video, frames=video.frames * guidance.mask[..., None])


class VideoNeedsScene(Fill):
    def generate(self, guidance, scene, **rest):
        if scene is None and guidance.num_frames:
            raise InvalidInput("the scene is missing; give it")
        return super().generate(guidance, scene, **rest)


class VideoForOneSize(Fill):
    def generate(self, guidance, scene, **rest):
        if guidance.color.shape[2] % 8:
            raise InvalidInput("the width must be a multiple of 8; crop the clip")
        return super().generate(guidance, scene, **rest)


class VideoOfAnotherRate(Fill):
    def generate(self, guidance, scene, **rest):
        return attrs.evolve(super().generate(guidance, scene, **rest), fps=Fraction(7))


class VideoThatGoesOnWrongly(Fill):
    """Darkens its video when it finds that it was stopped before."""

    def generate(self, guidance, scene, *, workspace, **rest):
        begun = workspace.folder is not None and (workspace.folder / "begun").exists()
        if workspace.folder is not None:
            (workspace.folder / "begun").touch()
        video = super().generate(guidance, scene, workspace=workspace, **rest)
        return attrs.evolve(video, frames=video.frames // 2) if begun else video
