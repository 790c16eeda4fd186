"""Contract of renderers."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import pytest
import torch
from torch import Tensor

from ex4d_core.geometry.projective import look_at
from ex4d_core.progress import Progress, silent
from ex4d_core.roles import Renderer
from ex4d_core.testing.contracts._values import installed, room
from ex4d_core.testing.contracts.component import ComponentContract, Inputs
from ex4d_core.types import Intrinsics, Mesh, RenderedFrame

LENS = Intrinsics.from_focal(100, width=64, height=48)
"""Camera of the views of single squares."""

RED, GREEN = (255, 0, 0), (0, 255, 0)


class RendererContract(ComponentContract):
    """Tests of a renderer, on single squares and on the mesh of a synthetic room."""

    role = "renderer"

    twin: ClassVar[str] = "zbuffer"
    """The renderer that it must match."""

    @pytest.fixture
    def inputs(self) -> Inputs:
        """The room from a camera that is to the right and slightly turned."""
        scene = room(1)
        builder = installed("mesh", "watertight")
        lens = scene.depth.intrinsics_at(0)
        mesh = builder.build(scene.video.frames[0], scene.depth.depth[0], lens)
        pose = torch.eye(4)
        pose[:3, :3] = _turned(8)
        pose[0, 3] = -0.3
        return {"mesh": self._there(mesh), "world_to_camera": pose, "intrinsics": lens}

    @pytest.fixture
    def bad_inputs(self, inputs: Inputs) -> list[Inputs]:
        """A pose of another shape, and a face with an index that is not a vertex."""
        faces = inputs["mesh"].faces.clone()
        seen = int(torch.nonzero(~inputs["mesh"].face_occluded)[0])
        faces[seen, 0] = len(inputs["mesh"].vertices)
        return [
            {**inputs, "world_to_camera": inputs["world_to_camera"][:3]},
            {**inputs, "mesh": attrs.evolve(inputs["mesh"], faces=faces)},
        ]

    def call(self, component: Renderer, inputs: Inputs, progress: Progress = silent) -> RenderedFrame:
        """Render one view."""
        return component.render(**inputs)

    def misfit(self, result: Any, inputs: Inputs) -> str:
        """Check size and device of the view."""
        if not isinstance(result, RenderedFrame):
            return f"it is a {type(result).__name__}, not a RenderedFrame"
        size = (inputs["intrinsics"].height, inputs["intrinsics"].width)
        if {result.color.shape[:2], result.mask.shape, result.depth.shape} != {size}:
            return f"color is {list(result.color.shape)} and the view is {size[1]}x{size[0]}"
        if {result.color.device, result.mask.device, result.depth.device} != {inputs["mesh"].device}:
            return f"it is on {result.color.device} and the mesh on {inputs['mesh'].device}"
        return ""

    def test_color_is_0_where_the_mask_is_false(self, result: RenderedFrame) -> None:
        assert result.mask.any(), "the mask is False everywhere"
        assert not result.mask.all(), "the mask is True everywhere, also in the background"
        assert not result.color[~result.mask].any(), f"up to {int(result.color[~result.mask].max())} where it is False"

    def test_matches_the_reference_renderer(self, result: RenderedFrame, inputs: Inputs) -> None:
        mesh = inputs["mesh"].to("cpu")
        twin = installed("renderer", self.twin).render(mesh, inputs["world_to_camera"], inputs["intrinsics"])
        mask, depth = result.mask.cpu(), result.depth.cpu()
        agreed, both = float((mask == twin.mask).float().mean()), mask & twin.mask
        assert agreed > 0.99, f"the mask is equal to that of {self.twin} in {agreed:.1%} of the pixels"
        error = float((result.color.cpu()[both].float() - twin.color[both].float()).abs().mean())
        assert error < 1, f"colors differ from those of {self.twin} by {error:.1f} of 255"
        # Pixels on an outline may show either surface.
        agreed = float(((depth / twin.depth - 1).abs()[both] < 1e-3).float().mean())
        assert agreed > 0.98, f"the depth (along z) is equal to that of {self.twin} in {agreed:.1%} of the pixels"

    def test_samples_at_pixel_centers(self, component: Renderer, result: RenderedFrame) -> None:
        view = self._view(component, _square(2.0, half=0.2, color=GREEN))
        covered = torch.zeros(48, 64, dtype=torch.bool)
        covered[14:34, 22:42] = True
        said = "a square is not at its place: pixel (row i, column j) is sampled at (j + 0.5, i + 0.5)"
        assert torch.equal(view.mask.cpu(), covered), said
        assert (view.color.cpu()[covered] == torch.tensor(GREEN)).all(), "a green square is not green everywhere"
        depth, said = view.depth.cpu()[covered], "the depth of a square at z = 2 is not 2 everywhere"
        torch.testing.assert_close(depth, torch.full((400,), 2.0), rtol=1e-4, atol=0, msg=said)

    def test_depth_is_infinite_in_the_background(self, component: Renderer, result: RenderedFrame) -> None:
        view = self._view(component, _square(2.0, half=0.2, color=GREEN))
        assert torch.isinf(view.depth[:10]).all(), f"it is {float(view.depth[:10].min()):g}"

    def test_renders_the_nearest_surface(self, component: Renderer, result: RenderedFrame) -> None:
        near, far = _square(2.0, half=0.2, color=RED), _square(3.0, half=1.0, color=GREEN)
        for mesh in (_joined(near, far), _joined(far, near)):
            view = self._view(component, mesh)
            assert view.color[24, 32].tolist() == list(RED), "a far square is drawn over a near one"
            assert view.color[4, 4].tolist() == list(GREEN), "a far square beside a near one is missing"

    def test_occluded_faces_hide_what_is_behind_them(self, component: Renderer, result: RenderedFrame) -> None:
        hidden = attrs.evolve(_square(2.0, half=0.2, color=RED), face_occluded=torch.ones(2, dtype=torch.bool))
        view = self._view(component, _joined(hidden, _square(3.0, half=1.0, color=GREEN)))
        assert not view.mask[24, 32], "the mask is True behind a face that is `face_occluded`"
        assert view.mask[4, 4], "the mask is False beside a face that is `face_occluded`"
        depth = float(view.depth[24, 32])
        assert depth == pytest.approx(2.0, rel=1e-4), f"depth is {depth:g} and not that of the `face_occluded` face, 2"

    def test_occluded_faces_are_hidden_where_they_are_stretched(
        self, component: Renderer, result: RenderedFrame
    ) -> None:
        pose = look_at(torch.tensor([4.0, 0.0, 0.0]), torch.tensor([2.0, 0.0, 2.0]))
        for angle, seen in ((0, "like from the source camera"), (40, "stretched"), (50, "from behind")):
            wall = attrs.evolve(
                _wall(angle), face_occluded=torch.ones(2, dtype=torch.bool), max_stretch=torch.full((2,), 1.5)
            )
            inputs = {"mesh": self._there(wall), "world_to_camera": pose, "intrinsics": LENS}
            shown = bool(self.call(component, inputs).mask.any())
            assert shown == (angle == 0), (
                f"an occluded face with `max_stretch` seen {seen} is {'' if shown else 'not '}shown"
            )

    def test_does_not_render_behind_the_camera(self, component: Renderer, result: RenderedFrame) -> None:
        view = self._view(component, _square(-2.0, half=0.2, color=RED))
        assert not view.mask.any(), "a square behind the camera is visible"

    def test_renders_an_empty_mesh_as_an_empty_view(self, component: Renderer, result: RenderedFrame) -> None:
        square = _square(2.0, half=0.2, color=RED)
        empty = attrs.evolve(square, faces=square.faces[:0], face_occluded=square.face_occluded[:0])
        view = self._view(component, empty)
        assert not view.mask.any(), "the mask is not empty"
        assert torch.isinf(view.depth).all(), f"depth is {float(view.depth.min()):g}, not infinite"

    def _view(self, component: Renderer, mesh: Mesh) -> RenderedFrame:
        inputs = {"mesh": self._there(mesh), "world_to_camera": torch.eye(4), "intrinsics": LENS}
        return self.call(component, inputs)

    def _there(self, mesh: Mesh) -> Mesh:
        return mesh.to(self.device)


def _square(distance: float, *, half: float, color: tuple[int, int, int]) -> Mesh:
    """Return a square in front of the source camera."""
    corners = [[-half, -half], [half, -half], [half, half], [-half, half]]
    return Mesh(
        vertices=torch.tensor([[x, y, distance] for x, y in corners]),
        faces=torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32),
        vertex_colors=torch.tensor([color] * 4, dtype=torch.uint8),
        face_occluded=torch.zeros(2, dtype=torch.bool),
    )


def _wall(angle: float) -> Mesh:
    """Return an upright square around (2, 0, 2), turned from the x axis towards the z axis by degrees."""
    turn = torch.deg2rad(torch.tensor(float(angle)))
    square = _square(0.0, half=0.3, color=GREEN)
    x, y, _ = square.vertices.T
    return attrs.evolve(square, vertices=torch.stack([2 + x * turn.cos(), y, 2 + x * turn.sin()], dim=1))


def _joined(one: Mesh, other: Mesh) -> Mesh:
    return Mesh(
        vertices=torch.cat([one.vertices, other.vertices]),
        faces=torch.cat([one.faces, other.faces + len(one.vertices)]),
        vertex_colors=torch.cat([one.vertex_colors, other.vertex_colors]),
        face_occluded=torch.cat([one.face_occluded, other.face_occluded]),
    )


def _turned(degrees: float) -> Tensor:
    """Return the rotation [3, 3] of a camera turned to the left."""
    angle = torch.deg2rad(torch.tensor(degrees))
    sine, cosine = torch.sin(angle), torch.cos(angle)
    return torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
