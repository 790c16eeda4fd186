"""Load a checkpoint into the class of transformers that its configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForDepthEstimation
from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES

from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import from_pretrained_strict
from ex4d_core.hub.untrusted_weights import check_parameters, only_weights, read_config
from ex4d_depth_transformers.depth_kind import OutputKind, output_kind
from ex4d_depth_transformers.options import DType, TransformersOptions
from ex4d_depth_transformers.processors import read_processor
from ex4d_depth_transformers.weights import TENSORS, locate

_SUPPORT_HALF = ("depth_anything", "depth_pro", "dpt")
"""Model types that are known to work in float16; others may overflow."""

_UNUSED = {"dpt": ("neck.fusion_stage.layers.0.residual_layer1.",)}
"""Parts of the class in transformers that its forward pass does not use; published checkpoints lack them."""


@attrs.frozen(eq=False, kw_only=True)
class Prediction:
    """Output of a model for a batch of images."""

    maps: Tensor
    """[N, h, w], see `OutputKind`."""
    fov: Tensor | None
    """[N], horizontal field of view in degrees, if the model predicts it."""


@attrs.frozen(eq=False, kw_only=True)
class Network:
    """A depth model, ready to compute on `device`."""

    model: Any
    model_type: str
    output_kind: OutputKind
    processor: Mapping[str, Any]
    """Content of preprocessor_config.json."""
    device: torch.device
    dtype: torch.dtype

    @property
    def gives_fov(self) -> bool:
        """Whether the model predicts the field of view."""
        return bool(getattr(self.model.config, "use_fov_model", False))

    @torch.inference_mode()
    def predict(self, pictures: Tensor) -> Prediction:
        """Run the model on preprocessed images float32 [N, 3, h, w]."""
        output = self.model(pixel_values=pictures.to(self.dtype))
        return Prediction(maps=output.predicted_depth, fov=getattr(output, "field_of_view", None))


def load_network(options: TransformersOptions, *, device: torch.device) -> Network:
    """Load the checkpoint selected by the options.

    Raises:
        InputNotFound: it is not on this machine.
        InvalidInput: it is not a depth model, a file is damaged, its tensors do not match the network (they are
            listed), or the kind of its output is not known.
    """
    folder = locate(options)
    config = read_config(folder / "config.json")
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES:
        raise InvalidInput(
            f"{folder} contains a model of type {ascii(model_type)[:80]}, which is not a depth model; supported: "
            f"{', '.join(MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES)}"
        )
    kind = output_kind(config, kind=options.kind, model=options.model)
    dtype = _dtype(options.dtype, model_type, device)
    processor = read_processor(folder / "preprocessor_config.json")
    model = _load(folder, model_type, dtype).eval().requires_grad_(False).to(device)
    return Network(
        model=model,
        model_type=model_type,
        output_kind=kind,
        processor=processor,
        device=device,
        dtype=dtype,
    )


def _load(folder: Path, model_type: str, dtype: torch.dtype) -> Any:
    """Load a model and check that the files have exactly its tensors."""
    with only_weights(folder, ("config.json", *TENSORS), what=model_type) as clean:
        config = AutoConfig.from_pretrained(str(clean), local_files_only=True, trust_remote_code=False)
        check_parameters(
            lambda: AutoModelForDepthEstimation.from_config(config, trust_remote_code=False),
            clean.glob("*.safetensors"),
            where=folder,
        )
        return from_pretrained_strict(
            AutoModelForDepthEstimation,
            clean,
            source=folder,
            optional=lambda name: name.startswith(_UNUSED.get(model_type, ())),
            config=config,
            dtype=dtype,
            ignore_mismatched_sizes=True,  # else its error does not name the tensors
            trust_remote_code=False,
        )


def _dtype(name: DType, model_type: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        name = "float16" if device.type != "cpu" and model_type in _SUPPORT_HALF else "float32"
    dtype: torch.dtype = getattr(torch, name)
    return dtype
