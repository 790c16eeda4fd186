"""Video Depth Anything as one network, and its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import attrs
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import check_state_dict
from ex4d_core.hub.untrusted_weights import loading
from ex4d_depth_anything3.backbone import PATCH, Backbone, BackboneConfig, grid_of
from ex4d_depth_anything3.heads import Scratch, projections, resize_layers, resized, size_of
from ex4d_depth_anything3.video.motion import motion_module

_UNUSED = re.compile(r"pretrained\.mask_token$|head\.scratch\.refinenet4\.resConfUnit1\.")
"""Tensors of the training of DINOv2, and of a layer of the coarsest stage that has no input."""

_STAGES = 4
_FRAMES_AT_ONCE = 4
"""Frames in one pass of the fine stages of the head; bounds its memory."""


@attrs.frozen(kw_only=True)
class VideoConfig:
    """Sizes of the network."""

    backbone: BackboneConfig
    stages: tuple[int, ...]
    """Channels of the four stages of the head."""
    features: int
    frames: int
    """Most frames of a window."""


class TemporalHead(nn.Module):
    """A dense prediction transformer head with attention over time in its coarse stages."""

    def __init__(self, config: VideoConfig) -> None:
        super().__init__()
        stages, features = config.stages, config.features
        self.projects = projections(config.backbone.channels, stages)
        self.resize_layers = resize_layers(stages)
        self.scratch = Scratch(stages, features, outputs=1)
        self.motion_modules = nn.ModuleList(
            motion_module(channels, config.frames) for channels in (stages[2], stages[3], features, features)
        )

    def forward(self, features: list[Tensor], rows: int, columns: int) -> Tensor:
        """Return the prediction for consecutive frames, float32 [T, H, W], 0 or more.

        Args:
            features: of the four stages, [T, rows * columns, channels].
            rows: of the grid of patches.
            columns: of the grid of patches.
        """
        steady = [module.get_submodule("temporal_transformer") for module in self.motion_modules]
        stages = [
            resize(project(stage.mT.reshape(len(stage), -1, rows, columns)))
            for stage, project, resize in zip(features, self.projects, self.resize_layers, strict=True)
        ]
        stages[2:] = [steady[0](stages[2]), steady[1](stages[3])]
        first, second, third, fourth = self.scratch.adapted(stages)
        coarse = steady[2](self.scratch.fuse(4, fourth, None, size_of(third)))
        coarse = steady[3](self.scratch.fuse(3, coarse, third, size_of(second)))
        size = (PATCH * rows, PATCH * columns)
        parts = [torch.split(maps, _FRAMES_AT_ONCE) for maps in (coarse, second, first)]
        return torch.cat([self._fine(*stages, size=size) for stages in zip(*parts, strict=True)])

    def _fine(self, coarse: Tensor, second: Tensor, first: Tensor, *, size: tuple[int, int]) -> Tensor:
        fused = self.scratch.fuse(2, coarse, second, size_of(first))
        height, width = size_of(first)
        fused = self.scratch.output_conv1(self.scratch.fuse(1, fused, first, (2 * height, 2 * width)))
        enlarged = resized(fused, size)
        with torch.autocast(enlarged.device.type, enabled=False):
            out: Tensor = self.scratch.output_conv2(enlarged.float())
        return functional.relu(out[:, 0])


class VideoDepthAnything(nn.Module):
    """Backbone and head."""

    def __init__(self, config: VideoConfig) -> None:
        super().__init__()
        self.pretrained = Backbone(config.backbone)
        self.head = TemporalHead(config)
        self.frames = config.frames

    def forward(self, pictures: Tensor) -> Tensor:
        """Return inverse depth up to scale and shift, or depth in meters, float32 [T, H, W].

        Args:
            pictures: of consecutive frames, normalized float32 [T, 3, H, W], sides multiples of `PATCH`.
        """
        rows, columns = (side // PATCH for side in pictures.shape[-2:])
        features, _ = self.pretrained(pictures[None])
        out: Tensor = self.head([stage[0] for stage in features], rows, columns)
        return out


def load_network(file: Path) -> VideoDepthAnything:
    """Load a released `.pth` file, or its tensors as `.safetensors`; float32, on the CPU.

    Raises:
        InvalidInput: the file is damaged, contains other objects than tensors, or its tensors do not match the
            network; they are listed.
    """
    with loading(file, "Video Depth Anything"):
        tensors = load_file(file) if file.suffix == ".safetensors" else _unpickled(file)
    used = {name: tensor.float() for name, tensor in tensors.items() if not _UNUSED.match(name)}
    shapes = {name: tuple(tensor.shape) for name, tensor in used.items()}
    with torch.device("meta"):
        network = VideoDepthAnything(_config(shapes, file))
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    check_state_dict(file, found=shapes, expected=expected)
    network.load_state_dict(used, assign=True)
    return network.eval().requires_grad_(False)


def _unpickled(file: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # its text advises to load the file with the code in it
        raise InvalidInput(
            f"{file} is damaged or contains other objects than tensors, such as code, which is not run; download it "
            "again from its authors"
        ) from error
    size = file.stat().st_size
    if not isinstance(content, dict) or not all(_is_plain(name, tensor, size) for name, tensor in content.items()):
        raise InvalidInput(f"{file} contains other objects than tensors; download it again")
    return content


def _is_plain(name: object, tensor: object, size: int) -> bool:
    """Return whether an entry is a named tensor that is stored in full, in a file of `size` bytes."""
    return (
        isinstance(name, str)
        and isinstance(tensor, Tensor)
        and tensor.layout is torch.strided
        and tensor.nbytes <= size  # a stored number can claim to be billions
    )


def _config(shapes: Mapping[str, tuple[int, ...]], file: Path) -> VideoConfig:
    """Return the sizes of the network from those of its tensors."""
    positions = shapes.get("pretrained.pos_embed", ())
    blocks = len({name.split(".")[2] for name in shapes if name.startswith("pretrained.blocks.")})
    stages = [shapes.get(f"head.projects.{stage}.weight", ()) for stage in range(_STAGES)]
    adapted = shapes.get("head.scratch.layer1_rn.weight", ())
    time = "temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe"
    places = shapes.get(f"head.motion_modules.0.{time}", ())
    fits = (
        grid_of(positions) > 0
        and len(places) == 3
        and blocks >= _STAGES
        and all(len(stage) == 4 for stage in stages)
        and len(adapted) == 4
    )
    if not fits:
        raise InvalidInput(
            f"{file} does not contain a model of Video Depth Anything; use a file of its authors, such as "
            "video_depth_anything_vits.pth"
        )
    backbone = BackboneConfig(
        channels=positions[2],
        blocks=blocks,
        grid=grid_of(positions),
        outputs=_outputs(blocks),
        across_views=-1,
        normalized=-1,
        rotary=-1,
        concatenated=False,
        norm_eps=1e-6,
    )
    return VideoConfig(
        backbone=backbone, stages=tuple(stage[0] for stage in stages), features=adapted[0], frames=places[1]
    )


def _outputs(blocks: int) -> tuple[int, ...]:
    """Return the blocks that the head reads: the last of each quarter, except for the first in the large model."""
    return (4, 11, 17, 23) if blocks == 24 else tuple(blocks * part // _STAGES - 1 for part in range(1, _STAGES + 1))
