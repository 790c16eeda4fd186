"""Facts about generating: windows, stopped runs, previews, memory, several processes, LoRAs, compositing, bad input."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from ex4d_backbone_vace.backbone import VaceBackbone
from ex4d_backbone_vace.composite import composited
from ex4d_backbone_vace.testing import tiny_transformer
from ex4d_backbone_vace.transformer import in_layers
from ex4d_backbone_wan import generation as engine
from ex4d_backbone_wan.compute import memory
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Guidance, Video
from ex4d_core.workspace import Workspace

pytestmark = pytest.mark.slow
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

CPU = torch.device("cpu")


def same(one, other):
    return torch.equal(one.frames, other.frames)


class Stopped(Exception):
    pass


def test_a_stopped_run_resumes_with_windows_a_reference_and_previews(options, guidance, scene, generate, tmp_path):
    known, shown = guidance(12), []
    whole = generate(options(reference="first"), known, scene)
    backbone = VaceBackbone(options(reference="first", memory="auto", preview_every=1), device=CPU)
    workspace = Workspace(folder=tmp_path, show=lambda name, video: shown.append(video.frames.shape))

    def stop(done, total):
        assert total == 2 * (2 + 2)  # windows, and steps, encoding and decoding of each
        if done >= 6:  # in the second window
            raise Stopped

    with pytest.raises(Stopped):
        generate(None, known, scene, backbone=backbone, workspace=workspace, progress=stop)
    assert same(generate(None, known, scene, backbone=backbone, workspace=workspace), whole)
    assert set(shown) == {(9, 16, 16, 3)}  # without the reference
    assert not same(whole, generate(options(), known))


def test_later_windows_start_from_latents_of_the_reference_and_of_shared_frames(
    options, guidance, scene, generate, monkeypatch
):
    backbone, anchors = VaceBackbone(options(reference="first"), device=CPU), []
    denoise = backbone.networks.denoiser.denoise

    def watch(*given, anchor, **named):
        anchors.append(anchor)
        return denoise(*given, anchor=anchor, **named)

    monkeypatch.setattr(backbone.networks.denoiser, "denoise", watch)
    generate(None, guidance(12), scene, backbone=backbone)
    assert anchors[0] is None
    assert anchors[1].shape[2] == 1 + 2  # 5 shared frames are 2 latent frames


@pytest.mark.parametrize(
    "given",
    [{"memory": "least"}, {"gpus": 2, "guidance": 1.0}],
)
def test_little_memory_and_shared_tokens_make_the_same_latents(
    options, guidance, generate, monkeypatch, given, request
):
    if "gpus" in given:
        request.getfixturevalue("fork_server_with_diffusers")
    seen, decode = [], engine.decode_frames
    monkeypatch.setattr(memory, "_SPARE", 0)
    if "memory" in given:
        needs = memory.needs(in_layers(tiny_transformer()), tokens=3 * 2 * 2)
        given = {"memory": f"{(needs.of(memory.Placement.STREAMED) + 1000) / memory.GIBI:.12f}"}
    monkeypatch.setattr(engine, "decode_frames", lambda n, latents: seen.append(latents) or decode(n, latents))
    backbone = VaceBackbone(options(**given), device=CPU)
    try:
        generate(None, guidance(9), backbone=backbone)
    finally:
        getattr(backbone.networks.denoiser, "close", lambda: None)()
    generate(options(**{name: value for name, value in given.items() if name == "guidance"}), guidance(9))
    torch.testing.assert_close(seen[0], seen[1], atol=1e-4, rtol=1e-4)


def test_fast_skips_steps_with_their_control(options, guidance, generate):
    backbone, calls = VaceBackbone(options(speed="fast", step_cache=100.0, steps=4), device=CPU), []
    backbone.networks.denoiser.load()
    first, _, second, _ = backbone.networks.denoiser._transformer.blocks
    for each in (first.branch, second.branch):
        each.register_forward_hook(lambda *_, each=each: calls.append(each is first.branch))
    generate(None, guidance(5), backbone=backbone)
    assert calls.count(True) == 2 * 4  # halves of the guidance and steps
    assert calls.count(False) == 2


def test_loras_reach_the_blocks_of_the_branch(options, guidance, generate, tmp_path):
    torch.manual_seed(0)
    for name in ("vace_blocks.1.before_proj", "vace_blocks.1.ffn.0"):
        rows = 48 if "ffn" in name else 24
        pair = {"lora_down.weight": torch.randn(4, 24), "lora_up.weight": torch.randn(rows, 4)}
        save_file({f"diffusion_model.{name}.{k}": v for k, v in pair.items()}, tmp_path / f"{name}.safetensors")
    plain = generate(options(composite=False), guidance(5))
    lora = str(tmp_path / "vace_blocks.1.ffn.0.safetensors")
    assert not same(plain, generate(options(composite=False, loras=lora), guidance(5)))
    with pytest.raises(InvalidInput, match=r"vace_blocks\.1\.proj_in"):  # only the first block of the branch has one
        generate(options(loras=str(tmp_path / "vace_blocks.1.before_proj.safetensors")), guidance(5))


def test_visible_pixels_return_with_a_soft_edge():
    mask = torch.ones(1, 8, 32, dtype=torch.bool)
    mask[:, :, 16:] = False
    known = Guidance(color=torch.full((1, 8, 32, 3), 200, dtype=torch.uint8), mask=mask, fps=24)
    made = Video(frames=torch.zeros(1, 8, 32, 3, dtype=torch.uint8), fps=24)
    row = composited(made, known, margin=4, feather=3).frames[0, 4, :, 0].tolist()
    assert row == [200] * 9 + [150, 100, 50] + [0] * 20
    hard = composited(made, known, margin=0, feather=0).frames[0, 4, :, 0].tolist()
    assert hard == [200] * 16 + [0] * 16
    seen = Guidance(color=known.color, mask=torch.ones_like(mask), fps=24)
    assert torch.equal(composited(made, seen, margin=4, feather=3).frames, known.color)


def test_hidden_colors_do_not_matter_and_compositing_can_be_left_out(options, guidance, generate):
    known = guidance(5)
    dirty = Guidance(color=known.color + 7 * (~known.mask[..., None]).byte(), mask=known.mask, fps=24)
    assert torch.equal(generate(options(), known).frames, generate(options(), dirty).frames)
    video, plain = generate(options(feather=0), known), generate(options(composite=False), known)
    assert torch.equal(video.frames[known.mask], known.color[known.mask])
    assert torch.equal(video.frames[~known.mask], plain.frames[~known.mask])
    assert not torch.equal(plain.frames[known.mask], known.color[known.mask])


def test_a_reference_without_a_clip_is_refused(options, guidance, generate):
    with pytest.raises(InvalidInput, match=r"backbone\.reference=first requires the source clip"):
        generate(options(reference="first"), guidance(5))


def test_a_wrong_number_of_scales_is_refused_with_the_right_one(options, guidance, generate):
    with pytest.raises(InvalidInput, match="has 3 numbers and this VACE 2 layers with control; give one number or 2"):
        generate(options(conditioning_scale="1,1,1"), guidance(5))
