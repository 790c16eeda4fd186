"""The backs of things."""

import numpy as np

from ex4d_backbone_inpaint.backs import Backs
from ex4d_core.types import Intrinsics

SIZE = {"width": 64, "height": 48}


def test_the_back_of_a_thing_is_hidden_from_the_source_camera_and_has_the_color_of_the_outline():
    """A red square with a green middle before a blue wall."""
    color, inverse = np.zeros((48, 64, 3), np.float32), np.full((48, 64), 0.1, np.float32)
    color[..., 2] = 200
    color[18:30, 26:38] = (200, 0, 0)
    color[23:25, 31:33] = (0, 200, 0)
    inverse[18:30, 26:38] = 0.5
    lens = Intrinsics.from_fov(**SIZE)
    thing = Backs.of(color, inverse, lens)
    half = len(thing.points) // 2
    front, back = thing.points[:half, 2], thing.points[half:, 2]
    np.testing.assert_allclose(front, 2)
    assert back.min() >= 2 - 1e-6
    assert 2.2 < back.max() < 2 * (1 + 12 / lens.fx)
    assert (thing.colors[half:, 0] > 150).all()
    _, depth = thing.render(np.eye(4), lens)
    np.testing.assert_allclose(depth[19:29, 27:37], 2, rtol=1e-6)
    assert np.isinf(depth[inverse < 0.5]).all()


def test_thin_things_and_plain_walls_have_no_back():
    color, inverse = np.full((48, 64, 3), 90, np.float32), np.full((48, 64), 0.1, np.float32)
    inverse[:, 30:32] = 0.5
    lens = Intrinsics.from_fov(**SIZE)
    assert not len(Backs.of(color, inverse, lens).faces)
    _, depth = Backs.of(color, np.zeros_like(inverse), lens).render(np.eye(4), lens)
    assert np.isinf(depth).all()


def test_a_patch_at_the_outline_does_not_cover_the_back():
    """A black square with a pink ear at its right edge: opposite the front, the back is half as pink."""
    color, inverse = np.zeros((48, 64, 3), np.float32), np.full((48, 64), 0.1, np.float32)
    color[..., 1] = 150
    color[14:36, 24:40] = 0
    color[20:28, 34:40] = (240, 160, 160)
    inverse[14:36, 24:40] = 0.5
    thing = Backs.of(color, inverse, Intrinsics.from_fov(**SIZE))
    half = len(thing.points) // 2
    thickness = thing.points[half:, 2] - thing.points[:half, 2]
    red = thing.colors[half:, 0]
    assert red[thickness == 0].max() > 180
    assert red[thickness > 0.9 * thickness.max()].max() < 120


def test_a_thing_that_the_edge_of_the_picture_cuts_has_no_back():
    """Two equal posts, in the middle and at the right edge, where the rest of the second may be of any width."""
    color, inverse = np.full((48, 64, 3), 90, np.float32), np.full((48, 64), 0.1, np.float32)
    inverse[10:40, 26:38] = inverse[10:40, 52:] = 0.5
    lens = Intrinsics.from_fov(**SIZE)
    thing = Backs.of(color, inverse, lens)
    columns = thing.points[:, 0] / thing.points[:, 2] * lens.fx + lens.cx
    assert len(thing.faces)
    assert columns.max() < 45
