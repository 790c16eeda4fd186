"""The engine loads a transformer when it is first asked, and puts it where a clip of that size allows."""

from __future__ import annotations

import pytest
import torch

from ex4d_backbone_wan.compute import acceleration, memory
from ex4d_backbone_wan.compute.engine import Engine, EngineConfig
from ex4d_backbone_wan.compute.memory import GIBI, Placement
from ex4d_backbone_wan.denoiser import Conditioning, LocalDenoiser, Schedule
from ex4d_backbone_wan.networks import Networks
from ex4d_backbone_wan.options import WanOptions
from ex4d_core.errors import InvalidInput

CPU = torch.device("cpu")
SCHEDULE = Schedule(3, 5.0)


@pytest.fixture
def source(transformer_of):
    """Return a source that keeps what it has made."""

    class Source:
        made = ()

        def load(self, *, device, dtype):
            self.made = (*self.made, transformer_of().to(device, dtype))
            return self.made[-1]

    return Source()


@pytest.fixture
def placed(monkeypatch):
    """Return a list that grows with the places that a transformer is put to; nothing is spared for libraries."""
    places, original = [], memory.place
    monkeypatch.setattr(memory, "_SPARE", 0)
    monkeypatch.setattr(
        memory, "place", lambda made, where, **given: places.append(where) or original(made, where, **given)
    )
    return places


def config(source, **given):
    return EngineConfig(source=source, dtype=torch.float32, **given)


def denoised(denoiser, side=8):
    torch.manual_seed(1)
    told = Conditioning(
        text=torch.randn(1, 512, 32),
        negative_text=torch.randn(1, 512, 32),
        image=torch.randn(1, 257, 64),
        y=torch.randn(1, 20, 3, side, side),
    )
    latents = torch.randn(1, 16, 3, side, side)
    return denoiser.denoise(told, latents, schedule=SCHEDULE, guidance=5.0, after_step=lambda *_: None)


def needs(transformer_of, side):
    return memory.needs(transformer_of(), tokens=3 * side**2 // 4)


def gib(number):
    return f"{number / GIBI:.12f}"


def test_it_loads_once_and_gives_what_diffusers_gives(source, transformer_of, placed):
    engine = Engine(config(source), device=CPU)
    assert source.made == ()
    expected = denoised(LocalDenoiser(transformer_of(), device=CPU, dtype=torch.float32))
    for _ in range(2):
        torch.testing.assert_close(denoised(engine), expected, atol=1e-4, rtol=1e-4)
    assert len(source.made) == 1
    assert placed == []


@pytest.mark.parametrize(("batched", "calls"), [("off", 6), ("on", 3)])
def test_both_halves_of_the_guidance_share_the_start_of_a_step(source, batched, calls):
    engine = Engine(config(source, batch_guidance=batched), device=CPU)
    engine.load()
    heard = {0: [], 1: []}
    for number, each in heard.items():
        hook = source.made[0].blocks[number].attn1.to_q.register_forward_hook
        hook(lambda *_, each=each: each.append(1))
    denoised(engine)
    assert (len(heard[0]), len(heard[1])) == (3, calls)


def test_a_clip_that_needs_more_moves_weights_out(source, transformer_of, placed):
    small, large = (needs(transformer_of, side) for side in (4, 8))
    budget = small.of(Placement.RESIDENT) + 1000
    assert large.of(Placement.CONTEXT_APART) < budget < large.of(Placement.RESIDENT)
    engine = Engine(config(source, memory=gib(budget)), device=CPU)
    first = denoised(engine, side=4)
    denoised(engine)
    assert placed == [Placement.RESIDENT, Placement.CONTEXT_APART]
    torch.testing.assert_close(denoised(engine, side=4), first, atol=1e-4, rtol=1e-4)
    assert len(placed) == 2


@pytest.mark.parametrize(
    ("place", "wanted", "batches"),
    [
        (Placement.RESIDENT, "auto", [1, 1]),
        (Placement.STREAMED, "auto", [2]),
        (Placement.RESIDENT, "on", [2]),
        (Placement.STREAMED, "off", [1, 1]),
    ],
)
def test_both_halves_go_at_once_where_weights_travel(source, transformer_of, placed, place, wanted, batches):
    budget = needs(transformer_of, 8).of(place) + 1000
    engine = Engine(config(source, memory=gib(budget), batch_guidance=wanted), device=CPU)
    engine.load()
    seen = []
    source.made[0].register_forward_pre_hook(lambda _, __, given: seen.append(len(given["timestep"])), with_kwargs=True)
    denoised(engine)
    assert placed == [place]
    assert seen == batches * SCHEDULE.steps


def test_a_budget_that_is_too_small_is_said(source, placed):
    engine = Engine(config(source, memory="0.000001"), device=CPU)
    with pytest.raises(InvalidInput, match="are too little for a clip of this size"):
        denoised(engine)


def test_a_gpu_that_is_too_small_is_told_which_budget_fits(source, monkeypatch):
    def full(**_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(source, "load", full)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (3 * GIBI, 24 * GIBI))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda *_: int(20.7 * GIBI))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "RTX 4090")
    with pytest.raises(InvalidInput, match=r"^the 23.7 GiB available on RTX 4090 .*; try --gpu-memory 23"):
        denoised(Engine(config(source), device=CPU))
    with pytest.raises(torch.OutOfMemoryError):
        denoised(Engine(config(source, memory="auto"), device=CPU))


@pytest.mark.parametrize(
    ("given", "threshold"),
    [
        ({"speed": "fast", "step_cache": 0.2}, 0.2),
        ({"speed": "fast", "step_cache": 0.0}, None),
        ({"speed": "exact", "step_cache": 0.2}, None),
    ],
)
def test_steps_are_skipped_only_where_speed_is_fast(source, monkeypatch, given, threshold):
    thresholds, original = [], acceleration.skipping_steps
    monkeypatch.setattr(
        acceleration,
        "skipping_steps",
        lambda made, *, threshold: thresholds.append(threshold) or original(made, threshold=threshold),
    )
    denoised(Engine(config(source, **given), device=CPU))
    assert thresholds == ([] if threshold is None else [threshold])


@pytest.mark.parametrize(("gpus", "merged_on"), [(1, "cuda:1"), (2, "cuda")])
def test_loras_are_merged_on_the_card_that_was_asked_for(monkeypatch, gpus, merged_on):
    asked = []
    monkeypatch.setattr(Networks, "checkpoint", None)
    monkeypatch.setattr("ex4d_backbone_wan.networks.make_denoiser", lambda config, **_: asked.append(config))
    assert Networks(WanOptions(gpus=gpus), device=torch.device("cuda:1")).denoiser is None
    assert asked[0].source.merge_on == torch.device(merged_on)
