"""Load untrusted weights: restrict the files that a library sees and how it may load them.

A library that loads models follows the files of a checkpoint: it may run code that lies there, unpickle, ask a hub for
whatever a configuration names, and ask on standard input whether it may. Here it sees configurations and tensors,
checked and without such names; the hub cannot be reached; and standard input is empty. A component that gives a folder
of weights to a library does it like this:

    with only_weights(folder, ("config.json", "*.safetensors*"), what="DPT") as clean:
        model = DPTForDepthEstimation.from_pretrained(clean, local_files_only=True, use_safetensors=True)
"""

from __future__ import annotations

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
"""Bytes that a configuration may have; those of tokenizers list their tokens."""

_MOST_NUMBER = 2**20
"""Above the largest number in a network's configuration, which is the size of a vocabulary."""

_MOST_LAYERS = 1000
"""A network is made layer by layer, whether it has weights for them or not."""

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
"""Names in a configuration by which a library finds code, kernels, or weights beside those of the folder."""

_TALKERS = ("accelerate", "diffusers", "huggingface_hub", "peft", "transformers")
"""Libraries whose remarks repeat texts of a checkpoint; what is wrong with one is raised."""


@contextmanager
def only_weights(folder: Path, patterns: Iterable[str], *, what: str) -> Iterator[Path]:
    """Give a folder that has some files of another and nothing else, for a library that loads a model from it.

    Configurations are checked and rewritten; tensors are links, so that nothing is copied. In the block the limits of
    `loading` hold.

    Args:
        folder: with weights.
        patterns: which of its files a library may see, such as `*.safetensors`.
        what: they should be, for messages, such as "CLIP".

    Raises:
        InputNotFound: the folder does not exist.
        InvalidInput: a file cannot be read or is not what its name says, or the library refuses them.
    """
    files = check_files(folder, patterns)
    with tempfile.TemporaryDirectory(prefix="ex4d-weights-") as name:
        clean = Path(name)
        for path in files:
            _show(path, clean / path.name)
        with loading(folder, what, seen=clean):
            yield clean


def check_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of a folder whose names match a pattern; each is a regular file that can be read.

    Raises:
        InputNotFound: the folder does not exist, or a link in it leads nowhere.
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
    """Load a model of others in the block, and nothing else: without a hub, without questions, with one kind of error.

    A library may raise anything over a file that somebody made; the cause is chained, and shown by `EX4D_TRACE=1`.

    Args:
        place: the folder or file, for messages.
        what: it should be, such as "tokenizer".
        seen: the folder that the library was given in its place.

    Raises:
        InvalidInput: the library refuses it.
    """
    try:
        with loading_offline():
            yield
    except Ex4dError:
        raise
    except Exception as error:
        if of_the_machine(error):  # such as too little memory
            raise
        text = str(error) if seen is None else str(error).replace(str(seen), str(place))
        reason = textwrap.shorten(f"{type(error).__name__}: {text}", 300, placeholder=" ...")
        raise InvalidInput(
            f"{place} cannot be loaded as a {what}: {reason}; check which model it holds, or download it again"
        ) from error


class _Limits:
    """How many blocks of `loading_offline` there are, and what to put back after the last."""

    lock = threading.Lock()
    blocks = 0
    undo = ExitStack()


@contextmanager
def loading_offline() -> Iterator[None]:
    """Keep libraries from the hub, from standard input and from remarks during the block, in all threads."""
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
        put(huggingface_hub().constants, "HF_HUB_OFFLINE", True)  # its client looks there before each request
    except PluginFailed:  # without the client there is no way to a hub
        return


def _hide_progress_bar(library: Any, undo: ExitStack) -> None:
    """Turn off the progress bar of diffusers or transformers, if it is imported and has one."""
    if getattr(library, "is_progress_bar_enabled", bool)():
        library.disable_progress_bar()
        undo.callback(library.enable_progress_bar)


def read_config(path: Path) -> dict[str, Any]:
    """Return the configuration of a network, without the names by which a library finds code or other weights.

    Raises:
        InputNotFound: there is no such file.
        InvalidInput: it is not an object of JSON, a number in it cannot be a size, or it takes a part of the network
            from another repository.
    """
    config = _object(path)
    if odd := next(_odd(config, ""), ""):
        raise InvalidInput(f"the configuration {path} cannot be that of a network: {odd}; download it again")
    return config


def _object(path: Path) -> dict[str, Any]:
    config = read_json(path, "configuration", most=MOST_CONFIG)
    if not isinstance(config, dict):
        raise InvalidInput(f"the configuration {path} is not an object of JSON; download it again")
    cleaned: dict[str, Any] = _without_names(config)
    return cleaned


def _without_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_names(inner) for key, inner in value.items() if key not in _DROPPED}
    return [_without_names(inner) for inner in value] if isinstance(value, list) else value


def _odd(value: Any, name: str) -> Iterator[str]:
    """Yield sentences on what a network's configuration cannot say."""
    if isinstance(value, dict):
        if value.get("backbone") is not None and value.get("backbone_config") is None:
            yield f"its backbone is that of another repository, {ascii(value['backbone'])[:80]}"
        for key, inner in value.items():
            yield from _odd(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _odd(inner, name)
    elif isinstance(value, int) and not _least(name) <= value <= _most(name):
        yield f"{ascii(name)[:80]} is {value if abs(value) < 10**30 else 'a number of many digits'}"


def _least(name: str) -> int:
    return 0 if _SIZES.search(name) else -_MOST_NUMBER


def _most(name: str) -> int:
    return _MOST_LAYERS if _LAYERS.search(name) else _MOST_NUMBER


def numbers(
    config: Mapping[str, Any], key: str, count: int, default: Sequence[float] = (), *, where: Path
) -> tuple[float, ...]:
    """Return an entry of a configuration that is a list of finite numbers.

    Args:
        config: as it was read.
        key: of the entry.
        count: of the numbers.
        default: where there is no entry; without one, there must be.
        where: the file, for messages.

    Raises:
        InvalidInput: it is something else.
    """
    values = config.get(key)
    values = list(default) if values is None else values
    if not isinstance(values, list) or len(values) != count or not all(_is_number(value) for value in values):
        raise InvalidInput(f"{where} gives {key} as {ascii(values)[:80]}, which is not {count} numbers")
    return tuple(float(value) for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30 and math.isfinite(value)


def check_kinds(config: Mapping[str, Any], cls: type) -> None:
    """Refuse entries of another kind than the defaults of a class that is made with them: a text for a number.

    Classes of diffusers take any value, and fail where it is used, hours later.

    Raises:
        ValueError: an entry is of another kind.
    """
    for name, parameter in inspect.signature(cls).parameters.items():
        value, default = config.get(name), parameter.default
        if value is None or not isinstance(default, str | int | float | list | tuple):
            continue
        number = (int, float) if isinstance(default, float) else (int, float, list, tuple)
        if not isinstance(value, str if isinstance(default, str) else number):
            raise ValueError(f"{name} is {ascii(value)[:80]}")


def check_parameters(make: Callable[[], Any], files: Iterable[Path], *, where: Path) -> None:
    """Refuse a configuration of a network far larger than its weights: a library makes room for all of it.

    Args:
        make: gives the network; it is made without memory for its weights.
        files: in the format safetensors, that have its weights.
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
            f"the config.json of {where} describes a network of {wanted:,} parameters and its files hold {held:,}; "
            "check which model it is"
        )


def _show(path: Path, place: Path) -> None:
    """Put a file into the folder that a library sees."""
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
    except (OSError, NotImplementedError):  # of Windows, without the right to make links
        shutil.copyfile(path, place)
