"""Load untrusted weights: restrict the files that a library sees and how it may load them.

A library that loads a checkpoint may run code in its folder, unpickle objects, download files named in a configuration,
and ask for confirmation on standard input. This module shows it only configurations and tensors, checked and without
such names, disables the hub, and empties standard input. A component that loads a folder of weights does:

    with only_weights(folder, ("config.json", "*.safetensors*"), what="DPT") as clean:
        model = DPTForDepthEstimation.from_pretrained(clean, local_files_only=True, use_safetensors=True)
"""

from __future__ import annotations

import atexit
import inspect
import io
import json
import logging
import math
import os
import re
import shutil
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ex4d_core.errors import Ex4dError, InvalidInput, PluginFailed, of_the_machine
from ex4d_core.hub.local import huggingface_hub, shards
from ex4d_core.reading import check_file, check_folder, read_json, reading

MOST_CONFIG = 16 * 2**20
"""Largest accepted configuration in bytes; those of tokenizers list all tokens."""

_MOST_NUMBER = 2**20
"""Largest accepted number in a configuration; vocabularies are smaller."""

_MOST_LAYERS = 1000
"""Largest accepted number of layers, which are created whether weights for them exist or not."""

_LAYERS = re.compile(r"layers|blocks|depths")
_SIZES = re.compile(r"size$|_dim$|channels|^num_|_heads")

_DROPPED = frozenset(
    {
        *("auto_map", "custom_pipelines", "custom_generate"),  # code
        *("_name_or_path", "name_or_path", "use_pretrained_backbone", "base_model_name_or_path"),  # other weights
        *("quantization_config", "compression_config", "transformers_weights", "fusion_config", "distributed_config"),
        *("attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation"),
        *("_experts_implementation", "_experts_implementation_internal", "use_kernels", "kernel_config"),
    }
)
"""Entries of a configuration that refer to code, kernels, or weights outside the folder."""

_TALKERS = ("accelerate", "diffusers", "huggingface_hub", "peft", "transformers")
"""Libraries whose log messages repeat texts of a checkpoint; problems are raised as errors."""


@contextmanager
def only_weights(folder: Path, patterns: Iterable[str], *, what: str) -> Iterator[Path]:
    """Create a temporary folder with selected files of another, from which a library can load a model.

    Configurations are checked and rewritten; tensors are links, so that nothing is copied. The restrictions of
    `loading` apply within the block.

    Args:
        folder: with weights.
        patterns: files that the library may see, such as `*.safetensors`.
        what: the model, for messages, such as "CLIP".

    Raises:
        InputNotFound: the folder does not exist.
        InvalidInput: a file cannot be read or has invalid content, or the library raises an error.
    """
    files = check_files(folder, patterns)
    with tempfile.TemporaryDirectory(prefix="ex4d-weights-") as name:
        clean = Path(name)
        for path in files:
            _show(path, clean / path.name)
        with loading(folder, what, seen=clean):
            yield clean


def check_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of a folder that match a pattern; each must be a readable regular file.

    Raises:
        InputNotFound: the folder does not exist, or a link in it is broken.
        InvalidInput: it cannot be listed, or one of the files is a pipe or a device, or cannot be read.
    """
    patterns = tuple(patterns)
    check_folder(folder, "folder of weights")
    with reading(folder, "folder of weights"):
        inside = sorted(folder.iterdir())
    files = [path for path in inside if any(fnmatchcase(path.name, pattern) for pattern in patterns)]
    for path in files:
        check_file(path, "file of weights")
    return files


@contextmanager
def loading(place: Path, what: str, *, seen: Path | None = None) -> Iterator[None]:
    """Load an untrusted model within the block: without a hub or questions, and with one type of error.

    A library may raise any error for a crafted file; the original is chained, and shown by `EX4D_TRACE=1`.

    Args:
        place: the folder or file, for messages.
        what: the model, such as "tokenizer".
        seen: the folder that the library reads instead.

    Raises:
        InvalidInput: the library raises an error.
    """
    try:
        with one_at_a_time(), loading_offline():
            yield
    except Ex4dError:
        raise
    except Exception as error:
        if of_the_machine(error):  # such as too little memory
            raise
        text = str(error) if seen is None else str(error).replace(str(seen), str(place))
        reason = textwrap.shorten(f"{type(error).__name__}: {text}", 300, placeholder=" ...")
        raise InvalidInput(
            f"{place} cannot be loaded as a {what}: {reason}; check which model it contains, or download it again"
        ) from error


_ONE_AT_A_TIME = threading.RLock()
atexit.register(_ONE_AT_A_TIME.acquire, timeout=30)  # ending while a thread initializes a library may crash


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Exclude other threads that import libraries of models or create networks.

    Imports of modules that import each other can fail in two threads, and creating a network without memory for its
    weights changes classes of torch meanwhile. Components are imported, and untrusted weights loaded, in such a block.
    """
    with _ONE_AT_A_TIME:
        yield


class _Limits:
    """Number of active blocks of `loading_offline`, and callbacks that undo its changes after the last."""

    lock = threading.Lock()
    blocks = 0
    undo = ExitStack()


@contextmanager
def loading_offline() -> Iterator[None]:
    """Disable the hub, standard input, log messages and progress bars of libraries within the block, in all threads."""
    with _Limits.lock:
        _Limits.blocks += 1
        if _Limits.blocks == 1:
            _limit(_Limits.undo)
    try:
        yield
    finally:
        with _Limits.lock:
            _Limits.blocks -= 1
            if _Limits.blocks == 0:
                _Limits.undo.close()


