"""Nodes of ex4d for ComfyUI: depth, camera paths, and views along them with masks of their holes.

The nodes import nothing of ComfyUI. `host.py` has all uses of it; they are left out where ComfyUI is not running.
"""

from .camera_path import CameraPathNode
from .depth import DepthNode
from .generate import FillNode, GenerateNode
from .path_files import LoadPathNode, SavePathNode
from .warp import WarpNode

NODE_CLASS_MAPPINGS = {
    "EX4DDepth": DepthNode,
    "EX4DCameraPath": CameraPathNode,
    "EX4DWarp": WarpNode,
    "EX4DFill": FillNode,
    "EX4DGenerate": GenerateNode,
    "EX4DLoadPath": LoadPathNode,
    "EX4DSavePath": SavePathNode,
}
"""Nodes by the name that workflows store."""

NODE_DISPLAY_NAME_MAPPINGS = {
    "EX4DDepth": "EX4D Depth",
    "EX4DCameraPath": "EX4D Camera Path",
    "EX4DWarp": "EX4D Warp",
    "EX4DFill": "EX4D Fill",
    "EX4DGenerate": "EX4D Generate",
    "EX4DLoadPath": "EX4D Load Path",
    "EX4DSavePath": "EX4D Save Path",
}
"""Titles of the nodes."""

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
