"""With the same weights, seed and frames, latents are those of diffusers' own pipeline, up to 1e-4 in float32."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from ex4d_backbone_wan import generation as engine
from ex4d_backbone_wan.conditioning import known_frames

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

PROMPTS = {"prompt": "a red ball", "negative_prompt": "blue"}
LIMIT = 1e-4


class EulerAtOurLevels(diffusers.FlowMatchEulerDiscreteScheduler):
    """The pipeline asks for a number of steps; its schedule for a number ends at another level than that of Wan."""

    def set_timesteps(self, num_inference_steps, device):
        super().set_timesteps(sigmas=np.linspace(1, 0, num_inference_steps + 1)[:-1], device=device)


@pytest.fixture
def known(guidance):
    """Return guidance with the same hidden pixels in all frames: diffusers takes the mask of some frames only."""

    def make(num_frames):
        made = guidance(num_frames)
        return attrs.evolve(made, mask=made.mask[-1:].expand_as(made.mask))

    return make


@pytest.fixture
def pipeline(tiny_vace):
    """The pipeline of diffusers with the tiny VACE."""
    from transformers import AutoTokenizer, UMT5EncoderModel

    parts = {
        "transformer": diffusers.WanVACETransformer3DModel.from_pretrained(tiny_vace / "transformer"),
        "vae": diffusers.AutoencoderKLWan.from_pretrained(tiny_vace / "vae"),
        "text_encoder": UMT5EncoderModel.from_pretrained(tiny_vace / "text_encoder"),
        "tokenizer": AutoTokenizer.from_pretrained(tiny_vace / "tokenizer"),
        "scheduler": EulerAtOurLevels(shift=8.0),
    }
    made = diffusers.WanVACEPipeline(**parts)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture
def theirs(pipeline):
    """Return the latents of diffusers for guidance."""

    def run(guidance, *, scale, guided, reference=None):
        seen = known_frames(guidance.color, guidance.mask, (32, 32))
        hidden = (~seen.mask[:, None]).float().expand(-1, 3, -1, -1)
        latents = pipeline(
            **PROMPTS,
            video=(seen.color * (1 - hidden) + 0.5 * hidden)[None],
            mask=hidden[None],
            reference_images=reference,
            conditioning_scale=scale,
            height=32,
            width=32,
            num_frames=guidance.num_frames,
            num_inference_steps=3,
            guidance_scale=guided,
            generator=torch.Generator().manual_seed(4),
            output_type="latent",
        ).frames
        return latents[:, :, 1:] if reference else latents

    return run


@pytest.fixture
def ours(options, generate, monkeypatch):
    """Return the latents of the backbone for guidance."""

    def run(clip, scene=None, **given):
        seen, decode = [], engine.decode_frames
        monkeypatch.setattr(engine, "decode_frames", lambda n, latents: seen.append(latents) or decode(n, latents))
        settings = {"prompt": PROMPTS["prompt"], "negative_prompt": PROMPTS["negative_prompt"], "steps": 3, "shift": 8}
        generate(options(**settings, **given), clip, scene, seed=4)
        return seen[0]

    return run


@pytest.mark.parametrize("guided", [5.0, 1.0])
def test_latents_are_those_of_diffusers(theirs, ours, known, guided):
    clip = known(9)
    expected = theirs(clip, scale=1.0, guided=guided)
    assert (ours(clip, guidance=guided) - expected).abs().max() < LIMIT
    assert expected.std() > 0.1


def test_with_scales_of_the_control_and_a_reference_picture_too(theirs, ours, known, scene):
    clip = known(5)
    picture = Image.fromarray(scene.video.frames[0].numpy())
    expected = theirs(clip, scale=[0.7, 1.2], guided=5.0, reference=picture)
    given = {"conditioning_scale": "0.7,1.2", "reference": "first"}
    assert (ours(clip, scene, **given) - expected).abs().max() < LIMIT
    assert (ours(clip, **{**given, "reference": "none"}) - expected).abs().max() > 100 * LIMIT
    assert (ours(clip, scene, reference="first") - expected).abs().max() > 100 * LIMIT
