"""Locate the weights on this machine, in the layout of diffusers or of the original release."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs

from ex4d_backbone_wan.weights.user_files import TENSOR_SUFFIXES, Lora, changed_loras, parse_loras, users_file
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.hub import HubRepo, fetch_command, file_identities, resolve_weights, shards
from ex4d_core.hub.untrusted_weights import read_config
from ex4d_core.options import option
from ex4d_core.reading import check_file, check_folder, reading

CheckpointLayout = Literal["diffusers", "original"]
Part = Literal["transformer", "vae", "text_encoder", "image_encoder"]
Kind = Literal["wan", "vace"]
"""Kinds of transformers, by the names of their backbones."""

PARTS: tuple[Part, ...] = ("transformer", "vae", "text_encoder", "image_encoder")

ORIGINAL_FILES: Mapping[Part, str] = {
    "transformer": "diffusion_pytorch_model*.safetensors",
    "vae": "Wan2.1_VAE.*",
    "text_encoder": "models_t5_*.*",
    "image_encoder": "models_clip_*.*",
}
"""Name patterns of the files in the original layout."""

_MODELS = (*TENSOR_SUFFIXES, ".gguf")
_TOKENIZERS: Mapping[CheckpointLayout, str] = {"diffusers": "tokenizer", "original": "google/umt5-xxl"}
# Not by name of the network, because text-to-video models have no image encoder.
_HUB_PATTERNS = ("*/*.json", "*/*.safetensors", "tokenizer/*")
_ADAPTER_PATTERN = "ex4d.*"
_PARTS_PATTERNS = ("vae/*", "text_encoder/*", "image_encoder/*", "image_processor/*", "tokenizer/*")
_NAMES = ("model", "model_revision", "parts")
_ADAPTER_NAMES = ("adapter", "adapter_revision")
_TURBO_NAMES = ("speed", "turbo_lora", "turbo_revision")
_HUB_MODEL = "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers"


@attrs.frozen(kw_only=True)
class WanCheckpoint:
    """The files of Wan, of the EX-4D adapter and of other LoRAs."""

    folder: Path
    layout: CheckpointLayout
    files: Mapping[Part, tuple[Path, ...]]
    """By network; several for shards. A text-to-video model has no image encoder."""
    adapter: Path | None = None
    """EX-4D's LoRA and camera encoder in one file, or None."""
    distilled: Lora | None = None
    """For few steps; merged before the adapter."""
    is_single: bool = False
    """Whether the transformer is one file with original names, and only the other networks are in the folder."""
    loras: tuple[Lora, ...] = ()
    kind: Kind = "wan"

    def config(self, part: Part) -> dict[str, Any]:
        """Read the configuration of a network: complete in diffusers' layout, a few entries in the original one.

        Raises:
            InputNotFound: the file does not exist.
            InvalidInput: the file is damaged.
        """
        if part == "transformer" and self.is_single:
            return _sizes_of_heads(self.folder / "transformer" / "config.json")
        if self.layout == "diffusers":
            return _config(self.folder / part / "config.json")
        path = self.folder / "config.json"
        config = _config(path) if path.is_file() else {}
        config = config if part == "transformer" else config.get(_ORIGINAL_CONFIGS[part], {})
        if not isinstance(config, dict):
            raise InvalidInput(f"{path} has an invalid entry for the {part}; download it again")
        return config

    def layout_of(self, part: Part) -> CheckpointLayout:
        """Return the layout of a network."""
        return "original" if part == "transformer" and self.is_single else self.layout

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
        loras = (*self.loras, *((self.distilled,) if self.distilled else ()))
        adapter = (self.adapter,) if self.adapter else ()
        files += [*adapter, *(lora.path for lora in loras)]
        named = [f"{path.name}={identity}" for path, identity in zip(files, file_identities(files), strict=True)]
        scales = [f"{lora.weight:g}" for lora in loras]
        whole = "\n".join([self.layout, *named, *scales, "adapter" if adapter else "none"])
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()


_ORIGINAL_CONFIGS: Mapping[Part, str] = {"vae": "vae", "text_encoder": "t5", "image_encoder": "clip"}
"""Keys in config.json of the original layout for sizes that cannot be derived from shapes of tensors."""


_SIZES: Mapping[str, int] = {
    "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers": 90_000_000_000,
    "Wan-AI/Wan2.1-VACE-1.3B-diffusers": 32_000_000_000,
    "Wan-AI/Wan2.1-VACE-14B-diffusers": 93_000_000_000,
    "yihouxiang/EX-4D": 400_000_000,
}
"""Approximate sizes on the hub: 4 bytes for each of 16.4 (VACE: 2.1 and 17.3) + 5.7 billion parameters, and the small
networks; of the adapter, 100 million."""


