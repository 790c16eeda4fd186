"""Facts about how frames are brought to one scale and shift."""

from __future__ import annotations

import numpy as np
import pytest

from ex4d_core.testing.scenes import room_scene
from ex4d_depth_transformers.temporal_alignment import FrameAligner, fit, likeness, slow_part, unchanged

LEVELS = {"unchanged": 8.0, "cut": 0.5}


@pytest.fixture(scope="module")
def static():
    """Inverse depth [h, w] and picture of a room where nothing moves."""
    scene = room_scene().frozen_at(0.0).clip(num_frames=1, width=64, height=48)
    return 1 / scene.depth.depth[0].double().numpy(), scene.video.frames[0].double().numpy()


@pytest.fixture(scope="module")
def moving():
    """Inverse depth [T, h, w] and pictures of the room with its movers, every sixth frame."""
    scene = room_scene().clip(num_frames=12, width=64, height=48, fps=4)
    return 1 / scene.depth.depth.double().numpy(), scene.video.frames.double().numpy()


def guesses(truth, *, noise=0.02, seed=0):
    """What a frame-wise model may say of frames: each with its own scale, shift and noise."""
    rng = np.random.default_rng(seed)
    for values in truth:
        noisy = values + rng.normal(size=values.shape) * noise * values.std()
        yield noisy * np.exp(rng.normal() * 0.3) + rng.normal() * 0.2


def steadied(values, pictures, **given):
    aligner = FrameAligner(**{**LEVELS, "fit_scale": True, **given})
    aligned = []
    for frame, picture in zip(values, pictures, strict=True):
        scale, shift = aligner.add(frame, picture)
        aligned.append(scale * frame + shift)
    return np.stack(aligned), aligner


def flicker(values):
    return np.abs(np.diff(values, axis=0)).mean() / values.std()


def test_a_static_clip_flickers_no_more_than_its_noise_and_does_not_drift(static):
    truth, picture = static
    raw = list(guesses([truth] * 60))
    aligned, aligner = steadied(raw, [picture] * 60)
    noise_alone = np.stack(list(guesses([truth] * 60)))
    noise_alone = np.stack([(frame - frame.mean()) / frame.std() for frame in noise_alone])
    assert flicker(aligned) < 0.05 * flicker(np.stack(raw))
    assert flicker(aligned) < 1.1 * flicker(noise_alone)
    assert abs(aligned[-1].std() / aligned[0].std() - 1) < 0.01
    assert abs(aligned[-1].mean() - aligned[0].mean()) < 0.01 * aligned[0].std()
    assert aligner.starts == [0]


@pytest.mark.slow
def test_the_contrast_does_not_shrink_over_a_thousand_frames(static):
    truth, picture = static
    aligner = FrameAligner(**LEVELS, fit_scale=True)
    for raw in guesses([truth] * 1000, noise=0.1):
        scale, shift = aligner.add(raw, picture)
    last = scale * raw + shift
    first = next(guesses([truth], noise=0.1))
    assert abs(last.std() / first.std() - 1) < 0.02


def test_a_clean_prediction_is_found_back_exactly(static):
    truth, picture = static
    aligned, _ = steadied([truth, truth * 3 - 0.5, truth * 0.2 + 7], [picture] * 3)
    np.testing.assert_allclose(aligned, np.stack([truth] * 3), rtol=1e-9)


def test_things_that_move_do_not_count(moving):
    truth, pictures = moving
    aligned, aligner = steadied(list(guesses(truth, noise=0)), pictures)
    target = truth * (aligned[0].std() / truth[0].std())
    target += aligned[0].mean() - target[0].mean()
    assert np.abs(aligned - target).max() < 0.01 * target.std()
    assert aligner.starts == [0]


def test_a_third_of_wrong_places_does_not_bend_the_fit():
    rng = np.random.default_rng(0)
    values = rng.normal(size=3000)
    target = 2 * values + 1 + rng.normal(size=3000) * 0.01
    target[:1000] = 2 * values[:1000] + 4
    scale, shift = fit(values, target)
    assert scale == pytest.approx(2, abs=0.01)
    assert shift == pytest.approx(1, abs=0.01)


