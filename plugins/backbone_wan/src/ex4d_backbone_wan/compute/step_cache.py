"""Cache of results that several calls of the transformer have in common.

`LocalDenoiser` marks runs, steps and prompts; each `WanBlock` reads and fills the cache. Outside of such a mark nothing
is cached, and every call computes everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from ex4d_backbone_wan.compute.elementwise import Context

BlockStart = tuple[Tensor, Tensor]
"""Tokens after self-attention, and their queries for cross-attention. They do not depend on the prompt."""


class StepCache:
    """Keys and values of each prompt, for all steps of a run; start of the first block, for all calls of a step."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[str, int], Context] = {}
        self._prompt: str | None = None
        self._start: BlockStart | None = None
        self._calls_left = 0

    @contextmanager
    def run(self) -> Iterator[None]:
        """Mark a run: within it, calls with the same prompt name have the same text and image."""
        self._contexts.clear()
        try:
            yield
        finally:
            self._contexts.clear()

    @contextmanager
    def step(self, *, calls: int) -> Iterator[None]:
        """Mark a step: a number of calls with the same latents and timestep."""
        self._calls_left = calls
        try:
            yield
        finally:
            self._calls_left, self._start = 0, None

    @contextmanager
    def prompt(self, name: str) -> Iterator[None]:
        """Mark one call with a prompt, such as "positive" or "negative"."""
        self._prompt = name
        try:
            yield
        finally:
            self._prompt = None

    def context(self, block: int, compute: Callable[[], Context]) -> Context:
        """Return the keys and values of the current prompt in a block's cross-attention."""
        if self._prompt is None:
            return compute()
        key = self._prompt, block
        if key not in self._contexts:
            self._contexts[key] = compute()
        return self._contexts[key]

    def block_start(self, compute: Callable[[], BlockStart]) -> BlockStart:
        """Return the start of the first block; the last call of a step removes it from the cache."""
        start = compute() if self._start is None else self._start
        self._calls_left = max(0, self._calls_left - 1)
        self._start = start if self._calls_left else None
        return start
