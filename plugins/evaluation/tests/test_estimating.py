"""`ex4d eval cameras`: poses of an estimator, or of odometry on its depth, and the errors of both in the table."""

import json
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import torch

from ex4d_core.cameras.files import CameraFile, read_camera_path, write_camera_path
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import silent
from ex4d_core.types import CameraPath, DepthKind
from ex4d_evaluation import camera_errors, estimate_cameras, score
from ex4d_evaluation.estimating import camera_path_of
from ex4d_evaluation.layout import SOURCE
from ex4d_evaluation.odometry import poses_by_odometry

from .layouts import FRAMES, footage


@pytest.fixture(scope="module")
def target():
    """The room filmed by a camera that moves, at a size that has corners, and its path."""
    from ex4d_core.testing.scenes import room_scene
    from ex4d_core.types import Intrinsics

    lens = Intrinsics.from_fov(60, width=160, height=120)
    poses = np.linalg.inv(footage().source_poses[0]) @ footage().source_poses
    path = CameraPath(world_to_camera=torch.from_numpy(np.linalg.inv(poses)).float(), intrinsics=lens)
    return room_scene().clip(fps=8, cameras=path), path


def as_file(path):
    return CameraFile(world_to_camera=path.world_to_camera.double().numpy(), intrinsics=path.intrinsics)


class Posed:
    """An estimator that gives poses."""

    def __init__(self, scene, path):
        self.scene, self.path, self.calls = scene, path, 0

    def estimate(self, video, *, progress):
        self.calls += 1
        return attrs.evolve(self.scene.depth, cameras=self.path)


def test_odometry_finds_the_path_of_a_known_room(target):
    scene, path = target
    found = poses_by_odometry(scene.video, scene.depth, progress=silent)
    errors = camera_errors(as_file(found), as_file(path))
    assert errors["rot_mean"] < 0.5  # of a turn by 2 degrees a frame
    assert errors["trans_umeyama"] < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": DepthKind.AFFINE_INVERSE}, "depth with an unknown shift has no geometry"),
        ({"valid": torch.zeros(FRAMES, 120, 160, dtype=torch.bool)}, "between frames 0 and 1 cannot be found"),
    ],
)
def test_depth_without_geometry_is_refused(target, change, message):
    scene, _ = target
    with pytest.raises(InvalidInput, match=message):
        poses_by_odometry(scene.video, attrs.evolve(scene.depth, **change), progress=silent)


def test_frames_without_corners_are_told(target):
    scene, _ = target
    flat = attrs.evolve(scene.video, frames=torch.full_like(scene.video.frames, 90))
    with pytest.raises(InvalidInput, match="cannot be found"):
        poses_by_odometry(flat, scene.depth, progress=silent)


def test_poses_of_an_estimator_are_used_as_they_are(target):
    scene, path = target
    found = camera_path_of(scene.video, Posed(scene, path))
    assert torch.equal(found.world_to_camera, path.world_to_camera)
    assert found.intrinsics == scene.depth.intrinsics


@pytest.fixture
def made(desk, target):
    """A folder with a result, its true path, and the source."""
    scene, path = target
    for name in ("results/mine/a__30.mkv", "cases/a__30/source.mkv"):
        desk.video(name, scene.video.frames)
    for name in ("camera", "source_camera"):
        write_camera_path(path, desk.folder / f"cases/a__30/{name}.npz")
    return desk.folder


@pytest.fixture
def posed(target, monkeypatch):
    """The depth estimator that runs select gives poses."""
    estimator = Posed(*target)
    offer = SimpleNamespace(name="posed", source=SimpleNamespace(version="3"))
    session = "ex4d_evaluation.estimating.Session"
    monkeypatch.setattr(f"{session}.choose", lambda self, role: SimpleNamespace(offer=offer, options=3))
    monkeypatch.setattr(f"{session}.depth_estimator", lambda self: estimator)
    return estimator


def test_estimated_paths_are_scored_with_the_estimators_own_error(made, posed):
    found = estimate_cameras(made)
    assert (found.estimator, found.done, found.failed) == ("posed 3", 2, {})
    scores = score(made)
    assert scores.summary("mine", "rot_mean/all").mean == pytest.approx(0, abs=1e-3)
    assert scores.summary(SOURCE, "trans_umeyama/all").mean == pytest.approx(0, abs=1e-3)
    assert any("estimated with posed 3" in note for note in scores.notes)
    assert posed.calls == 1  # both videos have the same content
    estimate_cameras(made)
    assert posed.calls == 1


def test_paths_of_others_are_not_replaced(made, posed, target):
    file = made / "cameras/mine/a__30.json"
    write_camera_path(target[1], file)
    before = file.read_bytes()
    with pytest.raises(InvalidInput, match=r"cameras has camera paths of another estimator; rename it first"):
        estimate_cameras(made)
    assert file.read_bytes() == before


def test_the_command_uses_odometry_if_there_are_no_poses(made, target, ex4d, tmp_path):
    scene, path = target
    np.savez(tmp_path / "depth.npz", depth=scene.depth.depth.numpy(), intrinsics=path.intrinsics[0].matrix())
    words = ("--depth", "file", "--set", f"depth.path={tmp_path / 'depth.npz'}", "--set", "depth.kind=metric")
    code, out, err = ex4d("eval", "cameras", made, *words, "--json")
    assert code == 0, err
    assert json.loads(out)["done"] == 2
    found = read_camera_path(made / "cameras/mine/a__30.npz")
    assert camera_errors(found, as_file(path))["rot_mean"] < 1


def test_a_video_that_fails_does_not_stop_the_others(made, posed):
    (made / "results/mine/b__30.mp4").write_bytes(b"no video")
    found = estimate_cameras(made)
    assert (found.done, list(found.failed)) == (2, ["mine/b__30"])
