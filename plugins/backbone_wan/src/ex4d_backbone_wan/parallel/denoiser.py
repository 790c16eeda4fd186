"""Denoising on several GPUs, one process each: the halves of the guidance on two, the tokens of each half beyond that.

All processes follow the same latents step by step and exchange what each of them predicts. The one that asks keeps the
VAE and the encoders; it sees all of them end when one fails.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

import attrs
import torch
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, distributed

from ex4d_backbone_wan.compute.engine import Recipe
from ex4d_backbone_wan.denoiser import AfterStep, Conditioning, Schedule
from ex4d_backbone_wan.parallel.worker import DONE, Failure, Layout, Task, run
from ex4d_core.errors import Ex4dError, InvalidInput

LAST_WORDS = 3.0
"""Seconds that the others have to fail too, once one has: the first to speak is not always the one to blame."""


class RankDied(Ex4dError, RuntimeError):
    """One of the processes that share the work ended without a word."""


class ParallelDenoiser:
    """A denoiser on several GPUs; its processes start at first use, and load the transformer each.

    Args:
        recipe: of the transformer; it is sent to each process.
        gpus: how many; with guidance an even number.
        guided: whether there will be guidance, so that its halves are shared out.
        kind: "cuda", or "cpu" to try it without.

    Raises:
        InvalidInput: the machine has fewer GPUs, or the work cannot be shared out so.
    """

    def __init__(self, recipe: Recipe, *, gpus: int, guided: bool, kind: str = "cuda") -> None:
        self._recipe = recipe
        self._layout = layout(gpus=gpus, guided=guided, kind=kind)
        self._team: _Team | None = None

    def denoise(
        self,
        conditioning: Conditioning,
        latents: Tensor,
        *,
        schedule: Schedule,
        guidance: float,
        first_step: int = 0,
        anchor: Tensor | None = None,
        after_step: AfterStep,
    ) -> Tensor:
        """See `Denoiser`.

        Raises:
            RankDied: a process ended without a word. What one of them raises is raised here.
        """
        told = {name: value for name, value in attrs.asdict(conditioning, recurse=False).items() if value is not None}
        given = told | {"latents": latents} | ({} if anchor is None else {"anchor": anchor})
        tensors = bytes_of({name: value.detach().cpu().contiguous() for name, value in given.items()})
        task = Task(schedule=schedule, guidance=guidance, first_step=first_step, tensors=tensors)
        try:
            if self._team is None:
                self._team = _Team(self._recipe, self._layout)
                self._team.gather()
            self._team.ask(task)
            for step, made in self._team.answers():
                latents = made.to(latents.device)
                if step != DONE:
                    after_step(step, latents)
        except BaseException:
            # Others may wait for the one that failed, or work on what nobody wants any more.
            self.close()
            raise
        return latents

    def close(self) -> None:
        """End the processes; the next call starts them anew."""
        if self._team is not None:
            self._team.end()
            self._team = None


def layout(*, gpus: int, guided: bool, kind: str) -> Layout:
    """Return who does what.

    Raises:
        InvalidInput: the machine has fewer GPUs, or the work cannot be shared out so.
    """
    if kind == "cuda" and torch.cuda.device_count() < gpus:
        raise InvalidInput(f"--gpus {gpus} is more than the {torch.cuda.device_count()} that this machine has")
    if guided and gpus % 2:
        raise InvalidInput(f"--gpus must be 1 or even, since guidance has two halves, not {gpus}")
    halves = 2 if guided else 1
    return Layout(kind=kind, halves=halves, degree=gpus // halves)


class _Team:
    """The processes, from their start to their end."""

    def __init__(self, recipe: Recipe, layout: Layout) -> None:
        self._recipe, self._layout = recipe, layout
        self._store: Any = None
        self._ends: list[Connection] = []
        self._processes: list[Any] = []

    def gather(self) -> None:
        """Start them and wait until all take tasks; one that ended before would have the others wait for it."""
        # Where there are no GPUs, processes can be forked from one that has done the imports.
        context: Any = multiprocessing.get_context("spawn" if self._layout.kind == "cuda" else "forkserver")
        if self._layout.kind != "cuda":
            context.set_forkserver_preload(
                ["ex4d_backbone_wan.parallel.worker", "diffusers.models.transformers.transformer_wan"]
            )
        # They meet at a port that is free.
        self._store = distributed.TCPStore(  # type: ignore[attr-defined]
            "127.0.0.1", 0, is_master=True, wait_for_workers=False
        )
        for rank in range(self._layout.size):
            ours, theirs = context.Pipe()
            arguments = (rank, self._store.port, self._recipe, self._layout, theirs)
            process = context.Process(target=run, args=arguments, name=f"GPU {rank}", daemon=True)
            self._ends.append(ours)
            self._processes.append(process)
            process.start()
            theirs.close()
        missing = list(self._ends)
        while missing:
            for end in self._wait_for(missing):
                self._heard_from(end)  # `READY`
                missing.remove(end)

    def ask(self, task: Task) -> None:
        """Give each process a task."""
        try:
            for end in self._ends:
                end.send(task)
        except OSError:
            self._raise_failure([])

    def answers(self) -> Iterator[tuple[int, Tensor]]:
        """Yield steps and latents; at last those of `DONE`."""
        step = 0
        while step != DONE:
            for end in self._wait_for(self._ends):  # all but the first speak only of failures
                answer = self._heard_from(end)
                step = answer.step
                yield step, tensors_of(answer.tensors)["latents"]

    def end(self) -> None:
        """End all processes, whatever they do."""
        started = [process for process in self._processes if process.pid is not None]
        for process in started:
            process.kill()
        for process in started:
            process.join()
            process.close()
        for end in self._ends:
            end.close()
        self._store = None

    def _wait_for(self, ends: list[Connection]) -> list[Connection]:
        """Return those of some ends that can be read; raise why a process ends meanwhile."""
        ready = wait([*ends, *(process.sentinel for process in self._processes)])
        if not all(each in ends for each in ready):
            self._raise_failure([])
        return [each for each in ends if each in ready]

    def _heard_from(self, end: Connection) -> Any:
        try:
            said = end.recv()
        except (EOFError, OSError):
            self._raise_failure([])
        if isinstance(said, Failure):
            self._raise_failure([said])
        return said

    def _raise_failure(self, heard: list[Failure]) -> NoReturn:
        """Raise what a process says of itself, else that one has died, else what one says of others."""
        until = time.monotonic() + LAST_WORDS
        while True:
            spoken = [_last_words(end) for end in self._ends]
            heard += [failure for failure in spoken if failure is not None]
            for failure in heard:
                if not failure.about_others:
                    raise failure.error
            for process in self._processes:
                if process.exitcode:  # 0 is how one ends that has said why
                    raise RankDied(_died(process))
            if time.monotonic() > until:
                raise heard[0].error if heard else RankDied("a process that shares the work has closed its end")
            time.sleep(0.05)


def _last_words(end: Connection) -> Failure | None:
    """Return why a process ends, if it has said so."""
    try:
        while end.poll():
            said = end.recv()
            if isinstance(said, Failure):
                return said
    except (EOFError, OSError):
        pass
    return None


def _died(process: Any) -> str:
    code = process.exitcode
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    why = "; main memory may be too small for one copy of the weights each" if code == -signal.SIGKILL else ""
    return f"the process of {process.name} {how}{why}; try fewer --gpus"
