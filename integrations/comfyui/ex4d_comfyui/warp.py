"""The node `EX4D Warp`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ex4d_core.types import CameraPath, DepthVideo

from .host import cancelable
from .sessions import SETTINGS, component_names, open_session
from .values import HOLE_COLORS, as_video, holes_of, with_grown_holes, with_hole_color


class WarpNode:
    """Renders the clip along a camera path."""

    CATEGORY = "ex4d"
    DESCRIPTION = "The clip seen along a camera path, and the mask of its holes: 1 where a model has to generate."
    FUNCTION = "warp"
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("images", "holes")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  # a name of ComfyUI
        """Return the inputs; names, order and defaults are frozen, since workflows store values by position."""
        return {
            "required": {
                "images": ("IMAGE",),
                "depth": ("EX4D_DEPTH",),
                "path": ("EX4D_PATH",),
                "hole_color": (
                    list(HOLE_COLORS),
                    {
                        "tooltip": "Color of the holes, as the next model expects it: grey for VACE, black for EX-4D, "
                        "magenta for CrossView Warp, green for LTX in- and outpainting, pink for Reshoot Anything."
                    },
                ),
                "renderer": (component_names("renderer"), {"tooltip": "auto: the best on this machine."}),
                "grow_holes": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 64,
                        "tooltip": "Pixels by which holes grow, in mask and colors, so that mixed edges are generated.",
                    },
                ),
                "settings": SETTINGS,
            }
        }

    @cancelable
    def warp(
        self,
        images: Tensor,
        depth: DepthVideo,
        path: CameraPath,
        hole_color: str,
        renderer: str,
        grow_holes: int,
        settings: str,
    ) -> tuple[Tensor, Tensor]:
        """Return the views and their holes.

        Raises:
            Ex4dError: the inputs do not fit together, or a setting is invalid.
        """
        with open_session(settings, renderer={"name": renderer}) as session:
            guidance = session.open_clip(as_video(images), depth=depth).along(path).guidance
        guidance = with_grown_holes(guidance, grow_holes)
        return with_hole_color(guidance, hole_color), holes_of(guidance)
