"""Facts about what is kept of a generation that is not finished."""

from __future__ import annotations

import pytest
import torch

from ex4d_backbone_wan.resume import PartialResults


def test_of_a_new_one_nothing_is_known(tmp_path):
    assert PartialResults(tmp_path).finished() == (0, None)
    assert PartialResults(tmp_path).latents(0) == (0, None)


def test_steps_and_windows_are_found_again(tmp_path):
    latents, frames = torch.randn(1, 16, 2, 4, 4), torch.randint(0, 256, (5, 8, 8, 3), dtype=torch.uint8)
    PartialResults(tmp_path).step(1, 7, latents)
    PartialResults(tmp_path).finish(1, frames)
    step, found = PartialResults(tmp_path).latents(1)
    windows, made = PartialResults(tmp_path).finished()
    assert (step, windows) == (7, 1)
    assert torch.equal(found, latents)
    assert torch.equal(made, frames)


def test_latents_of_another_window_do_not_count(tmp_path):
    PartialResults(tmp_path).step(0, 7, torch.zeros(1, 16, 1, 2, 2))
    assert PartialResults(tmp_path).latents(1) == (0, None)


def test_the_last_step_replaces_those_before(tmp_path):
    for step in (1, 2, 3):
        PartialResults(tmp_path).step(0, step, torch.full((1, 16, 1, 2, 2), float(step)))
    step, latents = PartialResults(tmp_path).latents(0)
    assert (step, latents.unique().tolist()) == (3, [3.0])
    assert [file.name for file in tmp_path.iterdir()] == ["latents.safetensors"]


@pytest.mark.parametrize("content", [b"", b"no tensors at all", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_what_cannot_be_read_is_made_again(tmp_path, content):
    (tmp_path / "latents.safetensors").write_bytes(content)
    (tmp_path / "frames.safetensors").write_bytes(content)
    assert PartialResults(tmp_path).latents(0) == (0, None)
    assert PartialResults(tmp_path).finished() == (0, None)


def test_without_a_folder_nothing_is_kept():
    unfinished = PartialResults(None)
    unfinished.step(0, 1, torch.zeros(1, 16, 1, 2, 2))
    assert unfinished.latents(0) == (0, None)