@attrs.frozen
class DistilledLora:
    """A LoRA for few steps, as users name it."""

    source: str
    """A file, or OWNER/NAME/FILE on the hub."""
    revision: str = attrs.field(kw_only=True)
    weight: float = attrs.field(kw_only=True)

    @property
    def on_hub(self) -> HubRepo | None:
        """The file on the hub, or None for a local file."""
        *names, file = self.source.split("/", 2)
        is_local = len(names) < 2 or not all(names) or os.path.exists(os.path.expanduser(self.source))
        return None if is_local else HubRepo(repo="/".join(names), revision=self.revision, patterns=(file,))


@attrs.frozen
class ModelOptions:
    """Options that choose the weights of a model of the Wan family."""

    kind: ClassVar[Kind] = "wan"

    model: str = option(
        _HUB_MODEL,
        help="Wan: OWNER/NAME on the Hugging Face hub, a folder in the layout of diffusers or the original, or the "
        "transformer as one file (.safetensors in bf16 or fp8, .gguf).",
        affects_output=False,  # the fingerprint does
        path=True,
    )
    model_revision: str = option(
        "main", help="Commit, tag or branch of Wan on the hub; ignored for a folder.", affects_output=False
    )
    parts: str = option(
        _HUB_MODEL,
        help="If model is one file: the other networks, OWNER/NAME on the hub or a folder.",
        affects_output=False,
        path=True,
    )
    loras: str = option(
        "",
        help="Further LoRAs with scales: style.safetensors:0.8,few_steps.safetensors:1.",
        affects_output=False,
        path=changed_loras,
    )

    @property
    def distilled(self) -> DistilledLora | None:
        """The LoRA for few steps, if it is used."""
        return None

    def fingerprint(self) -> str:
        """Return a hash of the weights: blob names in the cache of the hub, or hashes of the files.

        Raises:
            InputNotFound: the weights are not on this machine.
        """
        return locate(self).fingerprint()


@attrs.frozen(slots=False)  # so that it can be a second base
class AdapterOptions:
    """Options that choose the EX-4D adapter."""

    adapter: str = option(
        "yihouxiang/EX-4D",
        help="EX-4D's LoRA and camera encoder: a file (.ckpt, .pth, .safetensors), OWNER/NAME on the hub, or none.",
        affects_output=False,
        path=True,
    )
    adapter_revision: str = option(
        "main", help="Commit, tag or branch of the adapter on the hub; ignored for a file.", affects_output=False
    )


def hub_files(options: ModelOptions) -> list[HubRepo]:
    """Return the required files on the hub: the model in diffusers' layout, its adapter and the LoRA for few steps.

    Raises:
        InputNotFound: the file of the model or the adapter does not exist.
        InvalidInput: it is not a regular file, or cannot be read.
    """
    distilled = options.distilled.on_hub if options.distilled else None
    return [_model(options), *_adapter_on_hub(options), *([distilled] if distilled else [])]


def locate(options: ModelOptions) -> WanCheckpoint:
    """Return the files selected by the options, on this machine.

    Raises:
        InputNotFound: a folder is not a checkpoint, a file does not exist, or the weights are not in
            the cache of the hub; the message has the command.
        InvalidInput: a folder or a file cannot be read.
        InvalidConfig: the list of LoRAs is malformed.
    """
    adapters = _ADAPTER_NAMES if isinstance(options, AdapterOptions) else ()
    names = (*_NAMES, *adapters, *(_TURBO_NAMES if options.distilled else ()))
    fetch = fetch_command(options.kind, options, role="backbone", of=names)
    loras = parse_loras(options.loras)
    folder = resolve_weights(_model(options), fetch=fetch)
    adapter = _locate_adapter(options, fetch)
    check_folder(folder, "folder of weights")
    with reading(folder, "folder of weights"):
        checkpoint = _checkpoint(folder, adapter, loras, file=_model_file(options))
        checkpoint = attrs.evolve(checkpoint, distilled=_locate_distilled(options, fetch), kind=options.kind)
        for part in _required(checkpoint):
            if part not in checkpoint.files:
                layout = checkpoint.layout
                raise InputNotFound(
                    f"{folder} has no {_pattern(layout, part)}, so it is not a Wan in the {layout} layout; check the "
                    f"folder, or run: {fetch}"
                )
        return checkpoint


