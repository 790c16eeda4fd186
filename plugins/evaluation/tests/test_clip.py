"""Consistency of frames by CLIP: a tiny network with random weights, in the layout that is downloaded."""

import numpy as np
import pytest
import torch

from ex4d_evaluation import networks, score
from ex4d_evaluation.metrics.clip import clip_consistency

TINY = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def network(cached):
    """Save a tiny CLIP as `pytorch_model.bin`; return its model."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    vision = {**TINY, "image_size": 12, "patch_size": 4, "projection_dim": 8}
    text = {**TINY, "vocab_size": 9, "projection_dim": 8}
    config = transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=8)
    model = transformers.CLIPModel(config).eval()
    folder = cached("CLIP ViT-B/32")
    config.save_pretrained(folder)
    old = {"vision_model.embeddings.position_ids": torch.arange(10)[None]}  # older versions saved it
    torch.save({**model.state_dict(), **old}, folder / "pytorch_model.bin")
    networks.clip.cache_clear()
    yield model
    networks.clip.cache_clear()


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (4, 12, 18, 3)).astype(np.uint8)


def test_embeddings_are_those_of_the_whole_model(network, frames):
    cut = torch.from_numpy(frames[:, :, 3:15]).movedim(3, 1) / 255
    mean, std = (torch.tensor(each)[:, None, None] for each in (networks.CLIP_MEAN, networks.CLIP_STD))
    with torch.no_grad():
        found = network.get_image_features(pixel_values=(cut - mean) / std)
    expected = torch.nn.functional.normalize(getattr(found, "pooler_output", found), dim=1)
    np.testing.assert_allclose(networks.clip_features(frames), expected, atol=1e-6)


def test_frames_are_resized_by_their_shorter_side(network, frames):
    assert networks.clip_features(frames.repeat(2, axis=1).repeat(2, axis=2)).shape == (4, 8)
    assert networks.clip_features(frames[:, :9]).shape == (4, 8)


def test_cosines_are_those_of_consecutive_frames(network, frames):
    a, b, c, d = networks.clip_features(frames)
    found = clip_consistency(frames, frames, None)
    np.testing.assert_allclose(found["clip_frames"], [np.nan, a @ b, b @ c, c @ d], rtol=1e-6)
    floor = [(max(x @ y, 0) + max(x @ a, 0)) / 2 for x, y in ((b, a), (c, b), (d, c))]
    np.testing.assert_allclose(found["clip_vbench"], [np.nan, *floor], rtol=1e-6)


def test_a_still_video_is_consistent(network, frames):
    found = clip_consistency(frames[[0, 0, 0]], frames, None)
    np.testing.assert_allclose(found["clip_frames"][1:], 1, rtol=1e-6)
    assert np.isnan(clip_consistency(frames[:1], frames, None)["clip_frames"]).all()


def test_the_table_has_it_if_the_weights_are_here(network, desk):
    desk.result("mine", desk.truth()[0])
    scores = score(desk.folder)
    assert "clip" not in scores.missing
    assert scores.summary("mine", "clip_frames/all").mean < 1
