"""The stretch of a face is a matter of parallax alone."""

import pytest
import torch

from ex4d_core.builtin import _rasterize
from ex4d_core.geometry.stretch import MAX_SHEAR, TOLERANCE, hidden_from

PIXEL = 1 / 500
"""Of a camera with a focal length of 500 pixels, as x / z."""


def face(*, near=1.0, far=4.0, column=40, row=-30):
    """Return a face [3, 3] of one pixel across a vertical edge: its left corners are near."""
    slopes = torch.tensor([[column, row + 1], [column, row], [column + 1, row]], dtype=torch.float64) * PIXEL
    depths = torch.tensor([near, near, far], dtype=torch.float64)
    return torch.cat([slopes, torch.ones(3, 1)], dim=1) * depths[:, None]


def hidden(corners, camera, limit=1.5):
    """Return what torch says, and check that the compiled loops say the same."""
    camera, limit = torch.tensor(camera, dtype=torch.float64), torch.tensor(float(limit))
    said = bool(hidden_from(corners, camera, limit))
    loop = _rasterize.hidden_from(corners.numpy(), 0, 1, 2, camera.numpy(), float(limit), (MAX_SHEAR, TOLERANCE))
    assert loop == said
    return said


def test_the_compiled_loops_keep_no_limits_of_another_file():
    """Their cache on disk would outlive a change of it."""
    corners, camera = face().numpy(), torch.zeros(3, dtype=torch.float64).numpy()
    assert not _rasterize.hidden_from(corners, 0, 1, 2, camera, 1.0, (MAX_SHEAR, TOLERANCE))
    assert _rasterize.hidden_from(corners, 0, 1, 2, camera, 1.0, (0.5, TOLERANCE))
    assert _rasterize.hidden_from(corners, 0, 1, 2, camera, 1.0, (MAX_SHEAR, -0.5))


def test_nothing_is_hidden_from_the_source_camera_but_what_always_is():
    for depths in ((1, 1), (1, 4), (4, 1), (1, 1000)):
        assert not hidden(face(near=depths[0], far=depths[1]), [0, 0, 0], 1)
    assert hidden(face(), [0, 0, 0], 0)


@pytest.mark.parametrize("parallax", [0.2, 0.4, 0.6, 3, 20])
def test_a_face_across_a_depth_edge_is_hidden_once_the_parallax_opens_half_a_pixel(parallax):
    shift = parallax * PIXEL / (1 - 1 / 4)  # to the left, what is near moves to the right; to the right, away
    assert hidden(face(), [shift, 0, 0]) == (parallax > 0.5)


def test_a_face_that_is_seen_from_behind_is_hidden():
    assert not hidden(face(), [-0.9 * PIXEL / (1 - 1 / 4), 0, 0])
    assert hidden(face(), [-1.1 * PIXEL / (1 - 1 / 4), 0, 0])


def test_a_face_beside_the_surface_is_no_more_stretched_when_the_camera_moves_in():
    flat = face(near=2.0, far=2.0)
    for ahead in (0.5, 1.5, 1.9, -5):
        assert not hidden(flat, [0, 0, ahead], 1.1)


def test_a_camera_at_a_corner_sees_nothing():
    corners = face()
    assert hidden(corners, corners[0].tolist())
