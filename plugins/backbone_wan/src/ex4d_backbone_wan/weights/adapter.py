"""The EX-4D adapter: LoRAs of the transformer, and an encoder of the guidance."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import attrs
import torch
from torch import Tensor, nn

from ex4d_backbone_wan.weights.lora_files import LoraFile, read_lora, scale_of
from ex4d_backbone_wan.weights.pinned_copy import Mover
from ex4d_backbone_wan.weights.stored import StoredLinear
from ex4d_backbone_wan.weights.tensor_files import read_all
from ex4d_backbone_wan.weights.user_files import Lora
from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import check_state_dict
from ex4d_core.hub.untrusted_weights import loading

CAMERA_KEYS = ("latent_encoder.", "latent_patch_embedding.")
"""Prefixes of the camera encoder's tensors, which are in one file with the LoRA."""


_MERGERS = 4
"""Threads that merge layers on a GPU for weights in main memory, each with up to 0.6 GB of GPU memory."""


class CameraEncoder(nn.Module):
    """Encodes the guidance into one token per patch, which is added after Wan's patch embedding.

    Args:
        channels: of both latents.
        hidden: channels between the layers.
        width: channels of the transformer's tokens.
        patch: latent frames, rows and columns per token.
    """

    def __init__(self, *, channels: int, hidden: int, width: int, patch: tuple[int, int, int] = (1, 2, 2)) -> None:
        super().__init__()
        self.width = width
        # Named and numbered as in the file.
        self.latent_encoder = nn.Sequential(
            nn.Conv3d(channels, hidden, 1),
            nn.SiLU(),
            nn.Conv3d(hidden, hidden, 1),
            nn.SiLU(),
            nn.Conv3d(hidden, hidden, 1),
        )
        self.latent_patch_embedding = nn.Conv3d(hidden, width, patch, stride=patch)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, where: str) -> Self:
        """Create the encoder from its tensors.

        Raises:
            InvalidInput: the tensors do not match; the differences are listed.
        """
        first, last = (tensors.get(f"{name}.weight") for name in ("latent_encoder.0", "latent_patch_embedding"))
        if first is None or last is None or first.ndim != 5 or last.ndim != 5:
            raise InvalidInput(
                f"{where} has no camera encoder (tensors that begin with {' or '.join(CAMERA_KEYS)}), so it is not an "
                "EX-4D adapter; use backbone.loras for other LoRAs"
            )
        with loading(Path(where), "camera encoder"), torch.device("meta"):
            frames, rows, columns = last.shape[2:]
            encoder = cls(
                channels=first.shape[1], hidden=first.shape[0], width=last.shape[0], patch=(frames, rows, columns)
            )
        check_state_dict(where, found=_shapes(tensors), expected=_shapes(encoder.state_dict()))
        if odd := [name for name, tensor in tensors.items() if not tensor.is_floating_point()]:
            raise InvalidInput(f"{where} has {odd[0]} in {tensors[odd[0]].dtype}, which is not a floating-point number")
        encoder.load_state_dict(dict(tensors), assign=True)
        return encoder

    def forward(self, color_latent: Tensor, mask_latent: Tensor) -> Tensor:
        """Return tokens [B, N, D] for latents of color and mask, both [B, 16, t, h, w]; N = t * h/2 * w/2."""
        encoded = self.latent_encoder(torch.cat([color_latent, mask_latent], dim=1))
        tokens: Tensor = self.latent_patch_embedding(encoded).flatten(2).transpose(1, 2)
        return tokens


