"""All uses of ComfyUI: progress bars, the Cancel button, its device, its memory and its folders.

Modules of ComfyUI are only looked up, never imported: importing them parses the command line of the process.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import ParamSpec, TypeVar

from ex4d_core.errors import Cancelled
from ex4d_core.progress import Progress

Given = ParamSpec("Given")
Outputs = TypeVar("Outputs")

LOG = logging.getLogger("ex4d")

DEVICES = ("cpu", "cuda", "mps")
"""Kinds of devices that ComfyUI and ex4d share."""


def _module(name: str) -> ModuleType | None:
    return sys.modules.get(name)


def raise_if_interrupted() -> None:
    """Stop the work if the prompt was canceled.

    Raises:
        Cancelled: with the exception of ComfyUI as its cause, which ex4d would report as a crash of the component.
    """
    if management := _module("comfy.model_management"):
        try:
            management.throw_exception_if_processing_interrupted()
        except Exception as error:
            raise Cancelled("the prompt was canceled") from error


def cancelable(work: Callable[Given, Outputs]) -> Callable[Given, Outputs]:
    """Return the function of a node such that it ends a canceled prompt with the exception of ComfyUI."""

    @wraps(work)
    def run(*given: Given.args, **named: Given.kwargs) -> Outputs:
        try:
            return work(*given, **named)
        except Cancelled as error:
            raise error.__cause__ or error from None

    return run


def device() -> str:
    """Return the device of ComfyUI, or `auto`."""
    management = _module("comfy.model_management")
    name = str(management.get_torch_device()) if management else "auto"
    return name if name.partition(":")[0] in DEVICES else "auto"


def free_memory(gib: float | None = None) -> None:
    """Make room on the GPU by unloading models of ComfyUI, which loads them again when it uses them.

    Args:
        gib: memory to free in GiB; None: all of it.
    """
    management = _module("comfy.model_management")
    if management is None or management.get_torch_device().type == "cpu":
        return
    if gib is None:
        management.unload_all_models()
    else:
        management.free_memory(gib * 2**30, management.get_torch_device())
    management.soft_empty_cache()


def input_folder() -> Path:
    """Return the folder to which relative file names refer, by default the current one."""
    folders = _module("folder_paths")
    return Path(folders.get_input_directory()) if folders else Path.cwd()


def output_folder() -> Path:
    """Return the folder below which files are written, by default the current one."""
    folders = _module("folder_paths")
    return Path(folders.get_output_directory()) if folders else Path.cwd()


class NodeReporter:
    """Shows progress at the node that runs, and stops there if the prompt is canceled; messages go to the log."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Open a stage, with a progress bar of its own."""
        yield _node_progress()

    @contextmanager
    def transfer(self, name: str) -> Iterator[Progress]:
        """Open a transfer, whose progress is in bytes."""
        yield _node_progress()

    def note(self, text: str) -> None:
        """Log information."""
        LOG.info("EX4D: %s", text)

    def warn(self, text: str) -> None:
        """Log a warning."""
        LOG.warning("EX4D: %s", text)


def _node_progress() -> Progress:
    utils = _module("comfy.utils")
    bar = None

    def progress(done: int, total: int) -> None:
        nonlocal bar
        raise_if_interrupted()
        if utils is not None:
            bar = bar or utils.ProgressBar(total)
            bar.update_absolute(done, total)

    return progress