def _limit(undo: ExitStack) -> None:
    def put(owner: Any, name: str, value: object) -> None:
        undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)

    put(sys, "stdin", io.StringIO())
    for name in _TALKERS:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL)
        _hide_progress_bar(sys.modules.get(f"{name}.utils.logging"), undo)
    try:
        put(huggingface_hub().constants, "HF_HUB_OFFLINE", True)  # the client checks it before each request
    except PluginFailed:  # without the client, the hub cannot be reached
        return


def _hide_progress_bar(library: Any, undo: ExitStack) -> None:
    """Turn off the progress bar of diffusers or transformers, if it is imported and has one."""
    if getattr(library, "is_progress_bar_enabled", bool)():
        library.disable_progress_bar()
        undo.callback(library.enable_progress_bar)


def read_config(path: Path) -> dict[str, Any]:
    """Read the configuration of a network, without entries that refer to code or other weights.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: it is not a JSON object, a number in it is out of range, or it refers to another repository for a
            part of the network.
    """
    config = _object(path)
    if odd := next(_odd(config, ""), ""):
        raise InvalidInput(f"the configuration {path} is invalid: {odd}; download it again")
    return config


def _object(path: Path) -> dict[str, Any]:
    config = read_json(path, "configuration", most=MOST_CONFIG)
    if not isinstance(config, dict):
        raise InvalidInput(f"the configuration {path} is not a JSON object; download it again")
    cleaned: dict[str, Any] = _without_names(config)
    return cleaned


def _without_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_names(inner) for key, inner in value.items() if key not in _DROPPED}
    return [_without_names(inner) for inner in value] if isinstance(value, list) else value


def _odd(value: Any, name: str) -> Iterator[str]:
    """Yield the invalid entries of a configuration, as sentences."""
    if isinstance(value, dict):
        if value.get("backbone") is not None and value.get("backbone_config") is None:
            yield f"its backbone is in another repository, {ascii(value['backbone'])[:80]}"
        for key, inner in value.items():
            yield from _odd(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _odd(inner, name)
    elif isinstance(value, int) and not _least(name) <= value <= _most(name):
        yield f"{ascii(name)[:80]} is {value if abs(value) < 10**30 else 'a very large number'}"


def _least(name: str) -> int:
    return 0 if _SIZES.search(name) else -_MOST_NUMBER


def _most(name: str) -> int:
    return _MOST_LAYERS if _LAYERS.search(name) else _MOST_NUMBER


def numbers(
    config: Mapping[str, Any], key: str, count: int, default: Sequence[float] = (), *, where: Path
) -> tuple[float, ...]:
    """Read a list of finite numbers from a configuration.

    Args:
        config: the configuration.
        key: of the entry.
        count: of the numbers.
        default: for a missing entry; if empty, the entry is required.
        where: the file, for messages.

    Raises:
        InvalidInput: the entry is missing or is not such a list.
    """
    values = config.get(key)
    values = list(default) if values is None else values
    if not isinstance(values, list) or len(values) != count or not all(_is_number(value) for value in values):
        raise InvalidInput(f"{where} gives {key} as {ascii(values)[:80]}, which is not {count} numbers")
    return tuple(float(value) for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30 and math.isfinite(value)


def check_kinds(config: Mapping[str, Any], cls: type) -> None:
    """Refuse entries whose type differs from that of the class's default, such as a string for a number.

    Classes of diffusers accept any value and fail later, when it is used.

    Raises:
        ValueError: an entry is of another type.
    """
    for name, parameter in inspect.signature(cls).parameters.items():
        value, default = config.get(name), parameter.default
        if value is None or not isinstance(default, str | int | float | list | tuple):
            continue
        number = (int, float) if isinstance(default, float) else (int, float, list, tuple)
        if not isinstance(value, str if isinstance(default, str) else number):
            raise ValueError(f"{name} is {ascii(value)[:80]}")


def check_parameters(make: Callable[[], Any], files: Iterable[Path], *, where: Path) -> None:
    """Refuse a configuration of a network that is much larger than its weights, because a library allocates all of it.

    Args:
        make: creates the network; called on the meta device, without memory for weights.
        files: safetensors files with its weights.
        where: the folder, for messages.

    Raises:
        InvalidInput: the network is too large for the files, or a file is damaged.
    """
    import torch
    from safetensors import safe_open

    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        wanted = sum(parameter.numel() for parameter in make().parameters())
    held = 0
    for file in files:
        with safe_open(file, framework="pt") as opened:
            held += sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118
    if wanted > 2 * held + 10**6:
        raise InvalidInput(
            f"the config.json of {where} describes a network of {wanted:,} parameters, but its files contain {held:,}; "
            "check which model it is"
        )


def _show(path: Path, place: Path) -> None:
    """Add a file to the folder that the library reads."""
    if path.name.endswith("tokenizer_config.json"):
        place.write_text(json.dumps(_object(path)), encoding="utf-8")
    elif path.name.endswith("config.json"):
        place.write_text(json.dumps(read_config(path)), encoding="utf-8")
    else:
        if ".index." in path.name:
            shards(path)
        _link(path, place)


def _link(path: Path, place: Path) -> None:
    try:
        os.symlink(os.path.abspath(path), place)
    except (OSError, NotImplementedError):  # on Windows without permission to create links
        shutil.copyfile(path, place)
