"""The picture of depth: its colors mean what the legend says, at any size."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from ex4d_core.errors import InvalidInput
from ex4d_core.pictures.depth_video import UNKNOWN, color_depth, depth_range, draw_legend, tick_depths, write_preview
from ex4d_core.types import DepthKind, DepthVideo, Intrinsics, Scene, Video
from ex4d_core.video_io import read_video


def depth_of(values, kind="metric"):
    depth = torch.from_numpy(np.array(values, np.float32))
    return DepthVideo(
        depth=depth, kind=kind, intrinsics=Intrinsics.from_fov(width=depth.shape[2], height=depth.shape[1])
    )


def ramp(count, height, width):
    return np.broadcast_to(np.geomspace(1, 20, width), (count, height, width))


def scene_of(values, kind="metric"):
    depth = depth_of(values, kind)
    frames = torch.full((*depth.depth.shape, 3), 200, dtype=torch.uint8)
    return Scene(video=Video(frames=frames, fps=Fraction(12)), depth=depth)


def test_near_is_warm_far_is_cold_and_unknown_is_gray():
    depth = depth_of([[[1.0, 3.0, 10.0, 0.0]] * 2])
    near, far, unknown = (color_depth(depth, 0, 1, 10)[0, at].astype(int) for at in (0, 2, 3))
    assert near[0] > near[2] + 50
    assert far[2] > far[0]
    assert (unknown == UNKNOWN).all()


def test_no_known_depth_has_the_gray_of_the_unknown():
    colors = color_depth(depth_of(ramp(1, 2, 4096)), 0, 1, 20)
    assert not (colors == UNKNOWN).all(axis=-1).any()


def test_a_color_means_the_same_depth_in_every_frame():
    depth = depth_of(np.stack([np.full((4, 4), 2.0), np.full((4, 4), 8.0), np.full((4, 4), 2.0)]))
    colors = [color_depth(depth, frame, *depth_range(depth)) for frame in range(3)]
    assert np.array_equal(colors[0], colors[2])
    assert not np.array_equal(colors[0], colors[1])


def test_stray_pixels_do_not_decide_the_range():
    values = np.array(ramp(2, 64, 64))
    values[0, 0, :3] = 1e-3, 1e6, 0
    near, far = depth_range(depth_of(values))
    assert 0.9 < near < 1.2
    assert 15 < far <= 21


def test_a_wall_that_is_all_the_same_is_in_the_middle_of_its_range():
    depth = depth_of(np.full((1, 8, 8), 4.0))
    near, far = depth_range(depth)
    assert near < 4 < far
    assert len(np.unique(color_depth(depth, 0, near, far).reshape(-1, 3), axis=0)) == 1


def test_depth_that_is_nowhere_known_cannot_be_shown():
    with pytest.raises(InvalidInput, match="cannot be shown: no pixel is valid"):
        depth_range(depth_of(np.zeros((1, 8, 8))))


@pytest.mark.parametrize(("near", "far"), [(1, 20), (0.001, 9000), (3.0, 3.01), (2.564, 100)])
def test_ticks_are_different_in_order_and_inside(near, far):
    ticks = tick_depths(near, far, most=7)
    assert len(ticks) == 7
    assert ticks == sorted(set(ticks))
    assert ticks[0] == pytest.approx(near, rel=0.05)
    assert ticks[-1] == pytest.approx(far, rel=0.05)


def test_the_bar_has_the_color_of_the_depth_at_each_tick():
    """Where the legend writes a depth, its bar has the color which that depth has in the picture."""
    legend = draw_legend(DepthKind.METRIC, 1, 20, height=600, with_unknown=False).astype(int)
    column = legend[:, 20]
    bar = np.flatnonzero(np.ptp(column, axis=1) > 30)  # letters and background are gray
    for depth in (1.0, 2.0, 5.0, 20.0):
        row = round(bar[-1] - (1 / depth - 1 / 20) / (1 - 1 / 20) * (bar[-1] - bar[0]))
        wanted = color_depth(depth_of([[[depth]]]), 0, 1, 20)[0, 0].astype(int)
        assert np.abs(column[row] - wanted).max() <= 12


@pytest.mark.parametrize("kind", list(DepthKind))
@pytest.mark.parametrize("height", [128, 256, 1444])
def test_the_legend_writes_words_and_numbers_that_fit(kind, height):
    legend = draw_legend(kind, 1, 20, height=height, with_unknown=True)
    ink = (legend > 150).all(axis=-1)
    assert legend.shape[0] == height
    assert ink.any(axis=1).sum() >= 40  # rows with letters
    assert not ink[[0, -1]].any()
    assert not ink[:, [0, -1]].any()


def test_the_legend_says_meters_of_metric_depth_only():
    words = {kind: draw_legend(kind, 1, 20, height=256, with_unknown=False)[:20, :60].tobytes() for kind in DepthKind}
    assert words[DepthKind.METRIC] != words[DepthKind.RELATIVE]
    assert words[DepthKind.AFFINE_INVERSE] == words[DepthKind.RELATIVE]


@pytest.mark.parametrize(
    ("size", "shown"),
    [((16, 16), (256, 256)), ((17, 333), (17, 333)), ((2000, 1000), (1280, 640)), ((333, 17), (333, 17))],
)
def test_a_preview_of_any_size_shows_frame_depth_and_legend(tmp_path, size, shown):
    scene = scene_of(ramp(2, size[1], size[0]), "relative")
    write_preview(scene, tmp_path / "p.mkv")
    video = read_video(tmp_path / "p.mkv")
    pictures = (2 * shown[0] + 4, shown[1]) if shown[0] <= shown[1] else (shown[0], 2 * shown[1] + 4)
    assert (video.num_frames, video.fps) == (2, 12)
    assert video.height == max(128, pictures[1])
    assert pictures[0] + 40 < video.width < pictures[0] + 300
    top = (video.height - pictures[1]) // 2
    assert (video.frames[0, top : top + 4, :4] == 200).all()
    assert (video.frames[0, :, pictures[0] :] > 150).all(dim=-1).any()
    depth = video.frames[0, top + pictures[1] - 1, pictures[0] - shown[0] : pictures[0]].int()
    assert depth[0, 0] > depth[0, 2]
    assert depth[-1, 2] > depth[-1, 0]


def test_a_preview_plays_in_browsers_whatever_its_size(tmp_path):
    write_preview(scene_of(ramp(1, 17, 19)), tmp_path / "p.mp4")
    video = read_video(tmp_path / "p.mp4")
    assert (video.height % 2, video.width % 2) == (0, 0)


def test_progress_counts_the_frames(tmp_path):
    said = []
    write_preview(scene_of(ramp(3, 16, 16)), tmp_path / "p.mp4", progress=lambda *now: said.append(now))
    assert said == [(0, 3), (1, 3), (2, 3), (3, 3)]
