"""The backs of things."""

import numpy as np

from ex4d_backbone_inpaint.backs import Backs
from ex4d_core.builtin.render_zbuffer import Bands
from ex4d_core.types import Intrinsics

SIZE = {"width": 64, "height": 48}


def test_the_back_of_a_thing_is_hidden_from_the_source_camera_and_has_the_color_of_the_outline():
    """A red square with a green middle before a blue wall."""
    color, inverse = np.zeros((48, 64, 3), np.float32), np.full((48, 64), 0.1, np.float32)
    color[..., 2] = 200
    color[16:32, 24:40] = (200, 0, 0)
    color[20:28, 28:36] = (0, 200, 0)
    inverse[16:32, 24:40] = 0.5
    lens = Intrinsics.from_fov(**SIZE)
    backs = Backs.of(color, inverse, lens)
    assert (backs.colors[:, 0] > 190).all()
    assert backs.points[:, 2].min() >= 2 - 1e-6
    assert 2.2 < backs.points[:, 2].max() < 2 * (1 + 16 / lens.fx)
    _, depth = backs.render(np.eye(4), lens, Bands(1))
    assert (depth[17:31, 25:39] > 2).all()
    assert np.isinf(depth[inverse < 0.5]).all()


def test_thin_things_and_plain_walls_have_no_back():
    color, inverse = np.full((48, 64, 3), 90, np.float32), np.full((48, 64), 0.1, np.float32)
    inverse[:, 30:32] = 0.5
    lens = Intrinsics.from_fov(**SIZE)
    assert not len(Backs.of(color, inverse, lens).faces)
    _, depth = Backs.of(color, np.zeros_like(inverse), lens).render(np.eye(4), lens, Bands(1))
    assert np.isinf(depth).all()
