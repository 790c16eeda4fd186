"""The heads of Depth Anything 3: dense depth with confidence or sky, and the camera of each view.

Tensor names are those of the released model (`model/dualdpt.py`, `model/dpt.py`, `model/cam_dec.py`).
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from ex4d_depth_anything3.backbone import PATCH

_HIDDEN = 32
"""Channels before the last convolution."""

_PLACE_BASE, _PLACE_WEIGHT = 100.0, 0.1

VIEWS_AT_ONCE = 8
"""Views in one pass of the head; bounds its memory."""


@attrs.frozen(kw_only=True)
class HeadConfig:
    """Sizes of the dense head."""

    channels: int
    """Of the features."""
    features: int
    stages: tuple[int, ...]
    """Channels of the four stages."""
    confidence: bool
    """Whether the head predicts confidence, with normalized features and embedded places; otherwise sky."""


class ResidualUnit(nn.Module):
    """Two convolutions and a skip connection."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Transform maps [S, features, h, w]."""
        out: Tensor = maps + self.conv2(functional.relu(self.conv1(functional.relu(maps))))
        return out


class Fusion(nn.Module):
    """Add a finer stage to the coarser ones, and enlarge the sum."""

    def __init__(self, features: int, *, has_finer: bool) -> None:
        super().__init__()
        if has_finer:
            self.resConfUnit1 = ResidualUnit(features)
        self.resConfUnit2 = ResidualUnit(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(self, coarse: Tensor, finer: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Return the sum at a size (height, width)."""
        summed = coarse if finer is None else coarse + self.resConfUnit1(finer)
        out: Tensor = self.out_conv(resized(self.resConfUnit2(summed), size))
        return out


class Scratch(nn.Module):
    """The layers between the stages and the output."""

    def __init__(self, stages: tuple[int, ...], features: int, *, outputs: int) -> None:
        super().__init__()
        for number, channels in enumerate(stages, start=1):
            setattr(self, f"layer{number}_rn", nn.Conv2d(channels, features, 3, padding=1, bias=False))
            setattr(self, f"refinenet{number}", Fusion(features, has_finer=number < len(stages)))
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = output_layers(features, outputs)

    def adapted(self, stages: list[Tensor]) -> list[Tensor]:
        """Return the stages with equal numbers of channels."""
        return [getattr(self, f"layer{number}_rn")(stage) for number, stage in enumerate(stages, start=1)]

    def fused(self, stages: list[Tensor]) -> Tensor:
        """Return the features at the scale of the finest stage, or twice it."""
        adapted = self.adapted(stages)
        height, width = size_of(adapted[0])
        sizes = [(2 * height, 2 * width), *map(size_of, adapted)]
        fused = adapted[-1]
        for number in reversed(range(1, len(adapted) + 1)):
            finer = adapted[number - 1] if number < len(adapted) else None
            fused = self.fuse(number, fused, finer, sizes[number - 1])
        out: Tensor = self.output_conv1(fused)
        return out

    def fuse(self, number: int, coarse: Tensor, finer: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Add stage `number`, from 1, to the coarser ones, if there are any; the sum has a size (height, width)."""
        out: Tensor = getattr(self, f"refinenet{number}")(coarse, finer, size)
        return out


class DepthHead(nn.Module):
    """A dense prediction transformer head (Ranftl et al., 2021)."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self._config = config
        self.norm = nn.LayerNorm(config.channels) if config.confidence else nn.Identity()
        self.projects = projections(config.channels, config.stages)
        self.resize_layers = resize_layers(config.stages)
        self.scratch = Scratch(config.stages, config.features, outputs=2 if config.confidence else 1)
        if not config.confidence:
            self.scratch.sky_output_conv2 = output_layers(config.features, 1)

    def forward(self, features: list[Tensor], rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Return depth, and confidence (1 or more) or sky (0 or more), float32 [S, H, W].

        Args:
            features: of the four stages, [S, rows * columns, channels].
            rows: of the grid of patches.
            columns: of the grid of patches.
        """
        parts = [
            self._predicted([stage[first : first + VIEWS_AT_ONCE] for stage in features], rows, columns)
            for first in range(0, len(features[0]), VIEWS_AT_ONCE)
        ]
        depth, second = (torch.cat(maps) for maps in zip(*parts, strict=True))
        return depth, second

    def _predicted(self, features: list[Tensor], rows: int, columns: int) -> tuple[Tensor, Tensor]:
        size = (PATCH * rows, PATCH * columns)
        stages = [
            resize(self._placed(project(self.norm(stage).mT.unflatten(-1, (rows, columns))), size))
            for stage, project, resize in zip(features, self.projects, self.resize_layers, strict=True)
        ]
        fused = self._placed(resized(self.scratch.fused(stages), size), size)
        out = self.scratch.output_conv2(fused)
        second = out[:, 1].exp() + 1 if self._config.confidence else self._sky(fused)
        return out[:, 0].exp(), second

    def _sky(self, fused: Tensor) -> Tensor:
        maps: Tensor = self.scratch.get_submodule("sky_output_conv2")(fused)
        return maps[:, 0].relu()

    def _placed(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Add an embedding of the place in the image, of the aspect of `size`."""
        return maps + _PLACE_WEIGHT * place_embedding(maps, size) if self._config.confidence else maps


def place_embedding(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return sines and cosines of the place of each pixel, [C, h, w] for maps [S, C, h, w].

    Places are relative to half the diagonal of an image of `size` (height, width), from its center.
    """
    channels, height, width = maps.shape[1:]
    diagonal = (size[0] ** 2 + size[1] ** 2) ** 0.5
    frequencies = _PLACE_BASE ** -(torch.arange(channels // 4, device=maps.device).float() / (channels / 4))

    def waves(count: int, side: int) -> Tensor:
        end = side / diagonal * (count - 1) / count
        angles = torch.linspace(-end, end, count, device=maps.device)[None] * frequencies[:, None]
        return torch.cat([angles.sin(), angles.cos()])  # [C / 2, count]

    across, down = waves(width, size[1])[:, None], waves(height, size[0])[:, :, None]
    return torch.cat([across.expand(-1, height, -1), down.expand(-1, -1, width)]).to(maps.dtype)


class CameraHead(nn.Module):
    """Predicts pose and lens from camera tokens."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels), nn.ReLU()
        )
        self.fc_t = nn.Linear(channels, 3)
        self.fc_qvec = nn.Linear(channels, 4)
        self.fc_fov = nn.Sequential(nn.Linear(channels, 2), nn.ReLU())

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return world-to-camera [S, 4, 4] and the fields of view [S, 2] along x and y in radians.

        Args:
            tokens: [S, channels].
        """
        hidden = self.backbone(tokens)
        rotation = rotation_of(self.fc_qvec(hidden))
        # The head predicts camera-to-world: its inverse is [R^T, -R^T t].
        pose = torch.eye(4, device=tokens.device, dtype=rotation.dtype).repeat(len(tokens), 1, 1)
        pose[:, :3, :3] = rotation.mT
        pose[:, :3, 3] = -(rotation.mT @ self.fc_t(hidden)[..., None])[..., 0]
        return pose, self.fc_fov(hidden).flip(-1)  # it predicts the vertical one first


def rotation_of(quaternion: Tensor) -> Tensor:
    """Return rotation matrices [N, 3, 3] of quaternions [N, 4], scalar last, of any length."""
    x, y, z, w = functional.normalize(quaternion, dim=-1).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def projections(channels: int, stages: tuple[int, ...]) -> nn.ModuleList:
    """Return the layers that map features to the channels of each stage."""
    return nn.ModuleList(nn.Conv2d(channels, stage, 1) for stage in stages)


def resize_layers(stages: tuple[int, ...]) -> nn.ModuleList:
    """Return the layers that resize the four stages to 4, 2, 1 and 1/2 times the grid of patches."""
    first, second, _, last = stages
    return nn.ModuleList(
        [
            nn.ConvTranspose2d(first, first, 4, stride=4),
            nn.ConvTranspose2d(second, second, 2, stride=2),
            nn.Identity(),
            nn.Conv2d(last, last, 3, stride=2, padding=1),
        ]
    )


def output_layers(features: int, outputs: int) -> nn.Sequential:
    """Return the layers that map fused features to `outputs` maps."""
    return nn.Sequential(nn.Conv2d(features // 2, _HIDDEN, 3, padding=1), nn.ReLU(), nn.Conv2d(_HIDDEN, outputs, 1))


def size_of(maps: Tensor) -> tuple[int, int]:
    """Return height and width of maps [S, C, h, w]."""
    return maps.shape[2], maps.shape[3]


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps [S, C, h, w] to a size (height, width), corner to corner."""
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=True)
