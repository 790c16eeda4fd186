"""`help()` of every public value states shape, type and unit of what it holds."""

import pydoc
import re

import attrs
import numpy as np
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core import types

VALUES = [value for name in types.__all__ if attrs.has(value := getattr(types, name))]
LENS = ex4d.Intrinsics.from_fov(width=4, height=3)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_help_describes_every_field_with_its_shape_or_meaning(value):
    text = " ".join(re.sub(r"\s+\|? *", " ", pydoc.plaintext.document(value)).split())
    for name in (field.name for field in attrs.fields(value)):
        described = re.search(rf"\b{name}: ([^.]+)", text.partition("Attributes:")[2])
        assert described, f"{name} is not described"
        if "Tensor" in str(value.__annotations__.get(name, "")):
            assert re.match(r"(uint8|bool|float32|int32) \[[A-Z0-9, ]+\]", described[1]), described[1]


def test_help_describes_every_setting():
    text = pydoc.plaintext.document(ex4d.RunConfig).partition("Attributes:")[2]
    assert all(re.search(rf"\b{field.name}: \w", text) for field in attrs.fields(ex4d.RunConfig))
    assert "seed: Seed of all random choices." in text


def test_help_names_the_values_of_a_run():
    kinds = {"path": "CameraPath", "guidance": "Guidance", "video": "Video", "scene": "Scene"}
    of_path = {name: getattr(ex4d.PathRun, name).__doc__ for name in kinds}
    assert all(f"`{kinds[name]}`" in text for name, text in of_path.items())
    of_clip = {"video": "Video", "estimated_depth": "DepthVideo", "scene": "Scene"}
    assert all(f"`{kind}`" in getattr(ex4d.ClipRun, name).__doc__ for name, kind in of_clip.items())


def test_help_describes_every_kind_of_depth():
    assert all(f"{kind.name}, " in pydoc.plaintext.document(ex4d.DepthKind) for kind in ex4d.DepthKind)


def test_values_become_arrays():
    path = ex4d.CameraPath(world_to_camera=np.eye(4)[None], intrinsics=LENS)
    assert (path.numpy().shape, path.numpy().dtype) == ((1, 4, 4), np.float32)
    mesh = ex4d.Mesh(
        vertices=np.zeros((3, 3)),
        faces=np.array([[0, 1, 2]], np.int32),
        vertex_colors=np.zeros((3, 3), np.uint8),
        face_occluded=np.zeros(1, bool),
    )
    vertices, faces = mesh.numpy()
    assert (vertices.shape, faces.tolist()) == ((3, 3), [[0, 1, 2]])
    view = ex4d.RenderedFrame(
        color=np.zeros((3, 4, 3), np.uint8), mask=torch.ones(3, 4, dtype=torch.bool), depth=np.ones((3, 4))
    )
    color, mask, depth = view.numpy()
    assert (color.dtype, mask.dtype, depth.dtype) == (np.uint8, np.bool_, np.float32)
