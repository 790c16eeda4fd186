"""Where the weights are on this machine. Nothing is downloaded and nothing heavy is imported here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import attrs

from ex4d_core.errors import InputNotFound
from ex4d_core.files import files_hash
from ex4d_depth_depthcrafter.options import DepthCrafterOptions

BASE_PARTS = ("image_encoder", "vae", "feature_extractor", "scheduler")
"""Subfolders of Stable Video Diffusion that are used; its own UNet is not."""

_NETWORKS = ("image_encoder", "vae")
_CONFIGS = {"feature_extractor": "preprocessor_config.json", "scheduler": "scheduler_config.json"}
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_HALF = ".fp16."
_FULL_WEIGHTS = "diffusion_pytorch_model.safetensors"


@attrs.frozen(kw_only=True)
class Checkpoint:
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
        return " ".join(_identity(self.folder(part)) for part in ("unet", *BASE_PARTS))


def locate(options: DepthCrafterOptions) -> Checkpoint:
    """Return the folders that the options name, on this machine.

    Raises:
        InputNotFound: a folder is no checkpoint, or the hub's cache does not have it; the message has the command.
    """
    unet = _place(options.unet, options.unet_revision)
    base = _place(options.base, options.base_revision)
    if unet is None or base is None:
        missing = [(options.unet, _download_unet(options))] * (unet is None)
        missing += [(options.base, _download_base(options))] * (base is None)
        names, commands = zip(*missing, strict=True)
        raise InputNotFound(
            f"the weights {' and '.join(names)} are not on this machine, neither as a folder nor in the hub's cache; "
            f"type: {' && '.join(commands)}"
        )
    for folder, name, need in _needed(unet, base, options):
        if not any(folder.glob(need)):
            raise InputNotFound(
                f"{folder} has no {need}, so it is no part of the checkpoint {name}; {_mend(options, name)}"
            )
    return Checkpoint(unet=unet, base=base)


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


def _needed(unet: Path, base: Path, options: DepthCrafterOptions) -> Iterator[tuple[Path, str, str]]:
    """Yield folders, the names of what they are part of, and a file that each must have."""
    for folder, name in ((unet, options.unet), *((base / part, options.base) for part in _NETWORKS)):
        yield folder, name, "config.json"
        yield folder, name, "*.safetensors"
    for part, file in _CONFIGS.items():
        yield base / part, options.base, file


def _place(name: str, revision: str) -> Path | None:
    """Return the folder of a name, in the hub's cache where it is not one itself, or None where neither has it."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_NAME.fullmatch(name) or "--" in name or ".." in name:  # the hub allows neither in a name
        raise InputNotFound(
            f"there is no folder {name}; give a folder with weights, or OWNER/NAME of weights on the hub"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _mend(options: DepthCrafterOptions, name: str) -> str:
    """Return what to do about a checkpoint that lacks a file."""
    if Path(name).expanduser().is_dir():
        return "check the folder that was given"
    return f"type: {_download_unet(options) if name == options.unet else _download_base(options)}"


def _download_unet(options: DepthCrafterOptions) -> str:
    return f"hf download {options.unet} --revision {options.unet_revision} config.json {_FULL_WEIGHTS}"


def _download_base(options: DepthCrafterOptions) -> str:
    # The hub has each network twice; the half that is enough for 16 bits is widened where 32 are asked for.
    patterns = ("*/*.json", "image_encoder/*.fp16.safetensors", "vae/*.fp16.safetensors")
    included = " ".join(f"--include '{pattern}'" for pattern in patterns)
    return f"hf download {options.base} --revision {options.base_revision} {included}"


def _identity(folder: Path) -> str:
    """Return a hash of a folder's files; the hub's cache has them in the names that its links lead to."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors"))
    if all(file.is_symlink() for file in files):
        return "+".join(file.resolve().name for file in files)
    return _hashed(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@cache
def _hashed(files: tuple[tuple[Path, int, int], ...]) -> str:
    # Gigabytes: read once for each state of the files.
    return files_hash(file for file, _, _ in files)
