"""Partial results of a generation on disk, from which an interrupted run resumes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ex4d_core.files import atomic_write


class PartialResults:
    """Frames of the finished windows, and latents of the current one.

    Args:
        folder: to store them in, or None to store nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def finished(self) -> tuple[int, Tensor | None]:
        """Return the number of finished windows, and their frames uint8 [n, H, W, 3] or None."""
        found = self._read("frames", ("windows",))
        return (0, None) if found is None else (found[1][0], found[0])

    def finish(self, windows: int, frames: Tensor) -> None:
        """Store the frames of the finished windows."""
        self._write("frames", frames, windows=windows)

    def latents(self, window: int) -> tuple[int, Tensor | None]:
        """Return the number of finished steps of a window, and its latents or None."""
        found = self._read("latents", ("window", "step"))
        return (0, None) if found is None or found[1][0] != window else (found[1][1], found[0])

    def step(self, window: int, step: int, latents: Tensor) -> None:
        """Store the latents of a window after a step."""
        self._write("latents", latents, window=window, step=step)

    def _read(self, name: str, facts: tuple[str, ...]) -> tuple[Tensor, list[int]] | None:
        if self._folder is None:
            return None
        # An unreadable file is treated as missing.
        with (
            suppress(OSError, SafetensorError, KeyError, TypeError, ValueError),
            safe_open(self._folder / f"{name}.safetensors", "pt") as file,
        ):
            return file.get_tensor(name), [int(file.metadata()[fact]) for fact in facts]
        return None

    def _write(self, name: str, tensor: Tensor, **facts: int) -> None:
        if self._folder is None:
            return
        metadata = {fact: str(value) for fact, value in facts.items()}
        with atomic_write(self._folder / f"{name}.safetensors") as temporary:
            save_file({name: tensor.contiguous().cpu()}, temporary, metadata=metadata)
