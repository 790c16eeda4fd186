"""A worker process of `ParallelDenoiser`; `run` is its main function."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib import import_module
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from threading import Thread
from typing import Any

import attrs
import torch
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from ex4d_backbone_wan.compute.attention import SharedTokens
from ex4d_backbone_wan.compute.blocks import wan_blocks
from ex4d_backbone_wan.compute.engine import Engine, EngineConfig
from ex4d_backbone_wan.denoiser import Conditioning, LocalDenoiser, Schedule, TransformerCall
from ex4d_core.errors import InvalidInput
from ex4d_core.hub.untrusted_weights import one_at_a_time

READY = "ready"
"""Message of a process that has joined the group, has loaded its transformer, and waits for a task."""

DONE = -1
"""Step number of the final latents."""

GROUP_TIMEOUT = timedelta(minutes=30)
"""For collective operations; other processes may still load weights."""

_CONNECTION_ERRORS = ("gloo", "nccl", "connection closed", "connection reset")


@attrs.frozen
class ProcessLayout:
    """How work is split: rank r has half r // degree of the guidance and part r % degree of its tokens."""

    kind: str
    """"cuda" or "cpu"."""
    halves: int
    """2 if the halves of the guidance are split, else 1."""
    degree: int
    """Number of processes that share the tokens of each half."""

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.halves * self.degree


@attrs.frozen(kw_only=True)
class Task:
    """Arguments of `Denoiser.denoise`."""

    schedule: Schedule
    guidance: float
    first_step: int
    kind: type[Conditioning]
    tensors: bytes
    """In safetensors: the fields of the conditioning, `latents`, and optionally `anchor`."""


@attrs.frozen
class StepResult:
    """Sent by rank 0 after each step."""

    step: int
    tensors: bytes
    """In safetensors: `latents`."""


