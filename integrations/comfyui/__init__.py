"""The place where ComfyUI looks for nodes: this folder, below `custom_nodes`."""

# Relative, here and below: ComfyUI loads the folder under a name made from its path.
from .ex4d_comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
