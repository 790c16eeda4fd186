"""Locate the weights on this machine, in the layout of diffusers or of the original release."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import attrs

from ex4d_core.bounds import shown
from ex4d_core.errors import InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.files import blob_name
from ex4d_core.hub import HubRepo, fetch_command, resolve_weights, shards
from ex4d_core.hub.untrusted_weights import read_config
from ex4d_core.options import option
from ex4d_core.reading import check_file, check_folder, reading

CheckpointLayout = Literal["diffusers", "original"]
Part = Literal["transformer", "vae", "text_encoder", "image_encoder"]

PARTS: tuple[Part, ...] = ("transformer", "vae", "text_encoder", "image_encoder")

ORIGINAL_FILES: Mapping[Part, str] = {
    "transformer": "diffusion_pytorch_model*.safetensors",
    "vae": "Wan2.1_VAE.*",
    "text_encoder": "models_t5_*.*",
    "image_encoder": "models_clip_*.*",
}
"""Name patterns of the files in the original layout."""

_TENSORS = (".safetensors", ".pth", ".pt", ".ckpt")
_TOKENIZERS: Mapping[CheckpointLayout, str] = {"diffusers": "tokenizer", "original": "google/umt5-xxl"}
# Not by name of the network, because text-to-video models have no image encoder.
_HUB_PATTERNS = ("*/*.json", "*/*.safetensors", "tokenizer/*")
_ADAPTER_PATTERN = "ex4d.*"
_NAMES = ("model", "model_revision", "adapter", "adapter_revision")

_SAMPLE = 1 << 16
_SAMPLES = 256


@attrs.frozen(kw_only=True)
class Lora:
    """A LoRA file for the transformer."""

    path: Path
    weight: float = 1.0
    """Scale; 1 as trained."""


@attrs.frozen(kw_only=True)
class WanCheckpoint:
    """The files of Wan, of the EX-4D adapter and of other LoRAs."""

    folder: Path
    layout: CheckpointLayout
    files: Mapping[Part, tuple[Path, ...]]
    """By network; several for shards. A text-to-video model has no image encoder."""
    adapter: Path | None = None
    """EX-4D's LoRA and camera encoder in one file, or None."""
    loras: tuple[Lora, ...] = ()

    def config(self, part: Part) -> dict[str, Any]:
        """Read the configuration of a network: complete in diffusers' layout, a few entries in the original one.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: the file is damaged.
        """
        if self.layout == "diffusers":
            return _config(self.folder / part / "config.json")
        path = self.folder / "config.json"
        config = _config(path) if path.is_file() else {}
        config = config if part == "transformer" else config.get(_ORIGINAL_CONFIGS[part], {})
        if not isinstance(config, dict):
            raise InvalidInput(f"{path} has an invalid entry for the {part}; download it again")
        return config

    @property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer."""
        return self.folder / _TOKENIZERS[self.layout]

    @property
    def image_processor(self) -> Path:
        """File of the preprocessing for the image encoder; it may not exist."""
        return self.folder / "image_processor" / "preprocessor_config.json"

    def fingerprint(self) -> str:
        """Return a hash of the weights, which does not depend on their location.

        Raises:
            InvalidInput: a file cannot be read.
        """
        with reading(self.folder, "folder of weights"):
            return self._fingerprint()

    def _fingerprint(self) -> str:
        configs = [self.folder / "config.json", *self.folder.glob("*/*.json"), *self.tokenizer.glob("*.json")]
        files = [
            *sorted({path for path in configs if path.is_file()}),
            *(f for p in PARTS for f in self.files.get(p, ())),
        ]
        stacked = [f"{lora.weight:g}*{_identity(lora.path)}" for lora in self.loras]
        adapter = _identity(self.adapter) if self.adapter else "none"
        whole = "\n".join([self.layout, *map(_identity, files), adapter, *stacked])
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()


_ORIGINAL_CONFIGS: Mapping[Part, str] = {"vae": "vae", "text_encoder": "t5", "image_encoder": "clip"}
"""Keys in config.json of the original layout for sizes that cannot be derived from shapes of tensors."""


@attrs.frozen
class WanWeightsOptions:
    """Options that choose the weights."""

    model: str = option(
        "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
        help="Wan: OWNER/NAME on the Hugging Face hub, or a folder in the layout of diffusers or the original.",
        affects_output=False,  # the fingerprint does
    )
    model_revision: str = option(
        "main", help="Commit, tag or branch of Wan on the hub; ignored for a folder.", affects_output=False
    )
    adapter: str = option(
        "yihouxiang/EX-4D",
        help="EX-4D's LoRA and camera encoder: a file (.ckpt, .pth, .safetensors), OWNER/NAME on the hub, or none.",
        affects_output=False,
    )
    adapter_revision: str = option(
        "main", help="Commit, tag or branch of the adapter on the hub; ignored for a file.", affects_output=False
    )
    loras: str = option("", help="Further LoRAs with scales: style.safetensors:0.8,few_steps.safetensors:1.")

    def fingerprint(self) -> str:
        """Return a hash of the weights: blob names in the cache of the hub, or hashes of the files.

        Raises:
            InputNotFound: the weights are not on this machine.
        """
        return locate(self).fingerprint()


def hub_files(options: WanWeightsOptions) -> list[HubRepo]:
    """Return the required files on the hub: Wan in diffusers' layout, and the EX-4D adapter unless it is a local file.

    Raises:
        InputNotFound: the file of the adapter does not exist.
        InvalidInput: it is not a regular file, or cannot be read.
    """
    adapter = HubRepo(repo=options.adapter, revision=options.adapter_revision, patterns=(_ADAPTER_PATTERN,))
    return [_model(options)] if _adapter_file(options) or options.adapter == "none" else [_model(options), adapter]


def locate(options: WanWeightsOptions) -> WanCheckpoint:
    """Return the files selected by the options, on this machine.

    Raises:
        InputNotFound: a folder is not a checkpoint, a file does not exist, or the weights are not in
            the cache of the hub; the message has the command.
        InvalidInput: a folder or a file cannot be read.
        InvalidConfig: the list of LoRAs is malformed.
    """
    fetch = fetch_command("wan", options, role="backbone", of=_NAMES)
    loras = parse_loras(options.loras)
    folder = resolve_weights(_model(options), fetch=fetch)
    adapter = _locate_adapter(options, fetch)
    check_folder(folder, "folder of weights")
    with reading(folder, "folder of weights"):
        checkpoint = _checkpoint(folder, adapter, loras)
        for part in _required(checkpoint):
            if part not in checkpoint.files:
                layout = checkpoint.layout
                raise InputNotFound(
                    f"{folder} has no {_pattern(layout, part)}, so it is not a Wan in the {layout} layout; check the "
                    f"folder, or run: {fetch}"
                )
        return checkpoint


def _checkpoint(folder: Path, adapter: Path | None, loras: tuple[Lora, ...]) -> WanCheckpoint:
    layout: CheckpointLayout = "diffusers" if (folder / "transformer").is_dir() else "original"
    files = {part: found for part in PARTS if (found := _files(folder, layout, part))}
    return WanCheckpoint(folder=folder, layout=layout, files=files, adapter=adapter, loras=loras)


def parse_loras(text: str) -> tuple[Lora, ...]:
    """Parse a list of LoRAs such as `style.safetensors:0.8,few_steps.safetensors`; the default scale is 1.

    A file that exists is taken by its name, also if it contains commas, colons or spaces.

    Raises:
        InvalidConfig: a path is empty or a weight is not a number.
        InputNotFound: a file does not exist.
        InvalidInput: it is not a regular file, or cannot be read.
    """
    pieces, loras = text.split(","), []
    while pieces:
        # A comma can be part of a name: the longest entry that is a file is used.
        counts = range(len(pieces), 1, -1)
        count = next((count for count in counts if _file_and_weight(_joined(pieces[:count]))), 1)
        entry, pieces = _joined(pieces[:count]), pieces[count:]
        if entry:
            loras.append(_lora(entry))
    return tuple(loras)


def _joined(pieces: Iterable[str]) -> str:
    return ",".join(pieces).strip()


def _lora(entry: str) -> Lora:
    if found := _file_and_weight(entry):
        path, weight = found
    else:
        path, weight = _split(entry)
    if not path or not _is_number(weight):
        raise InvalidConfig(f"backbone.loras must be FILE:WEIGHT, separated by commas, not {shown(entry)}")
    return Lora(path=_users_file(path, "LoRA", "loras"), weight=float(weight))


def _file_and_weight(entry: str) -> tuple[str, str] | None:
    """Split an entry that is an existing file, with or without a weight; a colon can be part of its name."""
    tries = ((entry, "1"), _split(entry))
    exists = ((path, weight) for path, weight in tries if os.path.exists(os.path.expanduser(path)))
    return next((found for found in exists if _is_number(found[1])), None)


def _split(entry: str) -> tuple[str, str]:
    path, colon, weight = entry.rpartition(":")
    # The colon of C:\style.safetensors is part of the path.
    return (path, weight) if colon and not weight.endswith(_TENSORS) else (entry, "1")


def _users_file(text: str, what: str, option: str) -> Path:
    try:
        path = Path(text).expanduser()
        check_file(path, what)
    except (InputNotFound, RuntimeError) as error:  # ~ of a user that does not exist
        raise InputNotFound(f"the {what} {text} does not exist; check backbone.{option}") from error
    return path


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False


def _model(options: WanWeightsOptions) -> HubRepo:
    return HubRepo(repo=options.model, revision=options.model_revision, patterns=_HUB_PATTERNS)


def _adapter_file(options: WanWeightsOptions) -> Path | None:
    """Return the file of the adapter, or None if it is a name on the hub."""
    # A path can look like OWNER/NAME.
    if Path(options.adapter).suffix in _TENSORS or os.path.isfile(os.path.expanduser(options.adapter)):
        return _users_file(options.adapter, "adapter", "adapter")
    return None


def _locate_adapter(options: WanWeightsOptions, fetch: str) -> Path | None:
    if options.adapter == "none":
        return None
    if file := _adapter_file(options):
        return file
    *_, wanted = hub_files(options)
    folder = resolve_weights(wanted, fetch=fetch)
    found = [path for path in sorted(folder.glob(_ADAPTER_PATTERN)) if path.suffix in _TENSORS]
    if not found:
        raise InputNotFound(f"{folder} has no ex4d.ckpt or ex4d.safetensors; specify the file, or run: {fetch}")
    return found[0]


def _files(folder: Path, layout: CheckpointLayout, part: Part) -> tuple[Path, ...]:
    """Return the files of a network: those listed in an index, else all that match its pattern."""
    within = folder / part if layout == "diffusers" else folder
    # In the original layout only the transformer has shards and an index.
    for index in sorted(within.glob("*.index.json")) if layout == "diffusers" or part == "transformer" else ():
        named = shards(index)
        if missing := [name for name in named if not (within / name).exists()]:
            raise InputNotFound(f"{within} lacks {', '.join(missing)}, listed in {index.name}; download them again")
        return _regular(within / name for name in named)
    pattern = "*.safetensors" if layout == "diffusers" else ORIGINAL_FILES[part]
    return _regular(path for path in sorted(within.glob(pattern)) if path.suffix in _TENSORS)


def _regular(paths: Iterable[Path]) -> tuple[Path, ...]:
    found = tuple(paths)
    for path in found:
        check_file(path, "file of weights")
    return found


def _required(checkpoint: WanCheckpoint) -> Iterator[Part]:
    yield from ("transformer", "vae", "text_encoder")
    if "transformer" in checkpoint.files:
        config = checkpoint.config("transformer")
        states_type = checkpoint.layout == "diffusers" or "model_type" in config
        has_images = config.get("image_dim") is not None or config.get("model_type", "t2v") != "t2v"
        if has_images or not states_type:
            yield "image_encoder"


def _pattern(layout: CheckpointLayout, part: Part) -> str:
    return f"{part}/*.safetensors" if layout == "diffusers" else ORIGINAL_FILES[part]


def _config(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputNotFound(f"{path.parent} has no {path.name}; check which model it contains")
    return read_config(path)


def _identity(path: Path) -> str:
    """Return the name and a content hash of a file; files in the hub's cache are named by theirs."""
    if blob := blob_name(path):
        return f"{path.name}={blob}"
    state = path.stat()
    return f"{path.name}={_sampled(path, state.st_size, state.st_mtime_ns)}"


@cache
def _sampled(path: Path, size: int, modified: int) -> str:
    """Hash the size of a file and samples of its content, because reading a hundred gigabytes takes minutes.

    Files up to 16 MiB are hashed entirely. Training changes all tensors, and names and shapes are at the beginning.
    """
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    step = max(_SAMPLE, size // _SAMPLES)
    with path.open("rb") as file:
        for start in range(0, size, step):
            file.seek(start)
            digest.update(file.read(_SAMPLE))
        file.seek(max(0, size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
