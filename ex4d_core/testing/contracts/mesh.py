"""What a mesh builder must do."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from ex4d_core.errors import Ex4dError
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import MeshBuilder
from ex4d_core.testing.contracts._values import room
from ex4d_core.testing.contracts.component import ComponentContract, Inputs
from ex4d_core.types import Mesh, RenderedFrame


class MeshBuilderContract(ComponentContract):
    """Tests of a mesh builder, on a frame of a synthetic room."""

    role = "mesh"

    closed: ClassVar[bool] = False
    """Claims that the surface has no border."""

    @pytest.fixture
    def inputs(self) -> Inputs:
        """A frame with its exact depth."""
        scene = room(1)
        return {
            "frame": scene.video.frames[0],
            "depth": scene.depth.depth[0],
            "intrinsics": scene.depth.intrinsics_at(0),
        }

    @pytest.fixture
    def bad_inputs(self, inputs: Inputs) -> list[Inputs]:
        """Depth of another size than the frame's."""
        return [{**inputs, "depth": inputs["depth"][:-5]}]

    def call(self, component: MeshBuilder, inputs: Inputs, progress: Progress = silent) -> Mesh:
        """Build a mesh."""
        return component.build(**inputs)

    def misfit(self, result: Any, inputs: Inputs) -> str:
        """A mesh is on the device of the depth, and its lists belong together."""
        if not isinstance(result, Mesh):
            return f"it is a {type(result).__name__}, not a Mesh"
        if result.device.type != torch.device(self.device).type:
            return f"it is on {result.device}, not on {self.device}"
        if len(result.vertex_colors) != len(result.vertices) or len(result.face_occluded) != len(result.faces):
            return "it has not one color for each vertex and one flag for each face"
        if len(result.faces) == 0:
            return "it has no faces"
        if result.faces.min() < 0 or result.faces.max() >= len(result.vertices):
            return "a face names a vertex that does not exist"
        return "" if torch.isfinite(result.vertices).all() else "a vertex is not a number"

    def test_source_view_reproduces_the_frame(self, result: Mesh, inputs: Inputs) -> None:
        view = _seen(result, inputs)
        seen = view.mask
        share = float(seen.float().mean())
        assert share > 0.5, f"it sees a surface in {share:.0%} of its pixels"
        error = float((view.color[seen].float() - inputs["frame"][seen].float()).abs().mean())
        assert error < 8, f"colors are {error:.0f} of 255 off"  # pixels may be sampled half a pixel aside

    def test_surface_matches_the_depth(self, result: Mesh, inputs: Inputs) -> None:
        view = _seen(result, inputs)
        error = float((view.depth / inputs["depth"] - 1).abs()[view.mask].median())
        assert error < 0.01, f"the median error is {error:.1%} of the depth"

    def test_does_not_render_invalid_regions(self, component: MeshBuilder, result: Mesh, inputs: Inputs) -> None:
        valid = torch.ones_like(inputs["depth"], dtype=torch.bool)
        valid[12:36, 16:48] = False
        view = _seen(self.call(component, {**inputs, "valid": valid}), inputs)
        assert not view.mask[16:32, 20:44].any(), "a surface is seen where `valid` is False"

    @pytest.mark.parametrize("unknown", [float("nan"), float("inf"), 0.0, -1.0])
    def test_handles_invalid_depth(self, component: MeshBuilder, result: Mesh, inputs: Inputs, unknown: float) -> None:
        depth = inputs["depth"].clone()
        depth[12:36, 16:48] = unknown
        holey = {**inputs, "depth": depth}
        mesh = self.call(component, holey)
        assert not (fault := self.misfit(mesh, holey)), fault
        assert not _seen(mesh, inputs).mask[16:32, 20:44].any(), f"a surface is seen where the depth is {unknown}"

    def test_handles_a_frame_without_valid_depth(self, component: MeshBuilder, result: Mesh, inputs: Inputs) -> None:
        try:
            mesh = self.call(component, {**inputs, "depth": torch.zeros_like(inputs["depth"])})
        except Ex4dError:
            return
        assert not _seen(mesh, inputs).mask.any(), "a surface is seen where the depth is 0 everywhere"

    def test_surface_is_watertight(self, result: Mesh) -> None:
        if not self.closed:
            pytest.skip("it does not claim to be closed")
        faces = result.faces.cpu().numpy()
        edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        _, faces_at = np.unique(edges, axis=0, return_counts=True)
        open_ones = int((faces_at % 2 == 1).sum())
        assert not open_ones, f"{open_ones} of {len(faces_at)} edges have an odd number of faces"


def _seen(mesh: Mesh, inputs: Inputs) -> RenderedFrame:
    """Return what the source camera sees of a mesh, by the renderer that comes with the core."""
    registry = Registry()
    offer = registry.find("renderer", "zbuffer")
    here = Mesh(
        vertices=mesh.vertices.cpu(),
        faces=mesh.faces.cpu(),
        vertex_colors=mesh.vertex_colors.cpu(),
        face_occluded=mesh.face_occluded.cpu(),
    )
    renderer = registry.make(offer, offer.spec.options(), device=torch.device("cpu"))
    view: RenderedFrame = renderer.render(here, torch.eye(4), inputs["intrinsics"])
    return view