@attrs.frozen
class Failure:
    """The error that ends a process."""

    error: Exception
    of_connection: bool
    """Whether it only reports that another process did not respond."""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Make an error picklable: the error itself, or a RuntimeError with its text."""
        text = str(error).lower()
        of_connection = isinstance(error, distributed.DistError) or any(word in text for word in _CONNECTION_ERRORS)
        error.add_note("".join(traceback.format_exception(error)))
        try:
            ForkingPickler.loads(ForkingPickler.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return cls(error.with_traceback(None), of_connection)


def run(rank: int, port: int, config: EngineConfig, layout: ProcessLayout, connection: Connection) -> None:
    """Work on tasks until the connection closes; errors are sent as `Failure`.

    Args:
        rank: of this process.
        port: of the store at which the processes form a group.
        config: of the transformer.
        layout: how the work is split.
        connection: receives tasks; sends `READY`, results of rank 0, and failures.
    """
    # Ctrl-C reaches every process of a terminal; the main process decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        Thread(target=_import_networks, daemon=True).start()  # seconds, in which the processes find each other
        _join_group(rank, port, layout)
        engine = _WorkerEngine(config, rank, layout)
        engine.load()
        connection.send(READY)
        while True:
            engine.work(connection)
    except (EOFError, BrokenPipeError):
        pass  # the main process has ended
    except Exception as error:
        with suppress(OSError):  # the main process has ended
            connection.send(Failure.of(error))
    # Libraries wait for other processes at an orderly exit.
    os._exit(0)


def _import_networks() -> None:
    with suppress(Exception), one_at_a_time():  # raised again where the transformer is loaded
        import_module("diffusers.models.transformers.transformer_wan")


def _join_group(rank: int, port: int, layout: ProcessLayout) -> None:
    store = distributed.TCPStore("127.0.0.1", port, is_master=False)  # type: ignore[attr-defined]
    backend, device = ("nccl", torch.device("cuda", rank)) if layout.kind == "cuda" else ("gloo", None)
    if device is not None:
        torch.cuda.set_device(device)
    distributed.init_process_group(
        backend, store=store, rank=rank, world_size=layout.size, timeout=GROUP_TIMEOUT, device_id=device
    )


class _WorkerEngine(Engine):
    """An engine that computes the part of its rank."""

    def __init__(self, config: EngineConfig, rank: int, layout: ProcessLayout) -> None:
        super().__init__(config, device=torch.device(f"{layout.kind}:{rank}" if layout.kind == "cuda" else layout.kind))
        self._rank, self._layout = rank, layout
        shape, names = (layout.halves, 1, layout.degree), ("half", "ring", "ulysses")
        self._mesh: DeviceMesh = init_device_mesh(layout.kind, shape, mesh_dim_names=names)

    def work(self, connection: Connection) -> None:
        """Receive one task and send its results."""
        task: Task = connection.recv()
        tensors = tensors_of(task.tensors)
        latents, anchor = tensors.pop("latents"), tensors.pop("anchor", None)

        def send(step: int, latents: Tensor) -> None:
            main = parent_process()
            if main is not None and not main.is_alive():
                raise EOFError  # as receiving the next task would; free the GPU now
            if self._rank == 0:
                connection.send(StepResult(step, bytes_of({"latents": latents.contiguous()})))

        result = self.denoise(
            task.kind(**tensors),
            latents,
            schedule=task.schedule,
            guidance=task.guidance,
            first_step=task.first_step,
            anchor=anchor,
            after_step=send,
        )
        send(DONE, result)

    def load(self) -> None:
        """See `Engine.load`."""
        if self._transformer is None:
            super().load()
            if self._layout.degree > 1:
                share_tokens(self._transformer, self._mesh)

    def _settle(self, latents: Tensor, *, guided: bool) -> None:
        degree, fewer = self._layout.degree, f"use --gpus {self._layout.halves}"
        tokens, heads = self._tokens(latents), self._transformer.config.num_attention_heads
        if heads % degree:
            raise InvalidInput(f"{heads} attention heads cannot be split evenly among {degree} GPUs; {fewer}")
        if tokens % degree:
            raise InvalidInput(
                f"{tokens} tokens cannot be split evenly among {degree} GPUs; {fewer} or another --set backbone.size"
            )
        super()._settle(latents, guided=guided)

    def _local(self) -> LocalDenoiser:
        group = self._mesh["half"].get_group() if self._layout.halves == 2 else None
        return _HalfDenoiser(
            self._transformer,
            device=self._device,
            dtype=self._config.dtype,
            cache=self._cache,
            around=self._skipping,
            group=group,
        )

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        with super()._skipping():
            if self._layout.degree > 1 and self._transformer.is_cache_enabled:
                skip_steps_together(self._transformer, self._mesh["ulysses"].get_group())
            yield


class _HalfDenoiser(LocalDenoiser):
    """Computes one half of the guidance and receives the other from another process.

    Args:
        given: see `LocalDenoiser`.
        named: see `LocalDenoiser`.
        group: of two processes, the first for the positive half; None if this process computes both.
    """

    def __init__(self, *given: Any, group: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._group = group
        self._splits_halves = False

    def _calls(self, conditioning: Conditioning, guidance: float) -> list[TransformerCall]:
        calls = super()._calls(conditioning, guidance)
        self._splits_halves = self._group is not None and len(calls) == 2
        return [calls[distributed.get_rank(self._group)]] if self._splits_halves else calls

    def _predict(self, *given: Any) -> Tensor:
        mine = super()._predict(*given)
        if not self._splits_halves:
            return mine
        both = [torch.empty_like(mine) for _ in range(2)]
        distributed.all_gather(both, mine, group=self._group)
        return torch.cat(both)


def skip_steps_together(transformer: Any, group: Any) -> None:
    """Make processes that share tokens skip the same steps: those that each of them would skip.

    Args:
        transformer: in `acceleration.skipping_steps`.
        group: of these processes.
    """
    hook = transformer.blocks[0]._diffusers_hook.get_hook("fbc_leader_block_hook")
    decide = hook._should_compute_remaining_blocks

    def decide_together(residual: Tensor) -> bool:
        computes = torch.tensor(float(decide(residual)), device=residual.device)
        distributed.all_reduce(computes, distributed.ReduceOp.MAX, group=group)
        return bool(computes)

    hook._should_compute_remaining_blocks = decide_together


def share_tokens(transformer: Any, mesh: DeviceMesh) -> None:
    """Split the tokens among the processes of a mesh; diffusers gathers the output.

    Args:
        transformer: prepared, on its device.
        mesh: has the dimensions "ring", of size 1, and "ulysses".
    """
    from diffusers import ContextParallelConfig
    from diffusers.hooks import apply_context_parallel

    # diffusers uses a function that the newest torch deprecates.
    warnings.filterwarnings("ignore", ".*all_gather_tensor. is deprecated", FutureWarning)
    config = ContextParallelConfig(ulysses_degree=mesh["ulysses"].size(), mesh=mesh)
    # As `transformer.enable_parallelism`, which fails on a machine without GPUs.
    config.setup(distributed.get_rank(), distributed.get_world_size(), transformer.device, mesh)
    for _, block in wan_blocks(transformer):
        block.shared_tokens = SharedTokens(mesh["ulysses"].get_group())
    apply_context_parallel(transformer, config, {name: transformer._cp_plan[name] for name in ("rope", "proj_out")})
    # diffusers' plan for the first block would hook in between the step skipping and the block.
    number, count = mesh["ulysses"].get_local_rank(), mesh["ulysses"].size()
    transformer.blocks[0].register_forward_pre_hook(lambda _, args: (args[0].chunk(count, dim=1)[number], *args[1:]))
