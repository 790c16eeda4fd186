"""The networks of DepthCrafter in the classes of diffusers and transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection

from ex4d_core.errors import InvalidInput
from ex4d_core.hub.state_dict_check import from_pretrained_strict
from ex4d_core.hub.untrusted_weights import check_kinds, check_parameters, loading, numbers, only_weights, read_config
from ex4d_depth_depthcrafter.optimizations import optimize
from ex4d_depth_depthcrafter.options import Offload
from ex4d_depth_depthcrafter.weights import NETWORK_FILES, DepthCrafterCheckpoint, weight_files


@attrs.frozen(eq=False, kw_only=True)
class DepthCrafterNetworks:
    """All networks of a run, ready to compute on `device`."""

    unet: Any
    vae: Any
    image_encoder: Any
    scheduler_config: Mapping[str, Any]
    image_mean: tuple[float, ...]
    """Mean color of the image encoder's training data, in [0, 1]."""
    image_std: tuple[float, ...]
    device: torch.device
    dtype: torch.dtype
    offload: Offload

    @property
    def encode_dtype(self) -> torch.dtype:
        """Precision of the VAE encoder, which overflows in float16."""
        dtype: torch.dtype = next(iter(self.vae.encoder.parameters())).dtype
        return dtype

    def scheduler(self, steps: int) -> Any:
        """Return a new Euler sampler for a number of steps."""
        scheduler = EulerDiscreteScheduler.from_config(self.scheduler_config)
        scheduler.set_timesteps(steps, device=self.device)
        scheduler.set_begin_index(0)  # avoids a lookup that waits for the device
        return scheduler

    @contextmanager
    def using(self, *modules: nn.Module) -> Iterator[None]:
        """Move modules to the device for the duration of a block, if they are offloaded."""
        if self.offload != "model":
            yield
            return
        try:
            for module in modules:
                module.to(self.device)
            yield
        finally:
            for module in modules:
                module.to("cpu")


def load_networks(
    checkpoint: DepthCrafterCheckpoint, *, device: torch.device, dtype: torch.dtype, offload: Offload
) -> DepthCrafterNetworks:
    """Load a checkpoint.

    Raises:
        InvalidInput: a file is damaged, or its tensors do not match the network; they are listed.
    """
    with ThreadPoolExecutor(max_workers=1) as moving:
        unet = _load(UNetSpatioTemporalConditionModel, checkpoint.folder("unet"), dtype)
        if offload == "none":
            moved = moving.submit(unet.to, device)  # gigabytes, copied while the others are read
        vae = _load(AutoencoderKLTemporalDecoder, checkpoint.folder("vae"), dtype)
        image_encoder = _load(CLIPVisionModelWithProjection, checkpoint.folder("image_encoder"), dtype)
        _check_fit(unet.config, vae.config, image_encoder.config, checkpoint)
    if offload == "none":
        moved.result()
    if dtype == torch.float16 and vae.config.force_upcast:
        vae.encoder.float()
        vae.quant_conv.float()
    for module in (unet, vae, image_encoder):
        module.eval().requires_grad_(False)
        _place(module, device, offload)
    where = checkpoint.folder("feature_extractor") / "preprocessor_config.json"
    preprocessing = read_config(where)
    networks = DepthCrafterNetworks(
        unet=unet,
        vae=vae,
        image_encoder=image_encoder,
        scheduler_config=read_config(checkpoint.folder("scheduler") / "scheduler_config.json"),
        image_mean=numbers(preprocessing, "image_mean", 3, where=where),
        image_std=numbers(preprocessing, "image_std", 3, where=where),
        device=device,
        dtype=dtype,
        offload=offload,
    )
    with loading(checkpoint.folder("scheduler"), "scheduler"):
        check_kinds(networks.scheduler_config, EulerDiscreteScheduler)
        networks.scheduler(1)
    return networks


@contextmanager
def per_frame_attention(unet: Any, embeddings: Tensor) -> Iterator[None]:
    """Make each frame attend to its own embedding [T, C] within a `with` block.

    The UNet of diffusers repeats one embedding for all frames; DepthCrafter was trained with one per frame. The UNet's
    blocks support both, so a hook replaces their argument.
    """
    context = embeddings[:, None]

    def replace(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, {**kwargs, "encoder_hidden_states": context} if "encoder_hidden_states" in kwargs else kwargs

    blocks = (*unet.down_blocks, unet.mid_block, *unet.up_blocks)
    handles = [block.register_forward_pre_hook(replace, with_kwargs=True) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _place(module: nn.Module, device: torch.device, offload: Offload) -> None:
    if offload == "none":
        module.to(device)
    optimize(module, device)  # faster on the device, where it changes the layout of weights
    if offload == "sequential":
        from accelerate import cpu_offload

        cpu_offload(module, execution_device=device, offload_buffers=bool(module._parameters))


def _load(cls: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load one network and check that the files have exactly its tensors."""
    variant = weight_files(folder, half=dtype != torch.float32)
    with only_weights(folder, NETWORK_FILES, what=cls.__name__) as clean:
        check_parameters(lambda: _build(cls, clean), clean.glob("*.safetensors"), where=folder)
        # Checkpoints of older versions of transformers contain this table of 0, 1, 2 ..., which is not a weight.
        return from_pretrained_strict(
            cls,
            clean,
            source=folder,
            optional=lambda name: name.endswith("position_ids"),
            dtype=dtype,
            variant=variant,
        )


def _check_fit(unet: Any, vae: Any, image_encoder: Any, checkpoint: DepthCrafterCheckpoint) -> None:
    """Refuse networks whose sizes do not match each other or DepthCrafter's three time embeddings."""
    width, times = unet.cross_attention_dim, 3 * unet.addition_time_embed_dim
    fits = (
        unet.in_channels == 2 * vae.latent_channels == 2 * unet.out_channels
        and image_encoder.projection_dim in (width if isinstance(width, list | tuple) else (width,))
        and times == unet.projection_class_embeddings_input_dim
    )
    if not fits:
        raise InvalidInput(
            f"the networks in {checkpoint.unet} and {checkpoint.base} do not match each other; check depth.unet and "
            "depth.base"
        )


def _build(cls: Any, folder: Path) -> Any:
    """Create a network from its configuration, without weights."""
    if cls is CLIPVisionModelWithProjection:
        return cls(cls.config_class.from_pretrained(str(folder), local_files_only=True))
    config = cls.load_config(str(folder), local_files_only=True)
    check_kinds(config, cls)
    return cls.from_config(config)
