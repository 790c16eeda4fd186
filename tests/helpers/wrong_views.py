"""Mesh builders, renderers and backbones that are wrong on purpose, one fault each."""

from __future__ import annotations

from fractions import Fraction

import attrs
import torch

from ex4d_core.builtin.backbone_telea import TeleaBackbone
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.builtin.telea_options import TeleaOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.types import RenderedFrame


def faces_of(mesh, part):
    """Return a mesh with some of its faces."""
    limits = None if mesh.max_stretch is None else mesh.max_stretch[part]
    return attrs.evolve(mesh, faces=mesh.faces[part], face_occluded=mesh.face_occluded[part], max_stretch=limits)


class Watertight(WatertightMesh):
    """A mesh builder without fault."""

    def __init__(self, options: object, *, device: torch.device) -> None:
        super().__init__(WatertightOptions(), device=device)


class MeshWithAHole(Watertight):
    def build(self, frame, depth, intrinsics, *, valid=None):
        return faces_of(super().build(frame, depth, intrinsics, valid=valid), slice(-1))


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
        return super().render(faces_of(mesh, ~mesh.face_occluded), world_to_camera, intrinsics)


class ViewOfEx4dMasks(ZBuffer):
    """Hides occluded faces from everywhere."""

    def render(self, mesh, world_to_camera, intrinsics):
        return super().render(attrs.evolve(mesh, max_stretch=None), world_to_camera, intrinsics)


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
            super(ViewByOrder, self).render(faces_of(mesh, part), world_to_camera, intrinsics)
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


class VideoOfAFixedRate(Fill):
    def generate(self, guidance, scene, **rest):
        return attrs.evolve(super().generate(guidance, scene, **rest), fps=Fraction(24))


class VideoThatGoesOnWrongly(Fill):
    """Darkens its video when it finds that it was stopped before."""

    def generate(self, guidance, scene, *, workspace, **rest):
        begun = workspace.folder is not None and (workspace.folder / "begun").exists()
        if workspace.folder is not None:
            (workspace.folder / "begun").touch()
        video = super().generate(guidance, scene, workspace=workspace, **rest)
        return attrs.evolve(video, frames=video.frames // 2) if begun else video
