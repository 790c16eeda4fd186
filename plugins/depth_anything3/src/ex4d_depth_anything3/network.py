"""Depth Anything 3 as one network, and its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors import safe_open
from torch import Tensor, nn

from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import check_state_dict
from ex4d_core.hub.untrusted_weights import loading, read_config
from ex4d_depth_anything3.backbone import PATCH, Backbone, BackboneConfig, grid_of
from ex4d_depth_anything3.heads import CameraHead, DepthHead, HeadConfig

PREFIX = "model."
"""Of all tensors in a released file."""

_UNUSED = re.compile(r"cam_enc\.|head\.scratch\.(refinenet\d_aux|output_conv[12]_aux)\.")
"""Tensors of the encoder of given cameras and of the ray map, neither of which is computed here."""

_STAGES = 4


@attrs.frozen(eq=False, kw_only=True)
class Views:
    """Predictions for S views of one clip."""

    depth: Tensor
    """float32 [S, h, w], along +z."""
    confidence: Tensor | None
    """float32 [S, h, w], 1 or more, not calibrated."""
    sky: Tensor | None
    """float32 [S, h, w], large where there is sky."""
    world_to_camera: Tensor | None
    """float32 [S, 4, 4], OpenCV axes, in the unit of the depth; the world is arbitrary."""
    fov: Tensor | None
    """float32 [S, 2], fields of view along x and y in radians."""

    def on_cpu(self) -> Views:
        """Return the predictions on the CPU."""
        moved: dict[str, Any] = {
            name: None if value is None else value.cpu() for name, value in attrs.asdict(self, recurse=False).items()
        }
        return Views(**moved)


class DepthAnything3(nn.Module):
    """Backbone and heads; `multiview` models have a camera head, the others predict each view on its own."""

    def __init__(self, backbone: BackboneConfig, head: HeadConfig) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"pretrained": Backbone(backbone)})  # named as in the released files
        self.head = DepthHead(head)
        if head.confidence:
            self.cam_dec = CameraHead(head.channels)
        self.multiview = head.confidence

    def forward(self, pictures: Tensor) -> Views:
        """Predict views of one clip.

        Args:
            pictures: normalized float32 [S, 3, H, W], sides multiples of `PATCH`.
        """
        rows, columns = (side // PATCH for side in pictures.shape[-2:])
        features, tokens = self.backbone["pretrained"](pictures[None])
        with torch.autocast(pictures.device.type, enabled=False):
            depth, second = self.head([stage[0].float() for stage in features], rows, columns)
            if not self.multiview:
                return Views(depth=depth, confidence=None, sky=second, world_to_camera=None, fov=None)
            poses, fov = self.cam_dec(tokens[0].float())
        return Views(depth=depth, confidence=second, sky=None, world_to_camera=poses, fov=fov)


def load_network(folder: Path) -> DepthAnything3:
    """Load a released folder with `config.json` and one `*.safetensors` file; float32, on the CPU.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: the model is of a kind that is not supported, a file is damaged, or its tensors do not match the
            network; they are listed.
    """
    (file,) = sorted(folder.glob("*.safetensors"))[:1]
    config = read_config(folder / "config.json")
    with loading(folder, "Depth Anything 3"), safe_open(file, framework="pt") as opened:
        found = {name.removeprefix(PREFIX): name for name in opened.keys()}  # noqa: SIM118
        shapes = {name: tuple(opened.get_slice(full).get_shape()) for name, full in found.items()}
        used = {name: shape for name, shape in shapes.items() if not _UNUSED.match(name)}
        with torch.device("meta"):
            network = DepthAnything3(*_configs(config, used, folder))
        check_state_dict(
            folder, found=used, expected={name: tuple(value.shape) for name, value in network.state_dict().items()}
        )
        tensors = {name: opened.get_tensor(found[name]).float() for name in used}
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)


def _configs(
    config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], folder: Path
) -> tuple[BackboneConfig, HeadConfig]:
    """Return the sizes of the network: the structure from the configuration, the rest from the tensors."""
    inner = config.get("config")
    net, head = (_part(inner, name) for name in ("net", "head"))
    outputs = net.get("out_layers")
    blocks = len({name.split(".")[3] for name in shapes if name.startswith("backbone.pretrained.blocks.")})
    positions = shapes.get("backbone.pretrained.pos_embed", ())
    stages = [shapes.get(f"head.projects.{stage}.weight", ()) for stage in range(_STAGES)]
    adapted = shapes.get("head.scratch.layer1_rn.weight", ())
    kind = _part(head, "__object__").get("name")
    fits = (
        kind in ("DualDPT", "DPT")
        and isinstance(outputs, list)
        and len(outputs) == _STAGES
        and all(isinstance(index, int) and 0 <= index < blocks for index in outputs)
        and outputs == sorted(set(outputs))
        and (0 < _block(net, "alt_start") < blocks) == (kind == "DualDPT")
        and grid_of(positions) > 0
        and all(len(stage) == 4 and stage[0] % 4 == 0 for stage in stages)
        and len(adapted) == 4
        and "backbone.pretrained.blocks.0.mlp.fc1.weight" in shapes
    )
    if not fits:
        raise InvalidInput(
            f"{folder} does not contain a supported model of Depth Anything 3: its config.json names "
            f"{ascii(config.get('model_name'))[:80]}; supported are da3-small, da3-base, da3-large, da3metric-large "
            "and da3mono-large"
        )
    backbone = BackboneConfig(
        channels=positions[2],
        blocks=blocks,
        grid=grid_of(positions),
        outputs=tuple(outputs),  # type: ignore[arg-type]  # checked above
        across_views=_block(net, "alt_start"),
        normalized=_block(net, "qknorm_start"),
        rotary=_block(net, "rope_start"),
        concatenated=bool(net.get("cat_token", True)),
    )
    return backbone, HeadConfig(
        channels=stages[0][1],
        features=adapted[0],
        stages=tuple(stage[0] for stage in stages),
        confidence=kind == "DualDPT",
    )


def _part(config: object, name: str) -> Mapping[str, Any]:
    part = config.get(name) if isinstance(config, dict) else None
    return part if isinstance(part, dict) else {}


def _block(net: Mapping[str, Any], name: str) -> int:
    value = net.get(name, -1)
    return value if isinstance(value, int) else -1
