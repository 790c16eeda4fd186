"""One of the processes that share the work of denoising: read `run`."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import attrs
import torch
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from ex4d_backbone_wan.compute.attention import SharedTokens
from ex4d_backbone_wan.compute.engine import Engine, Recipe
from ex4d_backbone_wan.denoiser import Conditioning, LocalDenoiser, Schedule
from ex4d_core.errors import InvalidInput

READY = "ready"
"""What a process says when it has met the others and waits for a task."""

DONE = -1
"""Stands in place of a step with the last latents."""

PATIENCE = timedelta(minutes=30)
"""For the others, who may still load weights."""

_ABOUT_OTHERS = ("gloo", "nccl", "connection closed", "connection reset")


@attrs.frozen
class Layout:
    """Who does what: rank r has half r // degree, and every degree-th part of its tokens from r % degree on."""

    kind: str
    """"cuda" or "cpu"."""
    halves: int
    """2 where the halves of the guidance are shared out, else 1."""
    degree: int
    """How many processes share the tokens of each half."""

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.halves * self.degree


@attrs.frozen(kw_only=True)
class Task:
    """What to do; see `Denoiser.denoise`."""

    schedule: Schedule
    guidance: float
    first_step: int
    tensors: bytes
    """In safetensors: the conditioning's by their names, `latents`, and `anchor` if there is one."""


@attrs.frozen
class Answer:
    """What rank 0 says after each step."""

    step: int
    tensors: bytes
    """In safetensors: `latents`."""


