"""Tiny checkpoints of Depth Anything 3 and Video Depth Anything in the layout of the released files.

`golden/shapes.json` has the names and shapes of all tensors that the released code of Depth Anything 3 writes for a
transformer of 128 channels and 6 blocks; `golden/da3.npz` has what that code predicts for the values of `tensor`.
`golden/vda_shapes.json` and `golden/vda.npz` are those of Video Depth Anything, for 128 channels and 4 blocks.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).parent / "golden"


def tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the values of a tensor, drawn from its name."""
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    norms = ("norm.weight", "norm1.weight", "norm2.weight", "norms.0.weight", "norms.1.weight", "gamma")
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    if name.endswith((*norms, "_aux.0.2.weight", "fc_fov.0.bias")) or name == "head.scratch.output_conv2.2.bias":
        values = 1 + 0.1 * values
    elif "pos_embed" in name or "token" in name:
        values = 0.5 * values
    elif "output_conv2" in name and shape[2:] == (1, 1):
        values = 0.03 * values
    elif "fc_fov" in name:
        values = 0.1 * values / fan**0.5
    else:
        values = values * (fan**-0.5 if len(shape) > 1 else 0.1)
    return torch.from_numpy(np.asarray(values, np.float32))


def config_of(kind: str) -> dict[str, object]:
    """Return the configuration in the form of the released ones."""
    start = 2 if kind == "any" else -1
    net = {"name": "tiny", "out_layers": [2, 3, 4, 5], "cat_token": kind == "any"}
    starts = dict.fromkeys(("alt_start", "qknorm_start", "rope_start"), start)
    head = {"__object__": {"name": "DualDPT" if kind == "any" else "DPT", "args": "as_params"}}
    return {"model_name": f"da3-{kind}", "config": {"net": {**net, **starts}, "head": head}}


@pytest.fixture(scope="session")
def golden():
    """Predictions of the released code."""
    return np.load(GOLDEN / "da3.npz")


@pytest.fixture(scope="session")
def shapes():
    """Shapes of all tensors by kind, `any` or `metric`, and name."""
    return json.loads((GOLDEN / "shapes.json").read_text())


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory, shapes):
    """Folders with a checkpoint: `any` views, and `metric`."""
    folders = {}
    for kind, names in shapes.items():
        folders[kind] = tmp_path_factory.mktemp(f"da3-{kind}")
        save_file(
            {name: tensor(name, tuple(shape)) for name, shape in names.items()}, folders[kind] / "model.safetensors"
        )
        (folders[kind] / "config.json").write_text(json.dumps(config_of(kind)))
    return folders


@pytest.fixture(scope="session")
def video_golden():
    """Predictions of the released code of Video Depth Anything."""
    return np.load(GOLDEN / "vda.npz")


@pytest.fixture(scope="session")
def video_checkpoint(tmp_path_factory):
    """A folder with a checkpoint of Video Depth Anything."""
    folder = tmp_path_factory.mktemp("vda")
    shapes = json.loads((GOLDEN / "vda_shapes.json").read_text())
    tensors = {name: tensor(name, tuple(shape)) for name, shape in shapes.items()}
    torch.save(tensors, folder / "video_depth_anything_vits.pth")
    return folder
