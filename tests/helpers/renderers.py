"""The renderers that tests compare, those for a GPU behind meshes and views on the CPU."""

import pytest
import torch

from ex4d_core.builtin.render_options import RasterOptions, TorchOptions
from ex4d_core.builtin.render_raycast import RaycastRenderer
from ex4d_core.builtin.render_torch import TorchRenderer
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.errors import PluginFailed
from ex4d_core.types import RenderedFrame

CPU = torch.device("cpu")


def raycast(options=None):
    try:
        return RaycastRenderer(options or RasterOptions(), device=CPU)
    except PluginFailed as error:
        pytest.skip(str(error))


def zbuffer(options=None):
    return ZBufferRenderer(options or RasterOptions(), device=CPU)


def seen_range(options):
    """Return near and far of other options as keywords."""
    return {"near": options.near, "far": options.far} if options else {}


class OnGpu:
    """A renderer whose meshes and views are carried to a GPU and back."""

    def __init__(self, renderer):
        self.there = renderer

    def render(self, mesh, pose, intrinsics):
        there = mesh.to("cuda")
        view = self.there.render(there, pose, intrinsics)
        assert {view.color.device, view.mask.device, view.depth.device} == {there.device}
        return RenderedFrame(color=view.color.cpu(), mask=view.mask.cpu(), depth=view.depth.cpu())


def in_torch(options=None, device="cpu", triton=True):
    options = TorchOptions(**seen_range(options), triton=triton)
    return TorchRenderer(options, device=torch.device(device))


def in_torch_on_gpu(options=None):
    return OnGpu(in_torch(options, "cuda", triton=False))


def in_triton(options=None):
    pytest.importorskip("triton")
    return OnGpu(in_torch(options, "cuda"))


def nvdiffrast(options=None):
    renderer = pytest.importorskip("ex4d_render_nvdiffrast.renderer", exc_type=ImportError)
    options = renderer.NvdiffrastOptions(**seen_range(options))
    return OnGpu(renderer.NvdiffrastRenderer(options, device=torch.device("cuda")))


ON_GPU = [
    pytest.param(make, marks=pytest.mark.gpu, id=make.__name__) for make in (in_torch_on_gpu, in_triton, nvdiffrast)
]
"""Those that need a GPU; nvdiffrast also needs to be installed."""


def assert_same(a, b):
    assert torch.equal(a.color, b.color)
    assert torch.equal(a.mask, b.mask)
    assert torch.equal(a.depth, b.depth)
