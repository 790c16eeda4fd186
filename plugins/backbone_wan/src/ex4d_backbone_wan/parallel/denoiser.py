"""Denoise on several GPUs, one process each: the two halves of the guidance, then the tokens of each half, are split.

All processes follow the same latents step by step and exchange their predictions. The main process has the VAE and the
encoders; if one worker fails, it ends all of them.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn, Unpack

import attrs
import torch
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, distributed

from ex4d_backbone_wan.compute.engine import EngineConfig
from ex4d_backbone_wan.denoiser import Conditioning, SamplingOptions
from ex4d_backbone_wan.parallel.worker import DONE, Failure, ProcessLayout, Task, run
from ex4d_core.errors import Ex4dError, InvalidInput

FAILURE_GRACE = 3.0
"""Seconds to wait for further failures after the first, which is not always the cause."""


class WorkerDied(Ex4dError, RuntimeError):
    """A worker process ended without reporting an error."""


class ParallelDenoiser:
    """A denoiser on several GPUs; its processes start at first use and each load the transformer.

    Args:
        config: of the transformer; sent to each process.
        gpus: number of processes; even with guidance.
        guided: whether guidance is used, so that its halves are split.
        kind: "cuda", or "cpu" for tests.

    Raises:
        InvalidInput: the machine has fewer GPUs, or the work cannot be split evenly.
    """

    def __init__(self, config: EngineConfig, *, gpus: int, guided: bool, kind: str = "cuda") -> None:
        self._config = config
        self._layout = layout(gpus=gpus, guided=guided, kind=kind)
        self._workers: _Workers | None = None

    def denoise(self, conditioning: Conditioning, latents: Tensor, **options: Unpack[SamplingOptions]) -> Tensor:
        """See `Denoiser`.

        Raises:
            WorkerDied: a worker ended without reporting an error. An error that a worker reports is raised here.
        """
        given = attrs.asdict(conditioning, recurse=False) | {"latents": latents, "anchor": options.get("anchor")}
        tensors = {name: value.detach().cpu().contiguous() for name, value in given.items() if value is not None}
        task = Task(
            schedule=options["schedule"],
            guidance=options["guidance"],
            first_step=options.get("first_step", 0),
            kind=type(conditioning),
            tensors=bytes_of(tensors),
        )
        self.load()
        assert self._workers is not None
        with self._closing_on_error():
            self._workers.send(task)
            for step, result in self._workers.results():
                latents = result.to(latents.device)
                if step != DONE:
                    options["after_step"](step, latents)
        return latents

    def start(self) -> None:
        """Start the processes, which load their transformers, without waiting for them."""
        if self._workers is None:
            self._workers = _Workers(self._config, self._layout)
            with self._closing_on_error():
                self._workers.start()

    def load(self) -> None:
        """Start the processes, which load their transformers, and wait for them.

        Raises:
            WorkerDied: a worker ended without reporting an error. An error that a worker reports is raised here.
        """
        self.start()
        assert self._workers is not None
        with self._closing_on_error():
            self._workers.wait_until_ready()

    @contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        """End all processes if one fails: they may wait for it, or compute a result that is no longer needed."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes; the next call starts new ones."""
        if self._workers is not None:
            self._workers.stop()
            self._workers = None