def test_a_camera_that_moves_takes_the_frame_before_as_reference(moving):
    truth, pictures = moving
    truth, pictures = truth[0], pictures[0]
    slides = [(np.roll(truth, n, axis=1), np.roll(pictures, n, axis=1)) for n in range(0, 40, 2)]
    raw = list(guesses([values for values, _ in slides], noise=0))
    aligned, aligner = steadied(raw, [picture for _, picture in slides])
    spreads = aligned.std(axis=(1, 2))
    assert aligner.starts == [0]
    assert (
        spreads.max() / spreads.min()
        < 1.1
        < np.stack(raw).std(axis=(1, 2)).max() / np.stack(raw).std(axis=(1, 2)).min()
    )


def test_a_cut_begins_a_new_shot_with_its_own_scale(static):
    truth, picture = static
    other = room_scene(seed=3).clip(num_frames=1, width=64, height=48).video.frames[0].double().numpy()[::-1, ::-1]
    values = [truth, truth * 2, truth * 5, truth * 10]
    aligned, aligner = steadied(values, [picture, picture, other, other])
    assert aligner.starts == [0, 2]
    assert aligner.alignments[2] == (1, 0)
    np.testing.assert_allclose(aligned[3], values[2], rtol=1e-9)
    assert steadied(values, [picture, picture, other, other], cut=0.0)[1].starts == [0]


def test_a_change_of_exposure_is_neither_a_cut_nor_a_change(static):
    _, picture = static
    brighter = picture * 0.98 + 20
    assert likeness(picture, brighter) > 0.95
    assert unchanged(picture, brighter, levels=8).mean() > 0.9


def test_black_pictures_are_alike_and_unlike_others(static):
    _, picture = static
    black = np.zeros_like(picture)
    assert likeness(black, black) == 1
    assert likeness(black, picture) < 0.1


@pytest.mark.parametrize("strange", [lambda v: np.full_like(v, 3.0), lambda v: np.zeros_like(v)])
def test_a_frame_without_relief_goes_on_as_before_and_spoils_nothing(static, strange):
    truth, picture = static
    aligned, aligner = steadied([truth, truth * 2 + 1, strange(truth), truth * 4], [picture] * 4)
    assert aligner.alignments[2] == aligner.alignments[1]
    np.testing.assert_allclose(aligned[3], truth, rtol=1e-9)


def test_a_first_frame_without_relief_leaves_the_others_as_they_are(static):
    truth, picture = static
    _, aligner = steadied([np.zeros_like(truth), truth], [picture] * 2)
    assert aligner.alignments == [(1, 0), (1, 0)]


def test_depth_that_has_nothing_to_do_with_the_frame_before_is_left_alone(static):
    truth, picture = static
    noise = np.random.default_rng(0).normal(size=truth.shape)
    assert steadied([truth, noise], [picture] * 2)[1].alignments[1] == (1, 0)
    assert steadied([truth, -truth], [picture] * 2)[1].alignments[1] == (1, 0)


def test_of_log_depth_only_the_shift_is_fitted(static):
    truth, picture = static
    aligned, aligner = steadied([truth, truth + 0.7, truth * 2], [picture] * 3, fit_scale=False)
    assert [scale for scale, _ in aligner.alignments] == [1, 1, 1]
    np.testing.assert_allclose(aligned[1], truth, rtol=1e-9)


def test_the_slow_part_follows_a_steady_approach_and_not_the_jitter():
    frames = np.arange(100)
    slope, jitter = -0.01 * frames, np.random.default_rng(0).normal(size=100) * 0.1
    middle = slice(30, 70)
    np.testing.assert_allclose(slow_part(slope)[middle], slope[middle], atol=1e-3)
    assert np.abs(np.diff(slow_part(jitter))).mean() < 0.05 * np.abs(np.diff(jitter)).mean()
    assert slow_part(np.array([0.3])) == pytest.approx(0.3)
