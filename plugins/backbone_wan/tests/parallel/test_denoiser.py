"""Several processes denoise as one does; what goes wrong in one ends all."""

from __future__ import annotations

import os
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import attrs
import pytest
import torch

from ex4d_backbone_wan.compute.engine import Engine, EngineConfig
from ex4d_backbone_wan.denoiser import Conditioning, LocalDenoiser, Schedule
from ex4d_backbone_wan.parallel.denoiser import ParallelDenoiser, WorkerDied, layout
from ex4d_backbone_wan.parallel.worker import ProcessLayout
from ex4d_core.errors import InvalidInput

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("fork_server_with_diffusers"),
]

SCHEDULE = Schedule(2, 5.0)


@pytest.fixture
def sources(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import parallel_sources

    return parallel_sources


@pytest.fixture
def saved(sources, transformer_of, tmp_path):
    transformer_of().save_pretrained(tmp_path)
    return EngineConfig(source=sources.Saved(tmp_path), dtype=torch.float32)


@pytest.fixture
def team():
    """Return a function that makes a denoiser whose processes end with the test."""
    made = []

    def make(config, **given):
        made.append(ParallelDenoiser(config, kind="cpu", **given))
        return made[-1]

    yield make
    for each in made:
        each.close()


def denoised(denoiser, *, guidance=5.0, after_step=lambda *_: None, channels=96, **given):
    torch.manual_seed(1)
    told = Conditioning(
        text=torch.randn(1, 512, 32),
        negative_text=torch.randn(1, 512, 32),
        image=torch.randn(1, 257, 64),
        y=torch.randn(1, 20, 3, 8, 8),
        camera=torch.randn(1, 48, channels),
    )
    latents = torch.randn(1, 16, 3, 8, 8)
    return denoiser.denoise(told, latents, schedule=SCHEDULE, guidance=guidance, after_step=after_step, **given)


def alone(transformer):
    return LocalDenoiser(transformer, device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize(("gpus", "guided", "guidance"), [(2, True, 5.0), (2, False, 1.0), (2, False, 5.0)])
def test_several_processes_denoise_as_one_does(saved, team, transformer_of, gpus, guided, guidance):
    steps, expected_steps = [], []
    expected = denoised(
        alone(transformer_of()), guidance=guidance, after_step=lambda *each: expected_steps.append(each)
    )
    made = denoised(
        team(saved, gpus=gpus, guided=guided), guidance=guidance, after_step=lambda *each: steps.append(each)
    )
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)
    assert [number for number, _ in steps] == [1, 2]
    for (_, latents), (_, expected_latents) in zip(steps, expected_steps, strict=True):
        torch.testing.assert_close(latents, expected_latents, atol=1e-4, rtol=1e-4)


def test_four_processes_share_halves_and_tokens_and_go_on_where_others_stopped(saved, team, transformer_of):
    expected = denoised(alone(transformer_of()), first_step=1, anchor=torch.ones(1, 16, 1, 8, 8))
    denoiser = team(saved, gpus=4, guided=True)
    for _ in range(2):
        made = denoised(denoiser, first_step=1, anchor=torch.ones(1, 16, 1, 8, 8))
        torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("threshold", [0.001, 100.0])
def test_processes_that_share_tokens_skip_the_same_steps(saved, team, threshold):
    config = attrs.evolve(saved, speed="fast", step_cache=threshold)
    expected = denoised(Engine(config, device=torch.device("cpu")))
    made = denoised(team(config, gpus=2, guided=False))
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("more", ["", "!" * 2**20], ids=["briefly", "at length"])
def test_what_a_process_raises_is_raised_while_the_others_wait(sources, team, more):
    config = EngineConfig(source=sources.Failing(rank=1, how="raises", more=more), dtype=torch.float32)
    with pytest.raises(InvalidInput, match="those of a horse") as caught:
        denoised(team(config, gpus=2, guided=True))
    assert "parallel_sources.py" in "".join(caught.value.__notes__)


def test_a_process_that_dies_ends_the_others_and_is_named(sources, team):
    config = EngineConfig(source=sources.Failing(rank=1, how="killed"), dtype=torch.float32)
    denoiser = team(config, gpus=2, guided=True)
    with pytest.raises(WorkerDied, match=r"^the process of GPU 1 was ended by SIGKILL; main memory .*fewer --gpus"):
        denoised(denoiser)
    assert denoiser._workers is None


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_before_it_meets_the_others_is_named(sources, team, rank):
    config = EngineConfig(source=sources.Ending(rank), dtype=torch.float32)
    with pytest.raises(WorkerDied, match=rf"^the process of GPU {rank} was ended by SIGKILL"):
        denoised(team(config, gpus=2, guided=True))


def test_stopping_the_one_that_asks_while_they_start_ends_all(saved, team, monkeypatch):
    begin, begun = ForkServerProcess.start, []

    def start(process):
        if begun:
            raise KeyboardInterrupt
        begin(process)
        begun.append(process.pid)

    monkeypatch.setattr(ForkServerProcess, "start", start)
    with pytest.raises(KeyboardInterrupt):
        denoised(team(saved, gpus=2, guided=True))
    with pytest.raises(ProcessLookupError):
        os.kill(begun[0], 0)


def test_stopping_the_one_that_asks_ends_all(saved, team):
    denoiser, processes = team(saved, gpus=2, guided=True), []

    def stop(*_):
        processes.extend(process.pid for process in denoiser._workers._processes)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoised(denoiser, after_step=stop)
    assert len(processes) == 2
    for number in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def test_tokens_that_cannot_be_shared_out_are_named(saved, team):
    denoiser = team(saved, gpus=2, guided=False)
    told = Conditioning(text=torch.zeros(1, 512, 32), negative_text=torch.zeros(1, 512, 32))
    with pytest.raises(InvalidInput, match=r"27 tokens cannot be split evenly among 2 GPUs; use --gpus 1"):
        denoiser.denoise(told, torch.zeros(1, 36, 3, 6, 6), schedule=SCHEDULE, guidance=1.0, after_step=lambda *_: None)


def test_heads_that_cannot_be_shared_out_are_named(saved, team):
    with pytest.raises(InvalidInput, match=r"4 attention heads cannot be split evenly among 3 GPUs; use --gpus 1"):
        denoised(team(saved, gpus=3, guided=False), guidance=1.0)


def test_who_does_what():
    assert layout(gpus=4, guided=True, kind="cpu") == ProcessLayout("cpu", halves=2, degree=2)
    assert layout(gpus=3, guided=False, kind="cpu") == ProcessLayout("cpu", halves=1, degree=3)


def test_work_that_cannot_be_split_evenly_is_refused(monkeypatch):
    with pytest.raises(InvalidInput, match="--gpus must be 1 or even, since guidance has two halves, not 3"):
        layout(gpus=3, guided=True, kind="cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidInput, match="--gpus 2 is more than the 1 "):
        layout(gpus=2, guided=True, kind="cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("gpus", [2, 4])
def test_several_gpus_denoise_as_one_does(sources, transformer_of, tmp_path, gpus):
    if torch.cuda.device_count() < gpus:
        pytest.skip(f"needs {gpus} GPUs")
    transformer_of(attention_head_dim=32, added_kv_proj_dim=128).save_pretrained(tmp_path)
    config = EngineConfig(source=sources.Saved(tmp_path), dtype=torch.bfloat16)
    expected = denoised(Engine(config, device=torch.device("cuda")), channels=128)
    denoiser = ParallelDenoiser(config, gpus=gpus, guided=True)
    try:
        made = denoised(denoiser, channels=128)
    finally:
        denoiser.close()
    assert (made.cpu() - expected.cpu()).norm() < 2e-2 * expected.cpu().norm()
