"""The kind of output of a model, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ex4d_core.errors import InvalidInput
from ex4d_depth_transformers.options import Kind


class OutputKind(Enum):
    """Kind of the output of a model."""

    METRIC = "metric"
    """Meters."""

    RELATIVE = "relative"
    """Depth up to scale."""

    INVERSE = "inverse"
    """Inverse depth up to scale and shift."""

    CANONICAL = "canonical"
    """Inverse depth in 1/meters for a focal length equal to the width (Depth Pro, arXiv 2410.02073):
    depth = focal / (width * output)."""


_MIDAS_BACKBONES = (None, "vit", "bit", "beit", "swin", "swinv2")
"""Backbones of the DPT models of MiDaS, all for inverse depth; the output of other DPT models varies."""


def output_kind(config: Mapping[str, Any], *, kind: Kind, model: str) -> OutputKind:
    """Return the kind of output of a model.

    Args:
        config: config.json of the checkpoint.
        kind: option of the user.
        model: its name, for messages.

    Raises:
        InvalidInput: the kind is not known and `kind` is auto, or the model is not supported.
    """
    model_type = config.get("model_type")
    if model_type == "prompt_depth_anything":
        raise InvalidInput(f"{model} requires depth from a sensor, which a clip does not have; use another depth.model")
    if model_type == "depth_pro" and kind != "inverse":
        return OutputKind.RELATIVE if kind == "relative" else OutputKind.CANONICAL
    if kind != "auto":
        return OutputKind(kind)
    found = _from_type(model_type, config)
    if found is None:
        raise InvalidInput(
            f"the configuration of {model} (model type {model_type!r}) does not state the kind of its output; "
            "use --set depth.kind=metric, relative or inverse, according to its authors"
        )
    return found


def _from_type(model_type: str | None, config: Mapping[str, Any]) -> OutputKind | None:
    if model_type == "depth_anything":
        return OutputKind.METRIC if config.get("depth_estimation_type") == "metric" else OutputKind.INVERSE
    if model_type == "dpt":
        backbone = (config.get("backbone_config") or {}).get("model_type")
        return OutputKind.INVERSE if backbone in _MIDAS_BACKBONES else None
    return OutputKind.METRIC if model_type in ("zoedepth", "glpn", "tipsv2_dpt") else None
