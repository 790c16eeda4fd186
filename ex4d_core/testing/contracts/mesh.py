"""Contract of mesh builders."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from ex4d_core.errors import Ex4dError
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import MeshBuilder
from ex4d_core.testing.contracts._values import installed, room
from ex4d_core.testing.contracts.component import ComponentContract, Inputs
from ex4d_core.types import Mesh, RenderedFrame


class MeshBuilderContract(ComponentContract):
    """Tests of a mesh builder, on a frame of a synthetic room."""

    role = "mesh"

    closed: ClassVar[bool] = False
    """Claims that the mesh is closed."""

    @pytest.fixture
    def inputs(self) -> Inputs:
        """A frame with exact depth."""
        scene = room(1)
        return {
            "frame": scene.video.frames[0],
            "depth": scene.depth.depth[0],
            "intrinsics": scene.depth.intrinsics_at(0),
        }

    @pytest.fixture
    def bad_inputs(self, inputs: Inputs) -> list[Inputs]:
        """Depth of another size than the frame."""
        return [{**inputs, "depth": inputs["depth"][:-5]}]

    def call(self, component: MeshBuilder, inputs: Inputs, progress: Progress = silent) -> Mesh:
        """Build a mesh."""
        return component.build(**inputs)

    def misfit(self, result: Any, inputs: Inputs) -> str:
        """Check device, lengths and values of the mesh."""
        if not isinstance(result, Mesh):
            return f"it is a {type(result).__name__}, not a Mesh"
        if result.device.type != torch.device(self.device).type:
            return f"it is on {result.device}, not on {self.device}"
        if len(result.vertex_colors) != len(result.vertices) or len(result.face_occluded) != len(result.faces):
            return "it does not have one color for each vertex and one flag for each face"
        if result.max_stretch is not None and len(result.max_stretch) != len(result.faces):
            return "it does not have one `max_stretch` for each face"
        if len(result.faces) == 0:
            return "it has no faces"
        if result.faces.min() < 0 or result.faces.max() >= len(result.vertices):
            return "a face has an index that is not a vertex"
        return "" if torch.isfinite(result.vertices).all() else "a vertex is not finite"

    def test_source_view_reproduces_the_frame(self, result: Mesh, inputs: Inputs) -> None:
        view = _source_view(result, inputs)
        visible = view.mask
        fraction = float(visible.float().mean())
        assert fraction > 0.5, f"a surface is visible in {fraction:.0%} of the pixels"
        error = float((view.color[visible].float() - inputs["frame"][visible].float()).abs().mean())
        assert error < 8, f"the mean error of colors is {error:.0f} of 255"  # allows an offset of half a pixel

    def test_surface_matches_the_depth(self, result: Mesh, inputs: Inputs) -> None:
        view = _source_view(result, inputs)
        error = float((view.depth / inputs["depth"] - 1).abs()[view.mask].median())
        assert error < 0.01, f"the median relative error of depth is {error:.1%}"

    def test_does_not_render_invalid_regions(self, component: MeshBuilder, result: Mesh, inputs: Inputs) -> None:
        valid = torch.ones_like(inputs["depth"], dtype=torch.bool)
        valid[12:36, 16:48] = False
        view = _source_view(self.call(component, {**inputs, "valid": valid}), inputs)
        assert not view.mask[16:32, 20:44].any(), "a surface is visible where `valid` is False"

    @pytest.mark.parametrize("unknown", [float("nan"), float("inf"), 0.0, -1.0])
    def test_handles_invalid_depth(self, component: MeshBuilder, result: Mesh, inputs: Inputs, unknown: float) -> None:
        depth = inputs["depth"].clone()
        depth[12:36, 16:48] = unknown
        with_hole = {**inputs, "depth": depth}
        mesh = self.call(component, with_hole)
        assert not (fault := self.misfit(mesh, with_hole)), fault
        assert not _source_view(mesh, inputs).mask[16:32, 20:44].any(), (
            f"a surface is visible where the depth is {unknown}"
        )

    def test_handles_a_frame_without_valid_depth(self, component: MeshBuilder, result: Mesh, inputs: Inputs) -> None:
        try:
            mesh = self.call(component, {**inputs, "depth": torch.zeros_like(inputs["depth"])})
        except Ex4dError:
            return
        assert not _source_view(mesh, inputs).mask.any(), "a surface is visible although all depth is 0"

    def test_surface_is_watertight(self, result: Mesh) -> None:
        if not self.closed:
            pytest.skip("it does not claim a closed mesh")
        faces = result.faces.cpu().numpy()
        edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        _, faces_at = np.unique(edges, axis=0, return_counts=True)
        open_edges = int((faces_at % 2 == 1).sum())
        assert not open_edges, f"{open_edges} of {len(faces_at)} edges have an odd number of faces"


def _source_view(mesh: Mesh, inputs: Inputs) -> RenderedFrame:
    """Render a mesh from the source camera, with the `zbuffer` renderer."""
    view: RenderedFrame = installed("renderer", "zbuffer").render(mesh.to("cpu"), torch.eye(4), inputs["intrinsics"])
    return view
