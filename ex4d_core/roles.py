"""The roles of components, and one record for each. A component is created as `Class(options, device=device)`.

Components may be called many times, keep loaded data between calls, and never change their arguments. Results depend on
arguments and options only; options that name a file have a method `fingerprint() -> str` that changes with its content.
Options may have a method `resolved()` that returns options of the same effect without values such as `auto`; results
are shared between options that resolve to the same ones.
Long calls report `progress(done, total)`, which may raise `Cancelled`.
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
        """Return the depth of each frame, with the length and size of the video.

        Optional methods `notes` and `warnings` return a list of texts about the last estimate, which are reported.
        """
        ...

    # Optional: `def prepare(self) -> None` loads what `estimate` needs, before it is called. Its time is recorded as
    # that of loading.


class MeshBuilder(Protocol):
    """Turns one frame and its depth into a mesh."""

    def build(self, frame: Tensor, depth: Tensor, intrinsics: Intrinsics, *, valid: Tensor | None = None) -> Mesh:
        """Return the mesh in the frame of the source camera, on the device of `depth`.

        Args:
            frame: uint8 [H, W, 3], sRGB.
            depth: float32 [H, W] along +z; NaN, inf and values <= 0 count as unknown.
            intrinsics: those of the source camera in this frame, for an image of W x H.
            valid: bool [H, W], True where depth is known; if None, `depth` decides.
        """
        ...


class TrajectoryGenerator(Protocol):
    """Moves the camera."""

    def path(self, num_frames: int, scene: Scene) -> CameraPath:
        """Return a pose for each of `num_frames` frames; world = source camera of frame 0.

        An optional method `motion` (see `ex4d_core.cameras.generators.Moving`) returns the path as a function of
        time.
        """
        ...


class Renderer(Protocol):
    """Renders a mesh from a camera."""

    def render(self, mesh: Mesh, world_to_camera: Tensor, intrinsics: Intrinsics) -> RenderedFrame:
        """Return color, mask and depth, on the device of the mesh.

        Args:
            mesh: vertices in world coordinates.
            world_to_camera: float32 [4, 4], OpenCV axes.
            intrinsics: those of the target camera; pixel (row i, column j) is sampled at (j + 0.5, i + 0.5).
        """
        ...


class DiffusionBackbone(Protocol):
    """Generates a video from guidance."""

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
        """Return a video with the length, size and frame rate of the guidance, with the hidden regions filled.

        Args:
            guidance: rendered color and mask.
            scene: the source video and its depth, one frame for each of the guidance; None if only the guidance is
                available.
            prompt: text that describes the video, or "".
            seed: seed of all random choices.
            progress: called with the number of finished and of all steps.
            workspace: stores partial results, from which an interrupted run resumes, and publishes previews.
        """
        ...

    # Optional: `def prepare(self, *, prompt: str, ahead: bool) -> None` loads what `generate` needs. If the component
    # declares weights, it is called with ahead=True in another thread, while earlier stages compute, and must leave
    # them memory; then with ahead=False, before `generate`. It imports libraries of models and creates networks within
    # `ex4d_core.hub.untrusted_weights.one_at_a_time`. Optional too: `def start(self) -> None` starts processes that
    # load beside this one, and is called in that thread as early as possible.


@attrs.frozen(kw_only=True)
class Role:
    """A role: its names, hook, stage and contract, and the example that `ex4d plugins new` creates."""

    name: str
    """Name of the configuration table and of the flag that selects the component."""

    title: str
    """The role in words, such as `depth estimator`."""

    protocol: type
    """The protocol that components implement."""

    hook: str
    """The hook of `ex4d_core.hookspecs` through which plugins offer components."""

    stage: str
    """The stage of a run that its components take part in."""

    contract: str
    """The contract tests that every component must pass, `"package.module:Class"`; imported by tests only."""

    in_cam: bool = False
    """Whether components are selected in `--cam`, not in a configuration table."""

    alternative: str = ""
    """Flag that replaces a component if none can be selected automatically, or ''."""

    noun: str
    """Suffix of the class, and name of the module, of a new plugin."""

    example_summary: str
    """Summary of the component of a new plugin, in one line."""

    example_usage: str
    """Flags of `ex4d run` that use the new component; `{}` stands for its name."""

    example_requirements: tuple[str, ...] = ()
    """Requirements of the new plugin besides the core, as for pip."""


ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        Role(
            name="depth",
            title="depth estimator",
            protocol=DepthEstimator,
            hook="ex4d_depth_estimators",
            stage="depth",
            contract="ex4d_core.testing.contracts.depth:DepthEstimatorContract",
            alternative="--depth-file FILE",
            noun="Estimator",
            example_summary="a level floor and a wall for every clip",
            example_usage="--cam 30 --depth {}",
        ),
        Role(
            name="mesh",
            title="mesh builder",
            protocol=MeshBuilder,
            hook="ex4d_mesh_builders",
            stage="guidance",
            contract="ex4d_core.testing.contracts.mesh:MeshBuilderContract",
            noun="Builder",
            example_summary="connects neighboring pixels, except across depth edges",
            example_usage="--depth-file depth.npz --cam 30 --set mesh.name={}",
        ),
        Role(
            name="trajectory",
            title="trajectory generator",
            protocol=TrajectoryGenerator,
            hook="ex4d_trajectory_generators",
            stage="guidance",
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
            stage="guidance",
            contract="ex4d_core.testing.contracts.renderer:RendererContract",
            noun="Renderer",
            example_summary="tests every face at every pixel: exact and slow",
            example_usage="--depth-file depth.npz --cam 30 --renderer {}",
        ),
        Role(
            name="backbone",
            title="backbone",
            protocol=DiffusionBackbone,
            hook="ex4d_backbones",
            stage="result",
            contract="ex4d_core.testing.contracts.backbone:BackboneContract",
            noun="Backbone",
            example_summary="inpaints each frame separately with OpenCV",
            example_usage="--depth-file depth.npz --cam 30 --backbone {}",
            example_requirements=("numpy>=2", "opencv-python-headless>=4.10"),
        ),
    )
}
"""All roles by name, in the order in which a run uses them."""
