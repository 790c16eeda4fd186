"""Facts about the renderer itself, on a GPU with nvdiffrast installed."""

import pytest
import torch

from ex4d_core.errors import InvalidConfig
from ex4d_core.types import Intrinsics, Mesh
from ex4d_render_nvdiffrast.options import NvdiffrastOptions

pytestmark = pytest.mark.gpu
SQUARE = Intrinsics.from_focal(100, width=64, height=48)


def renderer(device="cuda", **options):
    module = pytest.importorskip("ex4d_render_nvdiffrast.renderer", exc_type=ImportError)
    return module.NvdiffrastRenderer(NvdiffrastOptions(**options), device=torch.device(device))


def tilted_quad(device="cuda"):
    """Return a white quad whose edges run across pixels."""
    corners = [[-0.2, -0.13, 1], [0.17, -0.1, 1], [0.2, 0.13, 1], [-0.17, 0.1, 1]]
    mesh = Mesh(
        vertices=torch.tensor(corners),
        faces=torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32),
        vertex_colors=torch.full((4, 3), 255, dtype=torch.uint8),
        face_occluded=torch.zeros(2, dtype=torch.bool),
    )
    return mesh.to(device)


def test_antialiasing_blends_edges_and_nothing_else():
    mesh, pose = tilted_quad(), torch.eye(4)
    plain = renderer().render(mesh, pose, SQUARE)
    blended = renderer(antialias=True).render(mesh, pose, SQUARE)
    assert set(plain.color.unique().tolist()) == {0, 255}
    between = (blended.color > 0) & (blended.color < 255)
    assert between.any()
    assert torch.equal(blended.color[20:28, 25:39], plain.color[20:28, 25:39])
    assert torch.equal(blended.depth, plain.depth)


def test_frames_that_share_their_faces_share_the_hash_of_edges():
    one, mesh = renderer(antialias=True), tilted_quad()
    one.render(mesh, torch.eye(4), SQUARE)
    kept = one._topology
    one.render(mesh, torch.eye(4), SQUARE)
    assert one._topology is kept
    one.render(tilted_quad(), torch.eye(4), SQUARE)
    assert one._topology is not kept


def test_a_mesh_on_the_cpu_is_seen_on_the_cpu():
    view = renderer(antialias=True).render(tilted_quad("cpu"), torch.eye(4), SQUARE)
    assert {view.color.device.type, view.mask.device.type, view.depth.device.type} == {"cpu"}
    assert view.mask.any()


def test_a_device_that_is_no_nvidia_gpu_is_an_error():
    with pytest.raises(InvalidConfig, match="needs an NVIDIA GPU, not cpu; use torch or zbuffer there"):
        renderer("cpu")
