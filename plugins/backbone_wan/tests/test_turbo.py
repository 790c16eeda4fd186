"""Facts about `--speed turbo`: its schedule, its LoRA, and what works with it as without."""

from __future__ import annotations

import itertools

import pytest
import torch
from safetensors.torch import load_file

from ex4d_backbone_wan.backbone import WanBackbone
from ex4d_backbone_wan.compute.engine import EngineConfig
from ex4d_backbone_wan.denoiser import Schedule
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.weights import hub_files, locate
from ex4d_backbone_wan.weights.loading import load_transformer
from ex4d_core.config.run_config import make_options
from ex4d_core.errors import InputNotFound, InvalidConfig
from ex4d_core.progress import silent
from ex4d_core.workspace import NO_WORKSPACE, Workspace

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

CPU = torch.device("cpu")


@pytest.fixture
def turbo(options, tiny_wan):
    """Make options for the tiny Wan with its distilled LoRA."""

    def make(**given):
        return options(**{"speed": "turbo", "turbo_lora": str(tiny_wan / "turbo.safetensors"), **given})

    return make


def generate(options, guidance, *, progress=silent, workspace=NO_WORKSPACE, backbone=None):
    backbone = backbone or WanBackbone(options, device=CPU)
    return backbone.generate(guidance, None, prompt="", seed=3, progress=progress, workspace=workspace)


@pytest.mark.parametrize(
    ("steps", "timesteps"),
    [(4, [1000, 937.5, 833.3, 625]), (8, [1000, 972.2, 937.5, 892.9, 833.3, 750, 625, 416.7])],
)
def test_the_schedule_is_that_of_the_distillation(steps, timesteps):
    options = WanOptions(speed="turbo", turbo_steps=steps)
    schedule = Schedule(options.sampling_steps, options.shift)
    assert [round(t, 1) for t in schedule.timesteps.tolist()] == timesteps
    assert schedule.sigmas[-1] == 0


def test_it_takes_4_steps_without_guidance_whatever_those_of_other_speeds_are():
    options = WanOptions(speed="turbo", steps=30, guidance=6)
    assert (options.sampling_steps, options.sampling_guidance) == (4, 1)
    options = WanOptions(speed="fast", steps=30, guidance=6)
    assert (options.sampling_steps, options.sampling_guidance, options.distilled) == (30, 6, None)


def test_products_are_exact_and_no_step_is_skipped():
    config = EngineConfig.of(WanOptions(speed="turbo", step_cache=0.5), None, dtype=torch.float32)
    assert config.speed == "exact"


@pytest.mark.parametrize("given", [{"turbo_steps": 3}, {"turbo_steps": 9}, {"turbo_weight": 0}, {"turbo_weight": 3}])
def test_steps_and_weights_out_of_range_are_refused(given):
    with pytest.raises(InvalidConfig, match=r"backbone\.turbo_"):
        make_options(WanOptions, given, "backbone")


def test_its_lora_is_needed_from_the_hub_only_if_it_is_used(tiny_wan):
    *_, lora = hub_files(WanOptions(speed="turbo"))
    assert lora.repo == "lightx2v/Wan2.1-Distill-Loras"
    assert lora.wants("wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors")
    assert not lora.wants("wan2.1_t2v_14b_lora_rank64_lightx2v_4step.safetensors")
    assert len(hub_files(WanOptions())) == 2
    assert len(hub_files(WanOptions(speed="turbo", turbo_lora=str(tiny_wan / "turbo.safetensors")))) == 2


def test_a_lora_that_is_not_here_is_named_with_the_command(options, tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputNotFound, match=r"lightx2v/Wan2\.1-Distill.* not on this machine.*backbone\.speed=turbo"):
        locate(options(speed="turbo"))
    with pytest.raises(InputNotFound, match=r"the LoRA gone\.safetensors does not exist; check backbone\.turbo_lora"):
        locate(options(speed="turbo", turbo_lora="gone.safetensors"))


