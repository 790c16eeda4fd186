"""Devices that a run is asked to train on."""

import pytest
import torch

from ex4d_core.errors import InvalidConfig
from ex4d_training.run import train


def test_devices_that_are_not_there_are_refused(config):
    for device in ("gpu", "meta", "cuda:99999999999999999999"):
        with pytest.raises(InvalidConfig, match=rf"machine.device must be auto, cpu, cuda or cuda:1, not '{device}'"):
            train(config(machine={"device": device}))
    if not torch.backends.mps.is_available():
        with pytest.raises(InvalidConfig, match=r"machine.device is mps, but torch finds no such GPU"):
            train(config(machine={"device": "mps"}))
    if not torch.cuda.is_available():
        with pytest.raises(InvalidConfig, match=r"machine.device is cuda, but torch finds no GPU"):
            train(config(machine={"device": "cuda"}))
        with pytest.raises(InvalidConfig, match=r"--num-gpus is 8, but this machine has 0; use --num-gpus 1"):
            train(config(machine={"num_gpus": 8, "device": "auto"}))