@attrs.frozen
class Failure:
    """Why a process ends."""

    error: Exception
    about_others: bool
    """Whether it only says that another process did not answer."""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Return what can be sent of an error: the error itself, or one with its text."""
        text = str(error).lower()
        about_others = isinstance(error, distributed.DistError) or any(word in text for word in _ABOUT_OTHERS)
        error.add_note("".join(traceback.format_exception(error)))
        try:
            ForkingPickler.loads(ForkingPickler.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return cls(error.with_traceback(None), about_others)


def run(rank: int, port: int, recipe: Recipe, layout: Layout, end: Connection) -> None:
    """Do tasks until there are no more; what is wrong is sent, too.

    Args:
        rank: of this process.
        port: where all meet.
        recipe: of the transformer.
        layout: says what this one does.
        end: gives tasks, takes `READY`, answers of rank 0, and failures.
    """
    # Ctrl-C reaches every process of a terminal; the one that asks decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _meet(rank, port, layout)
        engine = _RankEngine(recipe, rank, layout)
        end.send(READY)
        while True:
            engine.work(end)
    except (EOFError, BrokenPipeError):
        pass  # the one that asks has gone
    except Exception as error:
        with suppress(OSError):  # the one that asks has gone
            end.send(Failure.of(error))
    # Libraries wait for other processes at an orderly exit.
    os._exit(0)


def _meet(rank: int, port: int, layout: Layout) -> None:
    store = distributed.TCPStore("127.0.0.1", port, is_master=False)  # type: ignore[attr-defined]
    backend, device = ("nccl", torch.device("cuda", rank)) if layout.kind == "cuda" else ("gloo", None)
    if device is not None:
        torch.cuda.set_device(device)
    distributed.init_process_group(
        backend, store=store, rank=rank, world_size=layout.size, timeout=PATIENCE, device_id=device
    )


class _RankEngine(Engine):
    """An engine that does its share."""

    def __init__(self, recipe: Recipe, rank: int, layout: Layout) -> None:
        super().__init__(recipe, device=torch.device(f"{layout.kind}:{rank}" if layout.kind == "cuda" else layout.kind))
        self._rank, self._layout = rank, layout
        shape, names = (layout.halves, 1, layout.degree), ("half", "ring", "ulysses")
        self._mesh: DeviceMesh = init_device_mesh(layout.kind, shape, mesh_dim_names=names)

    def work(self, end: Connection) -> None:
        """Do one task."""
        task: Task = end.recv()
        given = tensors_of(task.tensors)
        latents, anchor = given.pop("latents"), given.pop("anchor", None)

        def tell(step: int, latents: Tensor) -> None:
            asking = parent_process()
            if asking is not None and not asking.is_alive():
                raise EOFError  # as reading the next task would; the GPU is wanted for others
            if self._rank == 0:
                end.send(Answer(step, bytes_of({"latents": latents.contiguous()})))

        made = self.denoise(
            Conditioning(**given),
            latents,
            schedule=task.schedule,
            guidance=task.guidance,
            first_step=task.first_step,
            anchor=anchor,
            after_step=tell,
        )
        tell(DONE, made)

    def _load(self) -> None:
        if self._transformer is None:
            super()._load()
            if self._layout.degree > 1:
                share_tokens(self._transformer, self._mesh)

    def _settle(self, latents: Tensor) -> None:
        degree, fewer = self._layout.degree, f"use --gpus {self._layout.halves}"
        tokens, heads = self._tokens(latents), self._transformer.config.num_attention_heads
        if heads % degree:
            raise InvalidInput(f"{heads} attention heads cannot be shared out evenly to {degree} GPUs; {fewer}")
        if tokens % degree:
            raise InvalidInput(
                f"{tokens} tokens cannot be shared out evenly to {degree} GPUs; {fewer}, or another --set backbone.size"
            )
        super()._settle(latents)

    def _local(self) -> LocalDenoiser:
        group = self._mesh["half"].get_group() if self._layout.halves == 2 else None
        return _Half(
            self._transformer,
            device=self._device,
            dtype=self._recipe.dtype,
            cache=self._cache,
            around=self._skipping,
            group=group,
        )

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        with super()._skipping():
            if self._layout.degree > 1 and self._transformer.is_cache_enabled:
                agree(self._transformer, self._mesh["ulysses"].get_group())
            yield


class _Half(LocalDenoiser):
    """Asks for one half of the guidance, and gets the other from another process.

    Args:
        given: see `LocalDenoiser`.
        group: of two processes, the first for the positive half; None if this one does both.
    """

    def __init__(self, *given: Any, group: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._group = group
        self._shares = False

    def _calls(self, told: Conditioning, guidance: float) -> Any:
        calls = super()._calls(told, guidance)
        self._shares = self._group is not None and len(calls) == 2
        return [calls[distributed.get_rank(self._group)]] if self._shares else calls

    def _predict(self, *given: Any) -> Tensor:
        mine = super()._predict(*given)
        if not self._shares:
            return mine
        both = [torch.empty_like(mine) for _ in range(2)]
        distributed.all_gather(both, mine, group=self._group)
        return torch.cat(both)


def agree(transformer: Any, group: Any) -> None:
    """Have processes that share tokens skip the same steps: none whose tokens, with any of them, have changed much.

    Args:
        transformer: in `speed.skipping_steps`.
        group: of these processes.
    """
    hook = transformer.blocks[0]._diffusers_hook.get_hook("fbc_leader_block_hook")
    mine = hook._should_compute_remaining_blocks

    def ours(residual: Tensor) -> bool:
        wanted = torch.tensor(float(mine(residual)), device=residual.device)
        distributed.all_reduce(wanted, distributed.ReduceOp.MAX, group=group)
        return bool(wanted)

    hook._should_compute_remaining_blocks = ours


def share_tokens(transformer: Any, mesh: DeviceMesh) -> None:
    """Have each process of a mesh compute some of the tokens; diffusers gathers what comes of them.

    Args:
        transformer: on its device.
        mesh: has the dimensions "ring", of size 1, and "ulysses".
    """
    from diffusers import ContextParallelConfig
    from diffusers.hooks import apply_context_parallel

    # diffusers uses what the newest torch deprecates.
    warnings.filterwarnings("ignore", ".*all_gather_tensor. is deprecated", FutureWarning)
    config = ContextParallelConfig(ulysses_degree=mesh["ulysses"].size(), mesh=mesh)
    # What `transformer.enable_parallelism` does, which fails on a machine without any GPU.
    config.setup(distributed.get_rank(), distributed.get_world_size(), transformer.device, mesh)
    for block in transformer.blocks:
        block.shared_tokens = SharedTokens(mesh["ulysses"].get_group())
    apply_context_parallel(transformer, config, {name: transformer._cp_plan[name] for name in ("rope", "proj_out")})
    # The plan's own way for the first block would come between what skips steps and the block.
    number, count = mesh["ulysses"].get_local_rank(), mesh["ulysses"].size()
    transformer.blocks[0].register_forward_pre_hook(lambda _, given: (given[0].chunk(count, dim=1)[number], *given[1:]))
