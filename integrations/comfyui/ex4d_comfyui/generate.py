"""The nodes `EX4D Fill` and `EX4D Generate`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ex4d_core.errors import InvalidInput
from ex4d_core.pipeline import stages
from ex4d_core.pipeline.session import Session
from ex4d_core.types import CameraPath, DepthVideo

from .host import cancelable, free_memory
from .sessions import KEEP_LOADED, SETTINGS, component_names, open_session
from .values import as_guidance, as_image, as_video

IMAGES = {
    "images": ("IMAGE", {"tooltip": "Views with holes, of EX4D Warp; colors in the holes do not matter."}),
    "holes": ("MASK", {"tooltip": "1 where something is generated."}),
}
"""The required inputs of both nodes."""

SCENE = {
    "source": ("IMAGE", {"tooltip": "The clip from which the images were warped; connect it with depth and path."}),
    "depth": ("EX4D_DEPTH",),
    "path": ("EX4D_PATH",),
}
"""The optional inputs of both nodes."""


class FillNode:
    """Fills the holes from a model of the static scene, without weights."""

    CATEGORY = "ex4d"
    DESCRIPTION = "A quick preview without weights. With source, depth and path, what other frames show is filled in."
    FUNCTION = "fill"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  # a name of ComfyUI
        """Return the inputs; names, order and defaults are frozen, since workflows store values by position."""
        return {"required": {**IMAGES, "settings": SETTINGS}, "optional": SCENE}

    @cancelable
    def fill(
        self,
        images: Tensor,
        holes: Tensor,
        settings: str,
        source: Tensor | None = None,
        depth: DepthVideo | None = None,
        path: CameraPath | None = None,
    ) -> tuple[Tensor]:
        """Return the images without holes.

        Raises:
            Ex4dError: the inputs do not fit together, or a setting is invalid.
        """
        with open_session(settings, backbone={"name": "inpaint"}) as session:
            return (generated(session, images, holes, source, depth, path),)


class GenerateNode:
    """Generates the holes with a backbone of ex4d."""

    CATEGORY = "ex4d"
    DESCRIPTION = "Generates the holes with a video model of ex4d, such as Wan with the EX-4D adapter."
    FUNCTION = "generate"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  # a name of ComfyUI
        """Return the inputs; names, order and defaults are frozen, since workflows store values by position."""
        seed = {"default": 42, "min": 0, "max": 2**64 - 1, "control_after_generate": True}
        return {
            "required": {
                **IMAGES,
                "backbone": (component_names("backbone"), {"tooltip": "auto: the best on this machine."}),
                "prompt": ("STRING", {"default": "", "multiline": True, "tooltip": "Describes the video."}),
                "seed": ("INT", {**seed, "tooltip": "Seed of all random choices."}),
                "settings": SETTINGS,
                "keep_loaded": KEEP_LOADED,
            },
            "optional": SCENE,
        }

    @cancelable
    def generate(
        self,
        images: Tensor,
        holes: Tensor,
        backbone: str,
        prompt: str,
        seed: int,
        settings: str,
        keep_loaded: bool,
        source: Tensor | None = None,
        depth: DepthVideo | None = None,
        path: CameraPath | None = None,
    ) -> tuple[Tensor]:
        """Return the generated images.

        Raises:
            Ex4dError: the inputs do not fit together, or the backbone cannot run.
        """
        with open_session(settings, keep=keep_loaded, backbone={"name": backbone}) as session:
            free_memory()
            result = generated(session, images, holes, source, depth, path, prompt=prompt, seed=seed)
            del session  # lets it be freed
        return (result,)


def generated(
    session: Session,
    images: Tensor,
    holes: Tensor,
    source: Tensor | None,
    depth: DepthVideo | None,
    path: CameraPath | None,
    *,
    prompt: str = "",
    seed: int = 42,
) -> Tensor:
    """Return images whose holes the backbone of a session has generated, as IMAGE.

    Prompt and seed are not settings of the session, so that another prompt does not load the backbone again.

    Raises:
        InvalidInput: the inputs do not fit together, or only some of source, depth and path are given.
    """
    given = {"source": source, "depth": depth, "path": path}
    missing = [name for name, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        raise InvalidInput(f"{missing[0]} is not connected; connect all of source, depth and path, or none of them")
    guidance = as_guidance(images, holes, path)
    scene = None if missing else session.open_clip(as_video(source, "source"), depth=depth).scene
    stages.warn_if_trivial_mask(guidance, session.reporter, given=True)
    backbone = session.backbone()
    with session.reporter.stage("result") as progress:
        video = stages.generate_video(guidance, scene, backbone, prompt=prompt, seed=seed, progress=progress)
    return as_image(video.frames)
