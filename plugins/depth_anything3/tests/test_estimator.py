"""Depth, lens and poses of a clip, on a tiny model with random weights."""

import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch

from ex4d_core.errors import InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.progress import silent
from ex4d_core.types import DepthKind, Video
from ex4d_depth_anything3.estimator import DepthAnything3Estimator
from ex4d_depth_anything3.options import Da3Options
from ex4d_depth_anything3.weights import hub_files

CPU = torch.device("cpu")


@pytest.fixture
def estimate(checkpoints):
    def run(frames=6, *, kind="any", **options):
        options = {"model": str(checkpoints[kind]), "max_side": 42, **options}
        rng = np.random.default_rng(0)
        video = Video(frames=torch.from_numpy(rng.integers(0, 256, (frames, 24, 40, 3), np.uint8)), fps=Fraction(24))
        return DepthAnything3Estimator(Da3Options(**options), device=CPU).estimate(video, progress=silent)

    return run


def test_depth_has_lens_and_poses(estimate):
    found = estimate()
    assert found.kind is DepthKind.RELATIVE
    torch.testing.assert_close(found.cameras.world_to_camera[0], torch.eye(4), atol=1e-6, rtol=0)
    assert found.cameras.num_frames == 6
    assert found.cameras.intrinsics == found.intrinsics


def test_long_clips_are_joined_from_chunks(estimate):
    found = estimate(7, chunk=4, overlap=2)
    whole = estimate(7, chunk=7, overlap=2)
    assert found.depth.shape == whole.depth.shape
    torch.testing.assert_close(found.cameras.world_to_camera[0], torch.eye(4), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("lens", "count"), [("fixed", 1), ("changing", 6)])
def test_the_lens_is_fixed_or_changes(estimate, lens, count):
    assert len(estimate(lens=lens).intrinsics) == count


def test_a_photo_has_no_poses(estimate):
    assert estimate(1).cameras is None


def test_metric_scales_depth_and_poses_alike(estimate, checkpoints):
    relative, metric = estimate(), estimate(metric=True, metric_model=str(checkpoints["metric"]))
    assert metric.kind is DepthKind.METRIC
    shifts = [found.cameras.world_to_camera[1:, :3, 3].norm(dim=1) for found in (relative, metric)]
    unit = (shifts[1] / shifts[0]).median()
    torch.testing.assert_close(shifts[1], unit * shifts[0], rtol=1e-4, atol=0)
    near = relative.depth <= relative.depth.quantile(0.2)
    torch.testing.assert_close((metric.depth / relative.depth)[near].median(), unit, rtol=1e-3, atol=0)


def test_a_model_without_camera_head_gives_depth_only(estimate):
    found = estimate(kind="metric")
    assert found.cameras is None
    assert found.kind is DepthKind.RELATIVE


def test_bad_options_are_refused(estimate, checkpoints):
    with pytest.raises(InvalidConfig, match="overlap must be less than chunk, 4 frames, not 4"):
        Da3Options(chunk=4, overlap=4)
    with pytest.raises(InvalidInput, match="metric_model must be a model of metric depth, such as da3metric-large"):
        estimate(metric=True, metric_model=str(checkpoints["any"]))
    with pytest.raises(InvalidInput, match=r"does not predict the lens that depth\.metric depends on; use a model"):
        estimate(kind="metric", metric=True, metric_model=str(checkpoints["metric"]))
    with pytest.raises(InputNotFound, match="'da3-smal' is not a model of Depth Anything 3 or a folder"):
        hub_files(Da3Options(model="da3-smal"))


def test_folders_with_two_files_of_weights_are_refused(checkpoints, tmp_path):
    shutil.copytree(checkpoints["any"], tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "model.safetensors", tmp_path / "other.safetensors")
    with pytest.raises(InputNotFound, match=r"has 2 files of weights .*; use a folder with one"):
        Da3Options(model=str(tmp_path)).fingerprint()


def test_terms_follow_the_weights():
    assert Da3Options().usage_terms() == ""
    assert Da3Options(metric=True).usage_terms() == ""
    assert Da3Options(model="depth-anything/DA3-BASE").usage_terms() == ""
    assert "CC-BY-NC-4.0" in Da3Options(model="depth-anything/DA3-LARGE-1.1").usage_terms()
    assert "CC-BY-NC-4.0" in Da3Options(model="da3-large").usage_terms()
    assert Da3Options(model="someone/else").usage_terms() == "read the license of someone/else first"


def test_one_lens_unless_the_clip_zooms(checkpoints):
    estimator = DepthAnything3Estimator(Da3Options(model=str(checkpoints["any"])), device=CPU)
    video = Video(frames=torch.zeros(40, 24, 40, 3, dtype=torch.uint8), fps=Fraction(24))
    tangents = np.tile([0.5, 0.3], (40, 1))
    tangents[7] *= 2
    (lens,) = estimator._lenses(tangents, video)
    assert (lens.fx, lens.fy, lens.cx) == pytest.approx((40, 40, 20))
    zoom = estimator._lenses(tangents * np.linspace(1, 0.5, 40)[:, None], video)
    assert zoom[-1].fx == pytest.approx(80)
    with pytest.raises(InvalidInput, match="predicts an impossible field of view; check its weights"):
        estimator._lenses(tangents * 0, video)
