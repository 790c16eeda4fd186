"""What the numbers of a model mean, as its configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ex4d_core.errors import InvalidInput
from ex4d_depth_transformers.options import Kind


class OutputKind(Enum):
    """What the numbers of a model mean."""

    METRIC = "metric"
    """Meters."""

    RELATIVE = "relative"
    """Depth up to one scale."""

    INVERSE = "inverse"
    """Inverse depth up to scale and shift."""

    CANONICAL = "canonical"
    """Inverse depth in 1/meters for a picture as wide as its focal length is long (Depth Pro, arXiv 2410.02073):
    depth = focal / (width * number)."""


_MIDAS_BACKBONES = (None, "vit", "bit", "beit", "swin", "swinv2")
"""Of the DPT models that MiDaS trained, all for inverse depth; others of that type were trained for other things."""


def output_kind(config: Mapping[str, Any], *, kind: Kind, model: str) -> OutputKind:
    """Return what the numbers mean.

    Args:
        config: of the checkpoint, as its config.json has it.
        kind: what the user says of it.
        model: what the user calls it.

    Raises:
        InvalidInput: the configuration does not tell and the user did not say, or the model cannot be used.
    """
    model_type = config.get("model_type")
    if model_type == "prompt_depth_anything":
        raise InvalidInput(
            f"{model} refines the depth of a sensor, which a clip does not have; give another depth.model"
        )
    if model_type == "depth_pro" and kind != "inverse":
        return OutputKind.RELATIVE if kind == "relative" else OutputKind.CANONICAL
    if kind != "auto":
        return OutputKind(kind)
    found = _from_type(model_type, config)
    if found is None:
        raise InvalidInput(
            f"the configuration of {model} (model type {model_type!r}) does not tell what its numbers mean; "
            "say --set depth.kind=metric, relative or inverse, as its authors do"
        )
    return found


def _from_type(model_type: str | None, config: Mapping[str, Any]) -> OutputKind | None:
    if model_type == "depth_anything":
        return OutputKind.METRIC if config.get("depth_estimation_type") == "metric" else OutputKind.INVERSE
    if model_type == "dpt":
        backbone = (config.get("backbone_config") or {}).get("model_type")
        return OutputKind.INVERSE if backbone in _MIDAS_BACKBONES else None
    return OutputKind.METRIC if model_type in ("zoedepth", "glpn", "tipsv2_dpt") else None
