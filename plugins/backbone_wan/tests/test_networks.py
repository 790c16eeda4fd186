"""The number of GPUs decides what denoises, and the memory whether the VAE works in tiles."""

import pytest
import torch

from ex4d_backbone_wan.compute.engine import Engine, EngineConfig
from ex4d_backbone_wan.networks import Networks, make_denoiser
from ex4d_backbone_wan.parallel.denoiser import ParallelDenoiser
from ex4d_core.errors import InvalidInput

CPU = torch.device("cpu")


def test_more_gpus_are_more_processes():
    config = EngineConfig(source=None, dtype=torch.float32)
    assert isinstance(make_denoiser(config, device=CPU, gpus=1, guided=True), Engine)
    assert isinstance(make_denoiser(config, device=CPU, gpus=2, guided=True), ParallelDenoiser)


def test_one_gpu_that_is_named_and_several_contradict_each_other():
    config = EngineConfig(source=None, dtype=torch.float32)
    with pytest.raises(InvalidInput, match=r"--gpus 2 uses the first 2 GPUs, not cuda:1; .*CUDA_VISIBLE_DEVICES"):
        make_denoiser(config, device=torch.device("cuda:1"), gpus=2, guided=True)


@pytest.mark.parametrize(
    ("given", "in_tiles"),
    [
        ({}, False),
        ({"tiling": "on"}, True),
        ({"memory": "auto"}, False),  # the memory of the CPU is not limited
        ({"memory": "24"}, False),
        ({"memory": "2"}, True),
        ({"memory": "2", "tiling": "off"}, False),
    ],
)
def test_the_vae_works_in_tiles_where_whole_frames_do_not_fit(options, given, in_tiles):
    networks = Networks(options(dtype="bfloat16", **given), device=CPU)
    with networks.coding((49, 3, 512, 512)) as vae:
        assert vae.use_tiling == in_tiles


def test_a_small_video_needs_no_tiles_after_a_large_one(options):
    networks = Networks(options(memory="2"), device=CPU)
    seen = []
    for side in (512, 64):
        with networks.coding((49, 3, side, side)) as vae:
            seen.append(vae.use_tiling)
    assert seen == [True, False]