def layout(*, gpus: int, guided: bool, kind: str) -> ProcessLayout:
    """Return how the work is split.

    Raises:
        InvalidInput: the machine has fewer GPUs, or the work cannot be split evenly.
    """
    if kind == "cuda" and torch.cuda.device_count() < gpus:
        raise InvalidInput(f"--gpus {gpus} is more than the {torch.cuda.device_count()} of this machine")
    if guided and gpus % 2:
        raise InvalidInput(f"--gpus must be 1 or even, since guidance has two halves, not {gpus}")
    halves = 2 if guided else 1
    return ProcessLayout(kind=kind, halves=halves, degree=gpus // halves)


class _Workers:
    """The worker processes and the connections to them."""

    def __init__(self, config: EngineConfig, layout: ProcessLayout) -> None:
        self._config, self._layout = config, layout
        self._store: Any = None
        self._connections: list[Connection] = []
        self._processes: list[Any] = []
        self._pending: list[Connection] = []

    def start(self) -> None:
        """Start all processes."""
        # Without GPUs, processes can be forked from one that has done the imports.
        context: Any = multiprocessing.get_context("spawn" if self._layout.kind == "cuda" else "forkserver")
        if self._layout.kind != "cuda":
            context.set_forkserver_preload(
                ["ex4d_backbone_wan.parallel.worker", "diffusers.models.transformers.transformer_wan"]
            )
        # The store listens on a free port.
        self._store = distributed.TCPStore(  # type: ignore[attr-defined]
            "127.0.0.1", 0, is_master=True, wait_for_workers=False
        )
        for rank in range(self._layout.size):
            ours, theirs = context.Pipe()
            arguments = (rank, self._store.port, self._config, self._layout, theirs)
            process = context.Process(target=run, args=arguments, name=f"GPU {rank}", daemon=True)
            self._connections.append(ours)
            self._processes.append(process)
            process.start()
            theirs.close()
        self._pending = list(self._connections)

    def wait_until_ready(self) -> None:
        """Wait until each is ready; the others would wait for one that ended before."""
        while self._pending:
            for connection in self._wait_for(self._pending):
                self._receive(connection)  # `READY`
                self._pending.remove(connection)

    def send(self, task: Task) -> None:
        """Send a task to each process."""
        try:
            for connection in self._connections:
                connection.send(task)
        except OSError:
            self._raise_failure([])

    def results(self) -> Iterator[tuple[int, Tensor]]:
        """Yield steps and latents, finally those of `DONE`."""
        step = 0
        while step != DONE:
            for connection in self._wait_for(self._connections):  # all but the first send only failures
                result = self._receive(connection)
                step = result.step
                yield step, tensors_of(result.tensors)["latents"]

    def stop(self) -> None:
        """Kill all processes."""
        started = [process for process in self._processes if process.pid is not None]
        for process in started:
            process.kill()
        for process in started:
            process.join()
            process.close()
        for connection in self._connections:
            connection.close()
        self._store = None

    def _wait_for(self, connections: list[Connection]) -> list[Connection]:
        """Return the connections that can be read; raise the failure if a process ends."""
        ready = wait([*connections, *(process.sentinel for process in self._processes)])
        if not all(each in connections for each in ready):
            self._raise_failure([])
        return [each for each in connections if each in ready]

    def _receive(self, connection: Connection) -> Any:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            self._raise_failure([])
        if isinstance(message, Failure):
            self._raise_failure([message])
        return message

    def _raise_failure(self, failures: list[Failure]) -> NoReturn:
        """Raise the failure of a process itself, else that it died, else its failure to reach another process."""
        deadline = time.monotonic() + FAILURE_GRACE
        while True:
            failures += filter(None, map(_pending_failure, self._connections))
            for failure in failures:
                if not failure.of_connection:
                    raise failure.error
            for process in self._processes:
                if process.exitcode:  # 0 after a reported failure
                    raise WorkerDied(_death(process))
            if time.monotonic() > deadline:
                raise failures[0].error if failures else WorkerDied("a worker process has closed its connection")
            time.sleep(0.05)


def _pending_failure(connection: Connection) -> Failure | None:
    """Return the failure that a process has reported, if any."""
    try:
        while connection.poll():
            message = connection.recv()
            if isinstance(message, Failure):
                return message
    except (EOFError, OSError):
        pass
    return None


def _death(process: Any) -> str:
    code = process.exitcode
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    hint = "; main memory may be too small for one copy of the weights per GPU" if how.endswith("SIGKILL") else ""
    return f"the process of {process.name} {how}{hint}; use fewer --gpus"
