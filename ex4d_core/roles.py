"""The roles of components, and one record for each. A component is created as `Class(options, device=device)`.

Components may be called many times and keep what they load; they never change their arguments.
What they give depends on their arguments and options alone; options that name a file have a method
`fingerprint() -> str` that changes when the file does.
Long calls tell `progress(done, total)`, which may raise `Cancelled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from torch import Tensor

    from ex4d_core.progress import Progress
    from ex4d_core.types import CameraPath, DepthVideo, Guidance, Intrinsics, Mesh, RenderedFrame, Scene, Video
    from ex4d_core.workspace import Workspace


class DepthEstimator(Protocol):
    """Turns a video into depth."""

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return depth for each frame, of the video's length and size."""
        ...


class MeshBuilder(Protocol):
    """Turns one frame and its depth into a mesh."""

    def build(self, frame: Tensor, depth: Tensor, intrinsics: Intrinsics, *, valid: Tensor | None = None) -> Mesh:
        """Return the mesh in the frame of the source camera, on the device of `depth`.

        Args:
            frame: uint8 [H, W, 3], sRGB.
            depth: float32 [H, W] along +z; NaN, inf and values <= 0 count as unknown.
            intrinsics: of the source camera at this frame, for an image of W x H.
            valid: bool [H, W], True where depth is known; None leaves that to `depth`.
        """
        ...


class TrajectoryGenerator(Protocol):
    """Moves the camera."""

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return a pose for each of `num_frames` frames; world = source camera of frame 0.

        A method `motion` (see `ex4d_core.cameras.generators.Moving`) is optional: it gives the
        path as a function of time.
        """
        ...


class Renderer(Protocol):
    """Looks at a mesh from a camera."""

    def render(self, mesh: Mesh, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Return what the camera sees, on the device of the mesh.

        Args:
            mesh: vertices in world coordinates.
            world_to_camera: float32 [4, 4], OpenCV axes.
            intrinsics: of the viewing camera; pixel (row i, column j) is sampled at (j + 0.5, i + 0.5).
        """
        ...


class DiffusionBackbone(Protocol):
    """Turns guidance into a whole video."""

    def generate(
        self,
        guidance: Guidance,
        scene: Scene | None,
        *,
        prompt: str,
        seed: int,
        progress: Progress,
        workspace: Workspace,
    ) -> Video:
        """Return a video of the guidance's length, size and rate with what was hidden filled in.

        Args:
            guidance: what is known.
            scene: what was filmed, frame by frame what the guidance shows, or None where only that was kept.
            prompt: a text that describes the video, or "".
            seed: fixes every random choice.
            progress: told how far the work is.
            workspace: keeps what is done so far, so that work which was stopped goes on, and shows it to people.
        """
        ...


@attrs.frozen(kw_only=True)
class Role:
    """A role: how it is named, how its components are offered, and what `ex4d plugins new` writes for it."""

    name: str
    """The table of its component in a configuration, and the flag that names it."""

    title: str
    """The role in words."""

    protocol: type
    """What a component must implement."""

    hook: str
    """The function of `ex4d_core.hookspecs` that offers components for it."""

    contract: str
    """The class of tests that every component must pass, `"package.module:Class"`; imported by tests only."""

    in_cam: bool = False
    """Whether its components are named in `--cam` texts, and not in a table of their own."""

    alternative: str = ""
    """What users can give where no component can be chosen, or ''."""

    noun: str
    """What the class and the module of a new plugin are called after."""

    example_summary: str
    """What the component of a new plugin does, in one line."""

    example_usage: str
    """Flags of `ex4d run` that use it; `{}` stands for its name."""

    example_requirements: tuple[str, ...] = ()
    """What it requires besides the core, as pip writes it."""


ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        Role(
            name="depth",
            title="depth estimator",
            protocol=DepthEstimator,
            hook="ex4d_depth_estimators",
            contract="ex4d_core.testing.contracts.depth:DepthEstimatorContract",
            alternative="--depth-file FILE",
            noun="Estimator",
            example_summary="a level floor and a wall, whatever is in the picture",
            example_usage="--cam 30 --depth {}",
        ),
        Role(
            name="mesh",
            title="mesh builder",
            protocol=MeshBuilder,
            hook="ex4d_mesh_builders",
            contract="ex4d_core.testing.contracts.mesh:MeshBuilderContract",
            noun="Builder",
            example_summary="a sheet of neighboring pixels, torn where the depth jumps",
            example_usage="--depth-file depth.npz --cam 30 --set mesh.name={}",
        ),
        Role(
            name="trajectory",
            title="trajectory generator",
            protocol=TrajectoryGenerator,
            hook="ex4d_trajectory_generators",
            contract="ex4d_core.testing.contracts.trajectory:TrajectoryContract",
            in_cam=True,
            noun="Generator",
            example_summary="slide sideways and up without turning",
            example_usage="--depth-file depth.npz --cam {}:right=0.5",
        ),
        Role(
            name="renderer",
            title="renderer",
            protocol=Renderer,
            hook="ex4d_renderers",
            contract="ex4d_core.testing.contracts.renderer:RendererContract",
            noun="Renderer",
            example_summary="asks every face at every pixel of its rows: exact, and slow",
            example_usage="--depth-file depth.npz --cam 30 --renderer {}",
        ),
        Role(
            name="backbone",
            title="backbone",
            protocol=DiffusionBackbone,
            hook="ex4d_backbones",
            contract="ex4d_core.testing.contracts.backbone:BackboneContract",
            noun="Backbone",
            example_summary="fills each frame on its own by OpenCV's inpainting",
            example_usage="--depth-file depth.npz --cam 30 --backbone {}",
            example_requirements=("numpy>=2", "opencv-python-headless>=4.10"),
        ),
    )
}
"""Every role by its name, in the order in which a run uses them."""
