"""What holds for rendering on a GPU: nothing waits, pictures repeat, and `auto` chooses well."""

import importlib.util
from importlib.machinery import ModuleSpec

import attrs
import pytest
import torch

from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.pipeline.stages import FRAMES_AT_ONCE, render_guidance
from ex4d_core.plugins.registry import Registry
from ex4d_core.types import CameraPath, DepthVideo, Intrinsics, Scene, Video
from tests.helpers.render_scenes import orbit, painted, stepped_depth, stepped_mesh
from tests.helpers.renderers import CPU, assert_same, in_torch, in_torch_on_gpu, in_triton, nvdiffrast


@pytest.mark.gpu
@pytest.mark.parametrize("make_one", [in_torch_on_gpu, in_triton])
def test_a_picture_from_the_gpu_is_the_same_each_time(make_one):
    camera = Intrinsics.from_fov(80, width=512, height=288)
    mesh = stepped_mesh(camera)
    first = make_one().render(mesh, orbit(33), camera)
    for _ in range(3):
        assert_same(make_one().render(mesh, orbit(33), camera), first)


@pytest.mark.gpu
def test_triton_kernels_draw_what_plain_torch_draws():
    camera = Intrinsics.from_fov(80, width=333, height=201)
    mesh = stepped_mesh(camera)
    for yaw in (0, 45, -80, 120, 180):
        plain, fast = (make_one().render(mesh, orbit(yaw), camera) for make_one in (in_torch_on_gpu, in_triton))
        differs = (plain.mask != fast.mask) | ((plain.color.int() - fast.color.int()).abs().amax(-1) > 1)
        assert differs.sum() <= 3, yaw  # rounding, where an edge goes through a pixel's middle


@pytest.mark.gpu
def test_where_triton_cannot_compile_plain_torch_draws(monkeypatch):
    kernels = pytest.importorskip("ex4d_core.builtin._raster_kernels", exc_type=ImportError)
    camera = Intrinsics.from_fov(80, width=96, height=64)
    mesh = stepped_mesh(camera)
    monkeypatch.setattr(kernels, "_project", None)
    kernels.works.cache_clear()
    try:
        assert_same(in_triton().render(mesh, orbit(20), camera), in_torch_on_gpu().render(mesh, orbit(20), camera))
    finally:
        kernels.works.cache_clear()


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("make_one", [in_triton, nvdiffrast])
def test_nothing_waits_for_the_gpu_from_depth_to_picture(make_one):
    camera = Intrinsics.from_fov(80, width=96, height=64)
    frame, depth = painted(64, 96).cuda(), stepped_depth(camera).cuda()
    builder, renderer = WatertightMesh(WatertightOptions(), device=depth.device), make_one().there

    def view(yaw):
        return renderer.render(builder.build(frame, depth, camera), orbit(yaw), camera)

    view(10)  # compiles, and looks at the list of faces
    try:
        torch.cuda.set_sync_debug_mode("error")
        second = view(20)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert second.mask.any()


@pytest.mark.gpu
def test_guidance_from_a_gpu_is_that_of_the_cpu():
    frames = FRAMES_AT_ONCE + 3
    camera = Intrinsics.from_fov(80, width=96, height=64)
    lenses = tuple(attrs.evolve(camera, fx=camera.fx + frame) for frame in range(frames))
    depth = torch.stack([stepped_depth(lens) for lens in lenses])
    some = torch.rand(depth.shape, generator=torch.Generator().manual_seed(0)) > 0.05
    depth = DepthVideo(depth=depth, kind="metric", intrinsics=lenses, valid=some)
    video = Video(frames=torch.stack([painted(64, 96).roll(frame, 1) for frame in range(frames)]), fps=30)
    path = CameraPath(world_to_camera=torch.stack([orbit(3 * frame) for frame in range(frames)]), intrinsics=lenses)
    told = []

    def guidance(device):
        told.clear()
        builder, renderer = WatertightMesh(WatertightOptions(), device=device), in_torch(device=device)
        scene = Scene(video=video, depth=depth)
        return render_guidance(
            scene, path, builder, renderer, device=device, progress=lambda done, total: told.append((done, total))
        )

    here, there = guidance(CPU), guidance(torch.device("cuda"))
    assert told == [(0, frames), (FRAMES_AT_ONCE, frames), (frames, frames)]
    assert there.color.device.type == "cpu"
    assert here.mask[1:].any()
    assert (here.mask != there.mask).float().mean() < 1e-3
    assert ((here.color.int() - there.color.int()).abs().amax(-1) > 1).float().mean() < 1e-3


def auto_renderer(device_type, monkeypatch, *, nvdiffrast_found):
    """Return the name of the renderer that `auto` takes."""
    found = ModuleSpec("nvdiffrast", None) if nvdiffrast_found else None
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found if name == "nvdiffrast" else find_spec(name))
    return Registry().choose("renderer", device_type).offer.name


def test_auto_takes_torch_on_a_gpu_and_the_z_buffer_elsewhere(monkeypatch):
    assert auto_renderer("cuda", monkeypatch, nvdiffrast_found=False) == "torch"
    assert auto_renderer("mps", monkeypatch, nvdiffrast_found=True) == "torch"
    assert auto_renderer("cpu", monkeypatch, nvdiffrast_found=True) == "zbuffer"
