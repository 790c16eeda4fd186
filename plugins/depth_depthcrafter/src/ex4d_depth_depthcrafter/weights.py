"""Where the weights are on this machine. Nothing is downloaded and nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from ex4d_core.errors import InputNotFound
from ex4d_core.files import weights_hash
from ex4d_core.hub import HubRepo, fetch_command, find_in_cache, resolve_weights
from ex4d_core.hub.untrusted_weights import check_files
from ex4d_core.options import option

BASE_PARTS = ("image_encoder", "vae", "feature_extractor", "scheduler")
"""Subfolders of Stable Video Diffusion that are used; its own UNet is not."""

NETWORK_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", "*.safetensors.index.fp16.json")
"""Names of the files that a network is loaded from."""

_NETWORKS = {"image_encoder": "model", "vae": "diffusion_pytorch_model"}
_CONFIGS = {"feature_extractor": "preprocessor_config.json", "scheduler": "scheduler_config.json"}
_HALF = ".fp16."
_NAMES = ("unet", "unet_revision", "base", "base_revision")


@attrs.frozen(kw_only=True)
class DepthCrafterCheckpoint:
    """The folders that hold what DepthCrafter needs."""

    unet: Path
    """Has config.json and the weights of the UNet."""
    base: Path
    """Has a subfolder for each of `BASE_PARTS`."""

    def folder(self, part: str) -> Path:
        """Return the folder of `unet` or of one of `BASE_PARTS`."""
        return self.unet if part == "unet" else self.base / part

    def fingerprint(self) -> str:
        """Return a text that changes when the weights do."""
        return " ".join(weights_hash(self.folder(part)) for part in ("unet", *BASE_PARTS))


@attrs.frozen
class DepthCrafterWeightsOptions:
    """Options that choose the weights."""

    unet: str = option(
        "tencent/DepthCrafter",
        help="DepthCrafter's UNet: a name on the Hugging Face hub, or a folder with config.json and weights.",
        affects_output=False,  # what it stands for does: the fingerprint
    )
    unet_revision: str = option(
        "c1a22b53f8abf80cd0b025adf29e637773229eca",
        help="Commit, tag or branch of the UNet on the hub; a folder has none.",
        affects_output=False,
    )
    base: str = option(
        "stabilityai/stable-video-diffusion-img2vid",
        help="Stable Video Diffusion, for all but the UNet: a name on the hub, or a folder in that layout.",
        affects_output=False,
    )
    base_revision: str = option(
        "9cf024d5bfa8f56622af86c884f26a52f6676f2e",
        help="Commit, tag or branch of Stable Video Diffusion on the hub; a folder has none.",
        affects_output=False,
    )

    def fingerprint(self) -> str:
        """Return what tells these weights from others: the commits on the hub, or hashes of the folders' files.

        Raises:
            InputNotFound: the weights are not on this machine.
        """
        return locate(self).fingerprint()


def hub_files(options: DepthCrafterWeightsOptions) -> list[HubRepo]:
    """Return what is needed: of the UNet, and of Stable Video Diffusion."""
    unet = ("config.json", "diffusion_pytorch_model*.safetensors")
    # The hub has each network twice; the half that is enough for 16 bits is widened where 32 are asked for.
    return [
        HubRepo(repo=options.unet, revision=options.unet_revision, patterns=unet),
        _base(options, ".fp16.safetensors"),
    ]


def locate(options: DepthCrafterWeightsOptions) -> DepthCrafterCheckpoint:
    """Return the folders that the options name, on this machine.

    Raises:
        InputNotFound: a folder is not a checkpoint, or the hub's cache does not have it; the message has the command.
        InvalidInput: a folder or one of its files cannot be read.
    """
    fetch = fetch_command("depthcrafter", options, role="depth", of=_NAMES)
    unet, base = hub_files(options)
    # Where somebody has brought only the weights of 32 bits, these do as well.
    found = base.folder() or find_in_cache(_base(options, ".safetensors"))
    checkpoint = DepthCrafterCheckpoint(
        unet=resolve_weights(unet, fetch=fetch), base=found or resolve_weights(base, fetch=fetch)
    )
    for folder, name, need in _needed(checkpoint, options):
        if not (folder.is_dir() and check_files(folder, (need,))):
            raise InputNotFound(
                f"{folder} has no {need}, so it is not a part of the checkpoint {name}; check the folder that was given"
            )
    return checkpoint


def weight_files(folder: Path, *, half: bool) -> str | None:
    """Return which weights of a folder to load: "fp16", or None for those without a variant.

    Args:
        folder: of one network.
        half: whether it will run in 16 bits, so that the smaller files lose nothing.
    """
    files = [file.name for file in folder.glob("*.safetensors")]
    has_half = any(_HALF in name for name in files)
    has_full = any(_HALF not in name for name in files)
    return "fp16" if has_half and (half or not has_full) else None


def _base(options: DepthCrafterWeightsOptions, kind: str) -> HubRepo:
    networks = [f"{part}/{file}" for part, name in _NETWORKS.items() for file in ("config.json", f"{name}{kind}")]
    configs = [f"{part}/{file}" for part, file in _CONFIGS.items()]
    return HubRepo(repo=options.base, revision=options.base_revision, patterns=(*networks, *configs))


def _needed(checkpoint: DepthCrafterCheckpoint, options: DepthCrafterWeightsOptions) -> Iterator[tuple[Path, str, str]]:
    """Yield folders, the names of what they are part of, and a file that each must have."""
    for part, name in (("unet", options.unet), *((part, options.base) for part in _NETWORKS)):
        yield checkpoint.folder(part), name, "config.json"
        yield checkpoint.folder(part), name, "*.safetensors"
    for part, file in _CONFIGS.items():
        yield checkpoint.folder(part), options.base, file
