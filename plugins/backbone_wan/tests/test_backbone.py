"""Facts about generating: any length and size, windows, stopped runs, previews, bad input."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache

import attrs
import pytest
import torch

from ex4d_backbone_wan.backbone import WanBackbone
from ex4d_backbone_wan.generation import joined
from ex4d_backbone_wan.windows import Window
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import silent
from ex4d_core.types import Guidance
from ex4d_core.user_cache import user_cache
from ex4d_core.workspace import NO_WORKSPACE, Workspace

diffusers = pytest.importorskip("diffusers")

pytestmark = pytest.mark.slow
pytest.importorskip("transformers")
pytest.importorskip("peft")

CPU = torch.device("cpu")


def generate(options, guidance, *, prompt="", seed=0, progress=silent, workspace=NO_WORKSPACE, backbone=None):
    backbone = backbone or WanBackbone(options, device=CPU)
    return backbone.generate(guidance, None, prompt=prompt, seed=seed, progress=progress, workspace=workspace)


@lru_cache(maxsize=8)
def loaded(options):
    """Return a backbone that tests share, since most of what they take is to load it."""
    return WanBackbone(options, device=CPU)


def same(one, other):
    return torch.equal(one.frames, other.frames)


@pytest.mark.parametrize("num_frames", [1, 2, 4, 5, 9, 10, 14, 16])
def test_a_clip_of_any_length_keeps_its_length_and_rate(options, guidance, num_frames):
    video = generate(None, guidance(num_frames), backbone=loaded(options()))
    assert video.frames.shape == (num_frames, 32, 32, 3)
    assert video.fps == 24


@pytest.mark.parametrize(("width", "height"), [(48, 32), (33, 17), (64, 64), (16, 96)])
@pytest.mark.parametrize("settings", [{}, {"size": "same"}, {"fit": "stretch"}])
def test_a_clip_of_any_size_keeps_its_size(options, guidance, width, height, settings):
    backbone = loaded(options(steps=1, **settings))
    video = generate(None, guidance(5, width=width, height=height), backbone=backbone)
    assert video.frames.shape == (5, height, width, 3)


def test_the_seed_fixes_the_video(options, guidance):
    known, backbone = guidance(5), loaded(options())
    video = generate(options(), known, seed=3)
    assert same(video, generate(None, known, seed=3, backbone=backbone))
    assert not same(video, generate(None, known, seed=4, backbone=backbone))


def test_prompts_of_the_run_go_before_those_of_the_options(options, guidance):
    known = guidance(5)
    spoken = generate(options(prompt="a blue ball"), known)
    assert same(spoken, generate(None, known, prompt="a blue ball", backbone=loaded(options())))
    assert not same(spoken, generate(None, known, prompt="red", backbone=loaded(options())))


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_all_may_be_known_and_all_hidden(options, guidance, hidden):
    known = guidance(5, hidden=hidden)
    video = generate(None, known, backbone=loaded(options(erode="2..8")))
    assert video.frames.shape == known.color.shape


def test_a_clip_of_which_not_even_the_first_frame_is_known_is_filled(options, guidance):
    nothing = torch.zeros(5, 32, 32, dtype=torch.bool)
    known = attrs.evolve(guidance(5), mask=nothing, color=torch.zeros(5, 32, 32, 3, dtype=torch.uint8))
    assert generate(None, known, backbone=loaded(options())).num_frames == 5


def test_hidden_colors_do_not_matter(options, guidance):
    known, backbone = guidance(5), loaded(options())
    dirty = attrs.evolve(known, color=known.color + 7 * (~known.mask[..., None]).byte())
    assert same(generate(None, known, backbone=backbone), generate(None, dirty, backbone=backbone))


def test_eroding_follows_the_seed_and_can_be_left_out(options, guidance):
    known, backbone = guidance(5), loaded(options(erode="2..8"))
    eroded = generate(None, known, seed=1, backbone=backbone)
    assert same(eroded, generate(None, known, seed=1, backbone=backbone))
    assert not same(eroded, generate(None, known, seed=1, backbone=loaded(options())))


def test_a_video_without_frames_is_refused(options):
    nothing = Guidance(
        color=torch.zeros(0, 32, 32, 3, dtype=torch.uint8), mask=torch.zeros(0, 32, 32, dtype=torch.bool), fps=24
    )
    with pytest.raises(InvalidInput, match="the guidance has no frames"):
        generate(options(), nothing)


def test_guidance_is_not_changed(options, guidance):
    known = guidance(5)
    color, mask = known.color.clone(), known.mask.clone()
    generate(None, known, backbone=loaded(options(erode="2..8")))
    assert torch.equal(known.color, color)
    assert torch.equal(known.mask, mask)


def test_it_goes_without_the_adapter(options, guidance):
    known = guidance(5)
    with_it = generate(None, known, backbone=loaded(options()))
    assert not same(generate(options(adapter="none"), known), with_it)


def test_a_wan_that_takes_no_image_is_told_of_the_guidance_by_the_adapter_alone(options, guidance, tiny_wan, tmp_path):
    for part in ("vae", "text_encoder", "tokenizer"):
        shutil.copytree(tiny_wan / part, tmp_path / part)
    config = json.loads((tiny_wan / "transformer" / "config.json").read_text())
    config = {name: value for name, value in config.items() if not name.startswith("_")}
    sizes = {**config, "in_channels": 16, "image_dim": None, "added_kv_proj_dim": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        diffusers.WanTransformer3DModel(**sizes).save_pretrained(tmp_path / "transformer")
    known, settings = guidance(5), {"model": str(tmp_path)}
    other = attrs.evolve(known, color=known.color.flip(1), mask=known.mask.flip(1))
    adapted, plain = (WanBackbone(options(**settings, **more), device=CPU) for more in ({}, {"adapter": "none"}))
    assert not same(generate(None, known, backbone=adapted), generate(None, other, backbone=adapted))
    assert same(generate(None, known, backbone=plain), generate(None, other, backbone=plain))


def test_where_memory_is_short_the_video_is_the_same(options, guidance):
    known = guidance(5)
    assert same(generate(options(memory="auto"), known), generate(None, known, backbone=loaded(options())))


def test_the_vae_can_work_in_tiles(options, guidance):
    known, settings = guidance(1, width=272, height=272), {"size": "same", "steps": 1}
    whole = generate(options(**settings), known)
    tiled = generate(options(**settings, tiling="on"), known)
    assert tiled.frames.shape == whole.frames.shape
    assert not same(tiled, whole)


def test_progress_counts_steps_encoding_and_decoding(options, guidance):
    told = []
    generate(options(), guidance(12), progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 8) for done in range(9)]


def test_the_text_encoder_is_loaded_once_for_prompts_that_come_again(options, guidance, monkeypatch):
    loads = []
    from ex4d_backbone_wan import networks

    load = networks.load_text_encoder
    monkeypatch.setattr(networks, "load_text_encoder", lambda *a, **k: loads.append(1) or load(*a, **k))
    for adapter in (options().adapter, "none"):
        generate(options(adapter=adapter), guidance(1))
    assert len(loads) == 1
    assert len(list((user_cache() / "prompts").iterdir())) == 2


def test_networks_are_loaded_once_and_the_first_picture_is_encoded_once(options, guidance, monkeypatch):
    calls = []
    from ex4d_backbone_wan import networks
    from ex4d_backbone_wan.weights import loading

    for module, name in ((networks, "load_vae"), (loading, "load_transformer"), (networks, "image_feature")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, name=name, **k: calls.append(name) or real(*a, **k))
    backbone = WanBackbone(options(steps=1), device=CPU)
    for hidden in (0.3, 0.6):
        generate(None, guidance(5, hidden=hidden), backbone=backbone)
    assert sorted(calls) == ["image_feature", "load_transformer", "load_vae"]


class Stopped(Exception):
    pass


def stopping_after(steps):
    def progress(done, total):
        if done >= steps:
            raise Stopped

    return progress


def test_a_run_that_was_stopped_goes_on_to_the_same_video(options, guidance, tmp_path):
    known, backbone = guidance(12), WanBackbone(options(steps=4, erode="2..8"), device=CPU)
    whole, calls = generate(None, known, backbone=backbone), []
    backbone.networks.denoiser._transformer.register_forward_hook(lambda *_: calls.append(1))
    for after in (1, 3, 4, 5, 6, 8, 9, 11):
        workspace, told = Workspace(folder=tmp_path / str(after)), []
        workspace.folder.mkdir()
        calls.clear()
        with pytest.raises(Stopped):
            generate(None, known, backbone=backbone, workspace=workspace, progress=stopping_after(after))
        resumed = generate(
            None, known, backbone=backbone, workspace=workspace, progress=lambda *step, told=told: told.append(step)
        )
        assert same(resumed, whole), after
        assert len(calls) == 2 * 4 * 2, after  # windows, steps, halves of the guidance: none of them twice
        assert told[-1] == (12, 12), after


def test_a_preview_is_shown_after_every_so_many_steps(options, guidance):
    shown = []
    workspace = Workspace(show=lambda name, video: shown.append((name, video)))
    video = generate(options(steps=5, preview_every=2), guidance(7), workspace=workspace)
    assert [name for name, _ in shown] == ["preview", "preview"]
    assert {tuple(preview.frames.shape) for _, preview in shown} == {(7, 16, 16, 3)}
    assert same(video, generate(options(steps=5), guidance(7)))


def test_latents_that_are_not_finite_stop_the_run_with_their_step(options, guidance, monkeypatch):
    backbone = WanBackbone(options(), device=CPU)
    generate(None, guidance(5), backbone=backbone)
    weight = next(backbone.networks.denoiser._transformer.parameters())
    monkeypatch.setattr(weight, "data", weight.data * float("nan"))
    with pytest.raises(InvalidInput, match="the latents are not finite after step 1 of 2"):
        generate(None, guidance(5), backbone=backbone)


def test_too_little_memory_is_said_with_what_to_do(options, guidance, monkeypatch):
    from ex4d_backbone_wan import generation

    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(generation, "decode", full)
    with pytest.raises(InvalidInput, match="cpu has too little memory for 9 frames at 32x32; try --gpu-memory"):
        generate(options(), guidance(7))


def test_a_window_takes_over_what_the_one_before_made(options, guidance, monkeypatch):
    from ex4d_backbone_wan import backbone

    seen = []
    encode = backbone.encode_known
    monkeypatch.setattr(backbone, "encode_known", lambda n, known, **k: seen.append(known) or encode(n, known, **k))
    video = generate(options(), guidance(13))
    first, second = seen
    assert not first.mask[1:].all()
    assert second.mask[:5].all()
    assert not second.mask[5:].all()
    # Frames 4 to 8 were made by the first window; the video has them faded into the second's.
    assert (second.color[0] * 255 - video.frames[4].movedim(-1, 0)).abs().mean() < 40


def test_where_windows_share_frames_one_fades_into_the_other():
    before = torch.full((9, 2, 2, 3), 100, dtype=torch.uint8)
    made = torch.full((9, 2, 2, 3), 160, dtype=torch.uint8)
    whole = joined(before, made, Window(4, 13, taken_over=5))
    assert whole[:, 0, 0, 0].tolist() == [100] * 4 + [110, 120, 130, 140, 150] + [160] * 4


def test_frames_beyond_what_was_taken_over_are_those_of_the_later_window():
    before = torch.full((9, 2, 2, 3), 100, dtype=torch.uint8)
    made = torch.full((9, 2, 2, 3), 160, dtype=torch.uint8)
    whole = joined(before, made, Window(1, 10, taken_over=5))
    assert whole[:, 0, 0, 0].tolist() == [100] + [110, 120, 130, 140, 150] + [160] * 4
