"""A step of training: what is learned, by which loss, and that nothing but the adapter moves."""

import math

import pytest
import torch
from torch import nn

from ex4d_backbone_wan.denoiser import Schedule
from ex4d_training.distributed import Team
from ex4d_training.flow import draw_noise, flow_matching_loss, noise_levels
from ex4d_training.optimizer import Optimizer, Pace
from ex4d_training.step import prepare, train_step
from ex4d_training.trainer import Recipe, Trainer, TrainingStopped
from ex4d_training.velocity import WanVelocity, adapter_tensors, trained_parameters

CPU = torch.device("cpu")


@pytest.fixture
def team():
    return Team(CPU)


def test_at_step_0_the_adapted_model_is_the_frozen_one(transformer, batch):
    from ex4d_training.velocity import attach_adapter

    sigma = torch.tensor([0.3, 0.9])
    with torch.no_grad():
        frozen = WanVelocity(transformer)(batch["latents"], sigma, batch)
        adapted = attach_adapter(transformer, rank=4, hidden=16, channels=32, seed=0)
        assert torch.equal(adapted(batch["latents"], sigma, batch), frozen)


def test_what_is_trained_has_the_names_of_the_references_file(adapted):
    names = set(adapter_tensors(trained_parameters(adapted)))
    layers = [f"{kind}.{name}" for kind in ("self_attn", "cross_attn") for name in "qkvo"] + ["ffn.0", "ffn.2"]
    lora = {
        f"blocks.{block}.{layer}.lora_{side}.default.weight" for block in (0, 1) for layer in layers for side in "AB"
    }
    camera = {
        f"{name}.{kind}"
        for name in ("latent_encoder.0", "latent_encoder.2", "latent_encoder.4", "latent_patch_embedding")
        for kind in ("weight", "bias")
    }
    assert names == lora | camera


def test_noise_levels_are_spread_as_the_samplers():
    torch.testing.assert_close(noise_levels(torch.linspace(1, 0, 26), shift=5.0), Schedule(25, 5.0).sigmas)


def test_the_loss_is_0_for_the_true_velocity_and_the_mean_square_elsewhere(batch):
    noise = torch.randn(batch["latents"].shape)
    sigma = torch.tensor([0.2, 0.7])

    def true(noisy, sigma, sample):
        return (noisy - sample["latents"]) / sigma.view(-1, 1, 1, 1, 1)

    assert flow_matching_loss(true, batch, noise, sigma) == pytest.approx(0, abs=1e-9)
    zero = flow_matching_loss(lambda noisy, sigma, sample: torch.zeros_like(noisy), batch, noise, sigma)
    assert zero == pytest.approx(float((noise - batch["latents"]).square().mean()))


def test_noise_is_another_one_for_each_step_seed_and_process_and_the_same_when_asked_again(batch):
    asked = [{"seed": 1, "step": 1}, {"seed": 2, "step": 1}, {"seed": 1, "step": 2}, {"seed": 1, "step": 1, "rank": 1}]
    made = [draw_noise(batch, shift=5.0, **each) for each in asked]
    again = draw_noise(batch, shift=5.0, **asked[0])
    assert torch.equal(made[0][0], again[0])
    assert torch.equal(made[0][1], again[1])
    assert len({float(noise.flatten()[0]) for noise, _ in made}) == 4


def test_a_batch_is_learned_and_nothing_but_the_adapter_moves(adapted, batch, team):
    before = {name: value.clone() for name, value in adapted.state_dict().items()}
    optimizer = Optimizer(trained_parameters(adapted), pace=Pace(learning_rate=1e-2), team=team)
    noise, sigma = draw_noise(batch, shift=5.0, seed=0, step=0)
    first = float(flow_matching_loss(adapted, batch, noise, sigma).detach())
    for _ in range(12):
        flow_matching_loss(adapted, batch, noise, sigma).backward()
        optimizer.step()
    assert float(flow_matching_loss(adapted, batch, noise, sigma).detach()) < 0.97 * first
    moved = {name for name, value in adapted.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == trained_parameters(adapted).keys()


def test_checkpointing_changes_no_gradient(adapted, batch):
    noise, sigma = draw_noise(batch, shift=5.0, seed=0, step=0)

    def gradients():
        adapted.zero_grad()
        flow_matching_loss(adapted, batch, noise, sigma).backward()
        return [value.grad.clone() for value in trained_parameters(adapted).values()]

    plain = gradients()
    prepare(adapted.transformer, checkpointing=True)
    assert all(torch.equal(a, b) for a, b in zip(plain, gradients(), strict=True))


def test_two_batches_that_are_added_up_are_a_step_of_both(adapted, batch, team):
    optimizer = Optimizer(trained_parameters(adapted), pace=Pace(learning_rate=0.0, clip=1e9), team=team)
    halves = [{name: value[part : part + 1] for name, value in batch.items()} for part in (0, 1)]
    losses = []
    for part, half in enumerate(halves):
        noise, sigma = draw_noise(half, shift=5.0, seed=part, step=0)
        losses.append(float(flow_matching_loss(adapted, half, noise, sigma).detach()))
    loss, norm = train_step(adapted, optimizer, halves, shift=5.0, seed=0)
    assert float(loss) == pytest.approx(sum(losses) / 2)
    assert math.isfinite(float(norm))


def test_masters_keep_what_bfloat16_would_lose(team):
    value = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = Optimizer({"value": value}, pace=Pace(learning_rate=1e-4, weight_decay=0), team=team)
    for _ in range(3):
        value.grad = torch.ones_like(value)
        optimizer.step()
    assert torch.equal(value.detach(), torch.ones(4, dtype=torch.bfloat16))  # 1 - 3e-4 rounds to 1
    torch.testing.assert_close(optimizer.masters["value"], torch.full((4,), 1 - 3e-4), atol=1e-6, rtol=0)


def test_the_running_mean_follows_at_its_pace(team):
    value = nn.Parameter(torch.zeros(1))
    optimizer = Optimizer({"value": value}, pace=Pace(learning_rate=0.1, weight_decay=0, ema=0.5), team=team)
    mean = 0.0
    for step in range(1, 21):
        value.grad = torch.ones(1)
        optimizer.step()
        stays = min(0.5, step / (10 + step))
        mean = stays * mean + (1 - stays) * float(value.detach())
    assert float(optimizer.means["value"]) == pytest.approx(mean, abs=1e-6)


def test_a_loss_that_is_not_finite_stops_with_its_step(adapted, batch, team):
    bad = {**batch, "latents": batch["latents"] * math.inf}
    trainer = Trainer(
        adapted,
        iter([batch, batch, bad, batch]),
        recipe=Recipe(pace=Pace(learning_rate=1e-3), look_every=4),
        team=team,
    )
    with pytest.raises(TrainingStopped, match=r"not finite at step 3; .* last checkpoint"):
        trainer.run(4)