def test_its_lora_and_weight_are_part_of_the_fingerprint(options, turbo):
    found = [locate(each).fingerprint() for each in (options(), turbo(), turbo(turbo_weight=0.5))]
    assert len(set(found)) == 3


def changes(path, weight):
    """Return what a LoRA of the tiny Wan adds to a weight and a modulation, by hand."""
    tensors = {name.removeprefix("diffusion_model."): tensor for name, tensor in load_file(path).items()}
    down, up = (
        ("lora_down", "lora_up")
        if "blocks.0.self_attn.q.lora_up.weight" in tensors
        else (
            "lora_A.default",
            "lora_B.default",
        )
    )
    layer = "blocks.0.self_attn.q"
    product = tensors[f"{layer}.{up}.weight"] @ tensors[f"{layer}.{down}.weight"]
    modulation = tensors.get("blocks.1.diff_m", torch.zeros(1))
    return weight * product, weight * modulation


@pytest.mark.parametrize("used", list(itertools.product([False, True], repeat=3)))
def test_each_combination_of_loras_is_the_base_and_the_deltas(options, turbo, tiny_wan, used):
    has_turbo, has_adapter, has_stacked = used
    own, distilled = tiny_wan / "ex4d.safetensors", tiny_wan / "turbo.safetensors"
    given = {"adapter": str(own) if has_adapter else "none", "loras": f"{distilled}:-0.7" if has_stacked else ""}
    chosen = turbo(**given, turbo_weight=0.5) if has_turbo else options(**given)
    merged = load_transformer(locate(chosen), device=CPU, dtype=torch.float32)
    plain = load_transformer(locate(options(adapter="none")), device=CPU, dtype=torch.float32)
    weight, modulation = plain.blocks[0].attn1.to_q.weight.clone(), plain.blocks[1].scale_shift_table.clone()
    for path, scale, is_used in ((distilled, 0.5, has_turbo), (own, 1.0, has_adapter), (distilled, -0.7, has_stacked)):
        if is_used:
            more, shift = changes(path, scale)
            weight, modulation = weight + more, modulation + shift
    torch.testing.assert_close(merged.blocks[0].attn1.to_q.weight, weight, rtol=0, atol=1e-5)
    torch.testing.assert_close(merged.blocks[1].scale_shift_table, modulation, rtol=0, atol=1e-6)
    torch.testing.assert_close(merged.blocks[1].attn1.to_v.weight, plain.blocks[1].attn1.to_v.weight, rtol=0, atol=0)


@pytest.mark.slow
def test_the_video_is_that_of_4_steps_without_guidance_and_the_lora(options, turbo, guidance, tiny_wan):
    video = generate(turbo(), guidance(5))
    by_hand = options(steps=4, guidance=1, loras=f"{tiny_wan / 'turbo.safetensors'}:1")
    other = generate(by_hand, guidance(5))
    assert (video.frames.int() - other.frames.int()).abs().max() <= 1
    assert not torch.equal(video.frames, generate(options(steps=4, guidance=1), guidance(5)).frames)


class Stopped(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("after", [2, 9])
def test_a_stopped_run_resumes_with_previews_in_little_memory_to_the_same_video(turbo, guidance, tmp_path, after):
    known, shown = guidance(12), []
    whole = generate(turbo(), known)
    backbone = WanBackbone(turbo(memory="auto", preview_every=2), device=CPU)
    workspace = Workspace(folder=tmp_path, show=lambda name, video: shown.append(name))

    def stop(done, total):
        assert total == 2 * (4 + 2)  # windows, and steps, encoding and decoding of each
        if done >= after:
            raise Stopped

    with pytest.raises(Stopped):
        generate(None, known, backbone=backbone, workspace=workspace, progress=stop)
    resumed = generate(None, known, backbone=backbone, workspace=workspace)
    assert torch.equal(resumed.frames, whole.frames)
    assert set(shown) == {"preview"}
