"""Maps of another shape than the picture: rounded, cut, or between bars."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from ex4d_core.builtin.depth_file import DepthFile
from ex4d_core.builtin.depth_file_options import DepthFileOptions
from ex4d_core.depth_io.fit import fitted, is_rounded, through
from ex4d_core.depth_io.frames import WHOLE
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import silent
from ex4d_core.types import Intrinsics, Video
from ex4d_core.video_io.framing import frame_to, sample_nearest


@pytest.mark.parametrize(
    ("size", "picture"),
    [
        ((126, 70), (320, 180)),  # Depth Anything 3: 14
        ((504, 280), (1920, 1080)),
        ((518, 294), (1280, 720)),
        ((320, 192), (320, 180)),  # DepthCrafter: 64
        ((1024, 576), (1280, 720)),
        ((128, 64), (96, 54)),
        ((384, 224), (1920, 1080)),  # DPT: 32
        ((512, 288), (640, 361)),
        ((294, 518), (720, 1280)),
        ((640, 360), (853, 480)),
    ],
)
def test_rounded_sides_are_those_of_the_picture(size, picture):
    assert is_rounded(size, picture)
    assert fitted(size, picture, "auto", list).covers == WHOLE


@pytest.mark.parametrize(
    ("size", "picture"),
    [((512, 512), (640, 360)), ((480, 360), (640, 360)), ((960, 640), (1920, 1080)), ((24, 24), (32, 24))],
)
def test_other_shapes_are_not_explained_by_rounding(size, picture):
    assert not is_rounded(size, picture)
    assert fitted(size, picture, "auto", lambda: [np.random.default_rng(0).random(size[::-1])]) is None


def bars(before, after, content, value=0.0, size=96):
    maps = np.full((before + content.shape[0] + after, size), value)
    maps[before : before + content.shape[0]] = content
    return maps


CONTENT = np.random.default_rng(0).random((54, 96)) + 2


@pytest.mark.parametrize("value", [0.0, 50.0, np.nan])
@pytest.mark.parametrize(("before", "after"), [(21, 21), (20, 22), (0, 42)])
def test_bars_of_one_value_are_found(value, before, after):
    maps = bars(before, after, CONTENT, value)
    found = fitted((96, 96), (96, 54), "auto", lambda: [maps])
    top = -before / 54
    assert np.allclose(found.covers, (0, top, 1, top + 96 / 54), atol=0.03)
    turned = fitted((96, 96), (54, 96), "auto", lambda: [maps.T])
    assert np.allclose(turned.covers, (top, 0, top + 96 / 54, 1), atol=0.03)


def test_uneven_edges_are_not_bars():
    maps = bars(21, 21, CONTENT)
    maps[0, 0] = 1
    assert fitted((96, 96), (96, 54), "auto", lambda: [maps]) is None


@pytest.mark.parametrize(
    ("fit", "covers"),
    [("whole", WHOLE), ("crop", (0.25, 0, 0.75, 1)), ("pad", (0, -0.5, 1, 1.5))],
)
def test_an_option_states_the_relation(fit, covers):
    assert fitted((50, 50), (100, 50), fit, list).covers == covers


def test_maps_of_a_part_land_on_that_part_with_their_lens():
    origin = frame_to((80, 40), None).origin((0,), 1)
    part = through(origin, (0.5, 0.0, 1.0, 1.0))
    values, inside = sample_nearest(np.arange(40.0)[None, :].repeat(40, 0), part, (80, 40))
    assert not inside[:, :40].any()
    assert values[0, 40:].tolist() == list(range(40))
    lens = part.windowed(Intrinsics(fx=30, fy=30, cx=0, cy=20, width=40, height=40), width=80, height=40)
    assert (lens.fx, lens.cx, lens.cy) == (30, 40, 20)


def test_the_run_says_how_a_map_was_fitted(tmp_path):
    video = Video(frames=torch.zeros(1, 54, 96, 3, dtype=torch.uint8), fps=Fraction(30))

    def estimate(values, **options):
        np.save(tmp_path / "d.npy", values)
        file = DepthFile(DepthFileOptions(path=str(tmp_path / "d.npy"), **options), device=torch.device("cpu"))
        return file.estimate(video, progress=silent), file.notes()[0]

    depth, note = estimate(bars(21, 21, CONTENT))
    assert np.allclose(depth.depth[0], CONTENT)
    assert "the picture between bars" in note
    _, note = estimate(np.random.default_rng(0).random((1, 64, 128)) + 2)
    assert "the whole picture with rounded sides" in note
    square = np.random.default_rng(0).random((1, 60, 60)) + 2
    with pytest.raises(InvalidInput, match=r"or --set depth\.fit=whole, crop or pad"):
        estimate(square)
    assert estimate(square, fit="whole")[0].valid.all()
    assert estimate(square, fit="crop")[0].valid.float().mean() == pytest.approx(54 / 96, abs=0.02)
