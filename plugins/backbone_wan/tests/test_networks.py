"""The number of GPUs decides what denoises."""

import pytest
import torch

from ex4d_backbone_wan.compute.engine import Engine, EngineConfig
from ex4d_backbone_wan.networks import make_denoiser
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
