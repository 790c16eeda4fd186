"""Locate the weights on this machine, without downloads or heavy imports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from ex4d_core.errors import InputNotFound
from ex4d_core.hub import HubRepo, fetch_command, find_in_cache, resolve_weights, weights_hash
from ex4d_core.hub.untrusted_weights import check_files
from ex4d_core.options import option

BASE_PARTS = ("image_encoder", "vae", "feature_extractor", "scheduler")
"""Subfolders of Stable Video Diffusion that are used, all but its UNet."""

NETWORK_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", "*.safetensors.index.fp16.json")
"""Name patterns of the files of a network."""

_NETWORKS = {"image_encoder": "model", "vae": "diffusion_pytorch_model"}
_CONFIGS = {"feature_extractor": "preprocessor_config.json", "scheduler": "scheduler_config.json"}
_SIZES = {"tencent/DepthCrafter": 3_050_000_000, "stabilityai/stable-video-diffusion-img2vid": 1_460_000_000}
_HALF = ".fp16."
_NAMES = ("unet", "unet_revision", "base", "base_revision")


@attrs.frozen(kw_only=True)
class DepthCrafterCheckpoint:
    """The folders with the weights of DepthCrafter."""

    unet: Path
    """Contains config.json and the weights of the UNet."""
    base: Path
    """Contains a subfolder for each of `BASE_PARTS`."""

    def folder(self, part: str) -> Path:
        """Return the folder of `unet` or of one of `BASE_PARTS`."""
        return self.unet if part == "unet" else self.base / part

    def fingerprint(self) -> str:
        """Return a hash of the weights."""
        return " ".join(weights_hash(self.folder(part)) for part in ("unet", *BASE_PARTS))


@attrs.frozen
class DepthCrafterWeightsOptions:
    """Options that choose the weights."""

    unet: str = option(
        "tencent/DepthCrafter",
        help="DepthCrafter's UNet: OWNER/NAME on the Hugging Face hub, or a folder with config.json and weights.",
        affects_output=False,  # the fingerprint does
        path=True,
    )
    unet_revision: str = option(
        "c1a22b53f8abf80cd0b025adf29e637773229eca",
        help="Commit, tag or branch of the UNet on the hub; ignored for a folder.",
        affects_output=False,
    )
    base: str = option(
        "stabilityai/stable-video-diffusion-img2vid",
        help="Stable Video Diffusion, for all but the UNet: OWNER/NAME on the hub, or a folder in its layout.",
        affects_output=False,
        path=True,
    )
    base_revision: str = option(
        "9cf024d5bfa8f56622af86c884f26a52f6676f2e",
        help="Commit, tag or branch of Stable Video Diffusion on the hub; ignored for a folder.",
        affects_output=False,
    )

    def fingerprint(self) -> str:
        """Return a hash of the weights: blob names in the cache of the hub, or hashes of the files in a folder.

        Raises:
            InputNotFound: the weights are not on this machine.
        """
        return locate(self).fingerprint()


def hub_files(options: DepthCrafterWeightsOptions) -> list[HubRepo]:
    """Return the required files of the UNet and of Stable Video Diffusion."""
    unet = ("config.json", "diffusion_pytorch_model*.safetensors")
    # The hub has each network in 16 and 32 bits; the 16-bit weights are downloaded, and converted for float32.
    return [
        HubRepo(repo=options.unet, revision=options.unet_revision, patterns=unet, size=_SIZES.get(options.unet, 0)),
        _base(options, ".fp16.safetensors"),
    ]


def locate(options: DepthCrafterWeightsOptions) -> DepthCrafterCheckpoint:
    """Return the folders selected by the options, on this machine.

    Raises:
        InputNotFound: a folder is not a checkpoint, or the hub's cache does not have it; the message has the command.
        InvalidInput: a folder or one of its files cannot be read.
    """
    fetch = fetch_command("depthcrafter", options, role="depth", of=_NAMES)
    unet, base = hub_files(options)
    # Use the 32-bit weights if only they are in the cache.
    found = base.folder() or find_in_cache(_base(options, ".safetensors"))
    checkpoint = DepthCrafterCheckpoint(
        unet=resolve_weights(unet, fetch=fetch), base=found or resolve_weights(base, fetch=fetch)
    )
    for folder, name, need in _needed(checkpoint, options):
        if not (folder.is_dir() and check_files(folder, (need,))):
            raise InputNotFound(f"{folder} has no {need}, so it is not part of the checkpoint {name}; check the folder")
    return checkpoint


def weight_files(folder: Path, *, half: bool) -> str | None:
    """Return the variant of the weights to load: "fp16", or None for weights without a variant.

    Args:
        folder: of one network.
        half: whether the network runs in 16 bits.
    """
    files = [file.name for file in folder.glob("*.safetensors")]
    has_half = any(_HALF in name for name in files)
    has_full = any(_HALF not in name for name in files)
    return "fp16" if has_half and (half or not has_full) else None


def _base(options: DepthCrafterWeightsOptions, kind: str) -> HubRepo:
    networks = [f"{part}/{file}" for part, name in _NETWORKS.items() for file in ("config.json", f"{name}{kind}")]
    configs = [f"{part}/{file}" for part, file in _CONFIGS.items()]
    return HubRepo(
        repo=options.base,
        revision=options.base_revision,
        patterns=(*networks, *configs),
        size=_SIZES.get(options.base, 0),
    )


def _needed(checkpoint: DepthCrafterCheckpoint, options: DepthCrafterWeightsOptions) -> Iterator[tuple[Path, str, str]]:
    """Yield folders, the names of their checkpoints, and a required file of each."""
    for part, name in (("unet", options.unet), *((part, options.base) for part in _NETWORKS)):
        yield checkpoint.folder(part), name, "config.json"
        yield checkpoint.folder(part), name, "*.safetensors"
    for part, file in _CONFIGS.items():
        yield checkpoint.folder(part), options.base, file