def _checkpoint(folder: Path, adapter: Path | None, loras: tuple[Lora, ...], *, file: Path | None) -> WanCheckpoint:
    if file is not None:
        layout: CheckpointLayout = "diffusers" if (folder / "vae").is_dir() else "original"
        others = {part: found for part in PARTS[1:] if (found := _files(folder, layout, part))}
        files = {"transformer": (file,), **others}
        return WanCheckpoint(folder=folder, layout=layout, files=files, adapter=adapter, loras=loras, is_single=True)
    layout = "diffusers" if (folder / "transformer").is_dir() else "original"
    files = {part: found for part in PARTS if (found := _files(folder, layout, part))}
    return WanCheckpoint(folder=folder, layout=layout, files=files, adapter=adapter, loras=loras)


def _model(options: ModelOptions) -> HubRepo:
    if _model_file(options):
        return HubRepo(repo=options.parts, revision=options.model_revision, patterns=_PARTS_PATTERNS)
    return HubRepo(
        repo=options.model, revision=options.model_revision, patterns=_HUB_PATTERNS, size=_SIZES.get(options.model, 0)
    )


def _model_file(options: ModelOptions) -> Path | None:
    """Return the file of the transformer, or None if the model is a folder or a name on the hub."""
    is_file = os.path.isfile(os.path.expanduser(options.model))
    is_named_so = Path(options.model).suffix in _MODELS and not os.path.isdir(os.path.expanduser(options.model))
    return users_file(options.model, "model", "model") if is_file or is_named_so else None


def _adapter_on_hub(options: ModelOptions) -> list[HubRepo]:
    if not isinstance(options, AdapterOptions) or options.adapter == "none" or _adapter_file(options):
        return []
    size = _SIZES.get(options.adapter, 0)
    return [HubRepo(repo=options.adapter, revision=options.adapter_revision, patterns=(_ADAPTER_PATTERN,), size=size)]


def _adapter_file(options: AdapterOptions) -> Path | None:
    """Return the file of the adapter, or None if it is a name on the hub."""
    # A path can look like OWNER/NAME.
    if Path(options.adapter).suffix in TENSOR_SUFFIXES or os.path.isfile(os.path.expanduser(options.adapter)):
        return users_file(options.adapter, "adapter", "adapter")
    return None


def _locate_adapter(options: ModelOptions, fetch: str) -> Path | None:
    if not isinstance(options, AdapterOptions) or options.adapter == "none":
        return None
    if file := _adapter_file(options):
        return file
    (wanted,) = _adapter_on_hub(options)
    folder = resolve_weights(wanted, fetch=fetch)
    found = [path for path in sorted(folder.glob(_ADAPTER_PATTERN)) if path.suffix in TENSOR_SUFFIXES]
    if not found:
        raise InputNotFound(f"{folder} has no ex4d.ckpt or ex4d.safetensors; specify the file, or run: {fetch}")
    return found[0]


def _locate_distilled(options: ModelOptions, fetch: str) -> Lora | None:
    wanted = options.distilled
    if wanted is None:
        return None
    if wanted.on_hub is None:
        return Lora(path=users_file(wanted.source, "LoRA", "turbo_lora"), weight=wanted.weight)
    (file,) = wanted.on_hub.patterns
    return Lora(path=resolve_weights(wanted.on_hub, fetch=fetch) / file, weight=wanted.weight)


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
    return _regular(path for path in sorted(within.glob(pattern)) if path.suffix in TENSOR_SUFFIXES)


def _regular(paths: Iterable[Path]) -> tuple[Path, ...]:
    found = tuple(paths)
    for path in found:
        check_file(path, "file of weights")
    return found


def _required(checkpoint: WanCheckpoint) -> Iterator[Part]:
    yield from ("transformer", "vae", "text_encoder")
    if "transformer" in checkpoint.files and not checkpoint.is_single:
        config = checkpoint.config("transformer")
        states_type = checkpoint.layout == "diffusers" or "model_type" in config
        has_images = config.get("image_dim") is not None or config.get("model_type", "t2v") not in ("t2v", "vace")
        if checkpoint.kind == "wan" and (has_images or not states_type):
            yield "image_encoder"


def _pattern(layout: CheckpointLayout, part: Part) -> str:
    return f"{part}/*.safetensors" if layout == "diffusers" else ORIGINAL_FILES[part]


def _sizes_of_heads(path: Path) -> dict[str, Any]:
    config = read_config(path) if path.is_file() else {}
    return {"head_dim": config["attention_head_dim"]} if "attention_head_dim" in config else {}


def _config(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputNotFound(f"{path.parent} has no {path.name}; check which model it contains")
    return read_config(path)
