"""Colors that stand for depth."""

from fractions import Fraction
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import torch

from ex4d_core.depth_io.falsecolor import COLORMAPS, Colors, is_gray, nearest_colormap
from ex4d_core.depth_io.read import open_depth
from ex4d_core.errors import InvalidInput
from ex4d_core.types import Video
from ex4d_core.video_io import write_video

VALUES = np.linspace(0, 1, 64)[None] * np.linspace(0.5, 1, 48)[:, None]
PATH = Path("d.png")


def colored(name, values=VALUES):
    return (matplotlib.colormaps[name](values)[..., :3] * 255).round().astype(np.uint8)


def as_jpeg(image):
    return cv2.imdecode(cv2.imencode(".jpg", image[..., ::-1])[1], cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize("name", COLORMAPS)
def test_colormaps_are_recognized_after_compression(name):
    if name == "bone":
        pytest.skip("its colors are nearly gray")
    assert nearest_colormap(as_jpeg(colored(name))) is not None
    assert nearest_colormap(colored(f"{name}_r")) == name
    with pytest.raises(InvalidInput, match=rf"d\.png shows depth in the colors of {name}; .* depth.colormap={name}"):
        Colors().decode(colored(name), PATH)


def test_a_picture_is_not_a_colormap():
    picture = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 8, 3)).astype(np.uint8), (64, 48))
    assert nearest_colormap(picture) is None
    with pytest.raises(InvalidInput, match="is in color, so it is not depth"):
        Colors().decode(picture, PATH)


def test_gray_is_read_after_compression():
    gray = (VALUES * 255).astype(np.uint8)[..., None].repeat(3, -1)
    assert is_gray(as_jpeg(gray))
    assert np.allclose(Colors().decode(gray, PATH), VALUES, atol=1 / 255)


@pytest.mark.parametrize("name", ["inferno", "Spectral_r", "turbo", "magma"])
def test_colors_are_inverted_on_request(name):
    found = Colors(colormap=name).decode(colored(name), PATH)
    assert np.nanmax(np.abs(found - VALUES)) < 0.02
    with pytest.raises(InvalidInput, match="does not have the colors of viridis"):
        Colors(colormap="viridis").decode(colored(name), PATH)


def test_a_video_of_colors_is_refused_or_inverted(tmp_path):
    frames = torch.from_numpy(np.stack([colored("inferno")] * 3))
    write_video(Video(frames=frames, fps=Fraction(12)), tmp_path / "d.mp4")
    with pytest.raises(InvalidInput, match="in the colors of inferno"):
        open_depth(tmp_path / "d.mp4")
    (first, *_) = open_depth(tmp_path / "d.mp4", colormap="inferno").read([0])
    assert np.nanmedian(np.abs(first - VALUES)) < 0.03