@contextmanager
def camera_tokens(transformer: Any, tokens: Tensor | None) -> Iterator[None]:
    """Add tokens to the output of the transformer's patch embedding within a `with` block.

    Args:
        transformer: a WanTransformer3DModel, also one that is compiled, offloaded or spread over GPUs.
        tokens: [1, N, D] of `CameraEncoder`, added to every sample of a batch; None adds nothing.

    Raises:
        InvalidInput: in the block, if the number of patches differs from the number of tokens.
    """
    if tokens is None:
        yield
        return
    given = tokens.transpose(1, 2)

    def add(_: nn.Module, __: tuple[Any, ...], embedded: Tensor) -> Tensor:
        if given.shape[1:] != (embedded.shape[1], embedded[0, 0].numel()):
            raise InvalidInput(
                f"{given.shape[2]} camera tokens of width {given.shape[1]} do not fit a video of "
                f"{embedded[0, 0].numel()} patches of width {embedded.shape[1]}; encode the guidance at its size"
            )
        return embedded + given.to(embedded).reshape(-1, *embedded.shape[1:])

    handle = transformer.patch_embedding.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def camera_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of the camera encoder from the file of an adapter.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is damaged.
    """
    return {name: tensor for name, tensor in read_all(path).items() if name.startswith(CAMERA_KEYS)}


def apply_loras(transformer: Any, loras: Sequence[Lora], *, merge: bool, merge_on: torch.device | None = None) -> None:
    """Apply LoRAs to a transformer, in order.

    Args:
        transformer: a WanTransformer3DModel on its device.
        loras: files and scales.
        merge: whether to add them to the weights, rounding once per LoRA; else they stay separate and active, in
            float32, with the names `lora_0`, `lora_1` ...
        merge_on: device that merges, block by block; by default that of the weights.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: a file is damaged, or has tensors that do not match the transformer; they are listed.
    """
    names = []
    for number, lora in enumerate(loras):
        file = _with_stored(transformer, lora, read_lora(lora.path, skip=CAMERA_KEYS))
        _add_deltas(transformer, file.deltas, lora.weight)
        if file.pairs:
            names.append(f"lora_{number}")
            _attach(transformer, lora, file, names[-1])
    if names:
        transformer.set_adapters(names, [loras[int(name.removeprefix("lora_"))].weight for name in names])
    if names and merge:
        _merge(transformer, merge_on or transformer.device)
        transformer.unload_lora()


def _with_stored(transformer: Any, lora: Lora, file: LoraFile) -> LoraFile:
    """Check that all tensors match, add those of stored layers to them, and return the others."""
    layers = {name: layer for name, layer in transformer.named_modules() if isinstance(layer, StoredLinear)}
    for changed in layers.keys() & {name.removesuffix(".weight") for name in file.deltas}:
        # Changed entirely, so that it cannot stay in 8 bits.
        transformer.set_submodule(changed, layers.pop(changed).expanded())
    _check_places(transformer, lora.path, file)
    pairs = dict(file.pairs)
    for name, layer in layers.items():
        a, b, bias = (f"{name}.lora_{matrix}" for matrix in ("A.weight", "B.weight", "B.bias"))
        if a in pairs:
            down, up = pairs.pop(a), pairs.pop(b)
            scale = lora.weight * scale_of(file.settings, name, rank=len(down))
            layer.add_low_rank(down.float() * scale, up)
            if bias in pairs:
                _add_deltas(transformer, {f"{name}.bias": pairs.pop(bias)}, scale)
    return attrs.evolve(file, pairs=pairs)


def _check_places(transformer: Any, path: Path, file: LoraFile) -> None:
    parameters = {
        name.replace(".base_layer.", "."): parameter.shape for name, parameter in transformer.named_parameters()
    }
    places = {name: tuple(parameters[name]) for name in file.deltas if name in parameters}
    tensors = {**file.pairs, **file.deltas}
    check_state_dict(path, found=_shapes(tensors), expected=places | _places(transformer, file.pairs))
    if odd := [name for name, tensor in tensors.items() if not tensor.is_floating_point()]:
        raise InvalidInput(f"{path} has {odd[0]} in {tensors[odd[0]].dtype}, which is not a floating-point number")


def _add_deltas(transformer: Any, deltas: Mapping[str, Tensor], weight: float) -> None:
    """Add deltas to whole tensors, in float32, rounded once."""
    parameters = {name.replace(".base_layer.", "."): parameter for name, parameter in transformer.named_parameters()}
    for name, delta in deltas.items():
        data = parameters[name].data
        parameters[name].data = (data.float() + weight * delta.to(data.device, torch.float32)).to(data.dtype)


def _merge(transformer: Any, device: torch.device) -> None:
    """Merge the LoRAs of each layer; a GPU needs seconds, transfers included, and a CPU minutes.

    Weights that were in main memory are then in pinned memory, from which a GPU that computes can copy them.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in transformer.modules() if isinstance(module, BaseTunerLayer) and not module.merged]
    if device.type == transformer.device.type:
        for layer in layers:
            layer.merge()
        return

    with Mover(device, workers=_MERGERS) as mover:

        def merge(layer: Any) -> Tensor:
            weight: Tensor = layer.get_base_layer().weight
            weight.data = mover.move(weight.data, dtype=weight.dtype)
            layer.to(device)
            layer.merge()
            weight.data = mover.move_back(weight.data)
            layer.to("cpu")
            return weight

        for _ in mover.map(merge, layers):
            pass


def _attach(transformer: Any, lora: Lora, file: LoraFile, adapter: str) -> None:
    """Attach a LoRA to its layers in float32."""
    # peft draws random numbers, which are replaced here; the global state must not change.
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), loading(lora.path, "LoRA"):
        warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)  # several are intended
        # Without memory for random values, which take seconds on the CPU.
        transformer.load_lora_adapter(
            dict(file.pairs), prefix=None, adapter_name=adapter, low_cpu_mem_usage=True, **file.settings
        )
    for name, tensor in file.pairs.items():
        # peft has rounded it to the dtype of the layer; merging would round twice.
        layer, matrix, kind = name.rsplit(".", 2)
        parameter = transformer.get_parameter(f"{layer}.{matrix}.{adapter}.{kind}")
        parameter.data = tensor.to(device=parameter.device, dtype=torch.float32)


def _places(transformer: Any, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the expected shapes of the matrices, from the layers in their names."""
    layers = dict(transformer.named_modules())
    places: dict[str, tuple[int, ...]] = {}
    for name, tensor in tensors.items():
        layer_name, _, matrix = name.partition(".lora_")
        shape = _weight_shape(layers.get(layer_name))
        if len(shape) < 2 or not tensor.ndim:
            continue
        outputs, *inputs = shape
        if matrix == "B.bias":
            places[name] = (outputs,)
        elif matrix in ("A.weight", "B.weight"):
            rank = tensor.shape[0] if matrix == "A.weight" else tensor.shape[min(1, tensor.ndim - 1)]
            a, b = (f"{layer_name}.lora_{side}.weight" for side in "AB")
            places |= {a: (rank, *inputs), b: (outputs, rank, *(1 for _ in inputs[1:]))}
    return places


def _weight_shape(layer: nn.Module | None) -> tuple[int, ...]:
    if isinstance(layer, StoredLinear):
        return layer.out_features, layer.in_features
    weight = getattr(layer, "weight", None)
    return () if weight is None else tuple(weight.shape)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
