"""Depth of clips by Video Depth Anything, on a tiny model with random weights."""

import shutil
import zlib
from fractions import Fraction

import numpy as np
import pytest
import torch

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.progress import silent
from ex4d_core.types import DepthKind, Video
from ex4d_depth_anything3.video.estimator import NEAREST, VideoDepthAnythingEstimator
from ex4d_depth_anything3.video.models import MODELS
from ex4d_depth_anything3.video.options import VdaOptions
from ex4d_depth_anything3.video.weights import hub_files, locate

FILE = "video_depth_anything_vits.pth"


def clip(frames):
    rng = np.random.default_rng(zlib.crc32(b"clip"))
    return Video(frames=torch.from_numpy(rng.integers(0, 256, (frames, 20, 36, 3), np.uint8)), fps=Fraction(24))


@pytest.fixture
def estimator(video_checkpoint):
    def make(**options):
        options = {"model": str(video_checkpoint), "short_side": 28, **options}
        return VideoDepthAnythingEstimator(VdaOptions(**options), device=torch.device("cpu"))

    return make


@pytest.mark.parametrize("frames", [5, 60])
def test_metric_depth_equals_that_of_the_released_code(estimator, video_golden, frames):
    found = estimator(kind="metric").estimate(clip(frames), progress=silent)
    assert found.kind is DepthKind.METRIC
    expected = np.maximum(video_golden[f"clip.metric.{frames}"], NEAREST)
    np.testing.assert_allclose(found.depth[:: 3 if frames == 60 else 1], expected, atol=1e-4)


@pytest.mark.parametrize("frames", [5, 60])
def test_inverse_depth_equals_that_of_the_released_code(estimator, video_golden, frames):
    found = estimator(near=1.0, far=1e6).estimate(clip(frames), progress=silent)
    assert found.kind is DepthKind.AFFINE_INVERSE
    assert found.cameras is None
    expected = video_golden[f"clip.inverse.{frames}"]
    inverse = (1 / found.depth)[:: 3 if frames == 60 else 1].numpy()
    # Normalized over all frames: two numbers map it back.
    scale, shift = np.polyfit(inverse.ravel(), expected.ravel(), 1)
    np.testing.assert_allclose(inverse * scale + shift, expected, atol=1e-4)


def test_progress_is_in_frames(estimator):
    steps = []
    estimator().estimate(clip(40), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(0, 40), (32, 40), (40, 40)]


@pytest.mark.parametrize(("file", "metric"), [(FILE, False), (f"metric_{FILE}", True)])
def test_the_name_of_the_file_states_its_kind(estimator, video_checkpoint, tmp_path, file, metric):
    shutil.copy(video_checkpoint / FILE, tmp_path / file)
    found = estimator(model=str(tmp_path)).estimate(clip(2), progress=silent)
    assert (found.kind is DepthKind.METRIC) == metric


def test_released_files_are_named():
    (files,) = hub_files(VdaOptions(model="vda-metric-small"))
    assert files.repo == "depth-anything/Metric-Video-Depth-Anything-Small"
    assert files.patterns == ("metric_video_depth_anything_vits.pth",)
    assert [model.license for model in MODELS.values()].count("Apache-2.0") == 2


def test_bad_models_are_refused(estimator, video_checkpoint, tmp_path):
    with pytest.raises(InputNotFound, match="'vda-smal' is not a model of Video Depth Anything or a folder"):
        hub_files(VdaOptions(model="vda-smal"))
    with pytest.raises(InputNotFound, match=r"has no files of weights \(\*.pth or \*.safetensors\).*use a folder"):
        locate(VdaOptions(model=str(tmp_path)))
    for file in (FILE, f"metric_{FILE}"):
        shutil.copy(video_checkpoint / FILE, tmp_path / file)
    with pytest.raises(InputNotFound, match="has 2 files of weights"):
        locate(VdaOptions(model=str(tmp_path)))


def test_models_of_shorter_windows_are_refused(estimator, video_checkpoint, tmp_path):
    tensors = torch.load(video_checkpoint / FILE, weights_only=True)
    shorter = {name: value[:, :16] if name.endswith(".pe") else value for name, value in tensors.items()}
    torch.save(shorter, tmp_path / FILE)
    with pytest.raises(InvalidInput, match="is a model of 16 frames; supported are models of 32"):
        estimator(model=str(tmp_path)).estimate(clip(2), progress=silent)


def test_terms_follow_the_weights():
    assert VdaOptions().usage_terms() == ""
    assert "CC-BY-NC-4.0" in VdaOptions(model="vda-large").usage_terms()
    assert VdaOptions(model="someone/else").usage_terms() == "read the license of someone/else first"


def test_the_fingerprint_is_that_of_the_file(video_checkpoint, tmp_path):
    shutil.copy(video_checkpoint / FILE, tmp_path / FILE)
    same, other = (VdaOptions(model=str(folder)).fingerprint() for folder in (video_checkpoint, tmp_path))
    assert same == other
