"""The five roles a component can play. A component is a class made as `Class(options, device=device)`.

Components may be called many times and keep what they load; they never change their arguments.
What they give depends on their arguments and options alone; options that name a file have a method
`fingerprint() -> str` that changes when the file does.
Long calls tell `progress(done, total)`, which may raise `Cancelled`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from ex4d_core.progress import Progress
    from ex4d_core.types import CameraPath, DepthVideo, Guidance, Intrinsics, Mesh, RenderedFrame, Scene, Video
    from ex4d_core.workspace import Workspace

ROLES = {
    "depth": "ex4d_depth_estimators",
    "mesh": "ex4d_mesh_builders",
    "trajectory": "ex4d_trajectory_generators",
    "renderer": "ex4d_renderers",
    "backbone": "ex4d_backbones",
}
"""Each role and the hook that offers components for it."""


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
