"""FID, FVD and LPIPS: equal to the entry points of their libraries, which skip where those are not installed."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from ex4d_evaluation import networks, score, sets
from ex4d_evaluation.metrics import perceptual
from ex4d_evaluation.sets import frechet_distance
from ex4d_evaluation.weights import WEIGHTS

(ALEXNET,) = WEIGHTS["AlexNet"].patterns


@pytest.mark.parametrize("count", [5, 40])
def test_the_distance_is_that_of_the_matrix_root(count):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(count, 8)) @ rng.normal(size=(8, 8)), 1 + rng.normal(size=(count + 3, 8))
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    eigenvalues = np.linalg.eigvals(a @ b)
    shift = one.mean(axis=0) - other.mean(axis=0)
    expected = shift @ shift + np.trace(a + b) - 2 * np.sqrt(eigenvalues.astype(complex)).real.sum()
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)
    if count > 8:
        assert expected == pytest.approx(shift @ shift + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real))


def test_equal_sets_have_no_distance():
    rows = np.random.default_rng(0).normal(size=(9, 30))
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)


def test_sets_are_compared_by_camera_with_cached_features(desk, monkeypatch):
    def features(frames):
        calls.append(len(frames))
        return frames.reshape(len(frames), -1)[:, :5].astype(np.float32)

    calls = []
    metric = sets.SET_METRICS[0]
    fake = type(metric)(name="fid", columns=metric.columns, features=features, unavailable=lambda: "")
    monkeypatch.setattr("ex4d_evaluation.sets.SET_METRICS", (fake,))
    for case in ("a__30", "a__60", "b__30"):
        truth, _ = desk.truth(case, seed=ord(case[0]))
        desk.result("same", truth, case)
        desk.result("brighter", truth + 2, case)
    scores = score(desk.folder)
    assert scores.summary("same", "fid/all").mean == pytest.approx(0, abs=1e-6)
    assert scores.summary("brighter", "fid/all", "60").mean == pytest.approx(5 * 2**2)
    assert "| brighter | 20.00 | 20.00 | 20.00 | 3 of 2 |" in (desk.folder / "table.md").read_text()
    assert len(calls) == 4  # equal videos have one entry
    score(desk.folder)
    assert len(calls) == 4


@pytest.fixture
def videos():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (32, 24, 32, 3)).astype(np.uint8) for _ in range(2)]


def planted(cached, name, network):
    """Save the random weights of a network as `ex4d fetch eval` does."""
    path = cached(name) / WEIGHTS[name].patterns[0].rpartition("/")[2]
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:torch.utils.data")
def test_fid_is_that_of_torch_fidelity(videos, monkeypatch, cached):
    fidelity = pytest.importorskip("torch_fidelity")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *a, **k: {})
        torch.manual_seed(0)
        random = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    path = planted(cached, "Inception", random)
    assert networks.inception_unavailable() == ""
    networks.inception.cache_clear()
    ours = frechet_distance(*map(networks.inception_features, (each[:6] for each in videos)))
    data = [Listed(list(torch.from_numpy(each[:6]).movedim(3, 1))) for each in videos]
    theirs = fidelity.calculate_metrics(
        input1=data[0],
        input2=data[1],
        fid=True,
        cuda=False,
        verbose=False,
        cache=False,
        feature_extractor_weights_path=path,
    )
    networks.inception.cache_clear()
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3, abs=1e-4)


class Listed(torch.utils.data.Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of its matrix root
def test_fvd_is_that_of_cd_fvd(videos, cached):
    fvd = pytest.importorskip("cdfvd.fvd")
    from cdfvd.third_party.i3d.pytorch_i3d import InceptionI3d

    torch.manual_seed(0)
    path = planted(cached, "I3D", InceptionI3d(400, in_channels=3))
    assert networks.i3d_unavailable() == ""
    networks.i3d.cache_clear()
    ours = frechet_distance(*map(networks.i3d_features, videos))
    evaluator = fvd.cdfvd("i3d", n_real="full", n_fake="full", ckpt_path=path, device="cpu")
    real, fake = (each.reshape(2, 16, *each.shape[1:]) for each in videos)
    features = [
        network(evaluator, clips) for network, clips in ((evaluator_features, real), (evaluator_features, fake))
    ]
    networks.i3d.cache_clear()
    assert ours == pytest.approx(frechet_distance(*features), rel=1e-4)
    # Its matrix root of covariances of low rank is less exact.
    assert ours == pytest.approx(float(evaluator.compute_fvd(real, fake)), rel=0.05)


def evaluator_features(evaluator, clips):
    from cdfvd.utils.metric_utils import FeatureStats

    stats = evaluator.feature_fn(FeatureStats(capture_all=True), evaluator.model, clips, device="cpu")
    return np.concatenate(stats.all_features)


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
def test_lpips_is_that_of_lpips(videos, cached):
    lpips = pytest.importorskip("lpips")
    torch.manual_seed(0)
    network = lpips.LPIPS(net="alex", spatial=True, pnet_rand=True, verbose=False).eval()
    named = {name.partition(".")[2]: tensor for name, tensor in network.net.state_dict().items()}
    torch.save({f"features.{name}": tensor for name, tensor in named.items()}, cached("AlexNet") / ALEXNET)
    perceptual.network.cache_clear()
    made, truth = (np.repeat(np.repeat(each[:1], 3, axis=1), 3, axis=2) for each in videos)
    everywhere = np.ones(truth.shape[:3], bool)
    ours = perceptual.perceptual_distance(made, truth, everywhere)["lpips"]
    with torch.no_grad():
        theirs = network(lpips.im2tensor(made[0]), lpips.im2tensor(truth[0])).mean()
    assert ours[0] == pytest.approx(float(theirs), rel=1e-4)
    assert perceptual.perceptual_distance(truth, truth, everywhere)["lpips"][0] == 0
    half = everywhere.copy()
    half[:, :, :40] = False
    changed = np.where(half[..., None], truth, 255 - truth)
    assert perceptual.perceptual_distance(changed, truth, half)["lpips"][0] == 0
    assert math.isnan(perceptual.perceptual_distance(made, truth, ~everywhere)["lpips"][0])


CHECKS = {
    "Inception (96 MB)": networks.inception_unavailable,
    "I3D (51 MB)": networks.i3d_unavailable,
    "AlexNet (244 MB)": perceptual.unavailable,
    "CLIP ViT-B/32 (605 MB)": networks.clip_unavailable,
}


@pytest.mark.parametrize("what", CHECKS)
def test_missing_packages_and_weights_are_named(monkeypatch, cached, what):
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        assert "pip install 'ex4d-evaluation[" in CHECKS[what]()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    assert CHECKS[what]() == f"the weights of {what} are missing; run: ex4d fetch eval"
