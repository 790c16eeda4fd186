"""Source cameras from a file: how it is read, and files of target cameras in the same world."""

import json

import attrs
import numpy as np
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.errors import InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.testing.filming import filmed
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Intrinsics
from tests.helpers.foreign_cameras import C2W, ELSEWHERE, GL, Z_UP, colmap_model

LENS = {1: (1, [500.0, 500.0, 320.0, 180.0]), 2: (1, [500.0, 500.0, 320.0, 180.0])}
IN_FRONT = np.eye(4)
IN_FRONT[:3, 3] = [0.1, 0, 0]
ASIDE = IN_FRONT @ ELSEWHERE
"""World to camera of a target camera beside the source camera."""


@pytest.fixture
def clip(small_clip):
    def open_clip(source, **options):
        depth = {"name": "file", "path": str(small_clip.depth)}
        session = ex4d.Session(depth=depth, path={"source_cameras": str(source), **options})
        return session.open_clip(small_clip.video)

    return open_clip


def model(folder, *cameras):
    """Write a COLMAP model with a folder of images for each camera."""
    folder.mkdir()
    images = [
        (pose, at + 1, f"c{at}/{frame}.png") for at, poses in enumerate(cameras) for frame, pose in enumerate(poses)
    ]
    colmap_model(folder, images, LENS)
    return folder


def transforms(path, poses):
    frames = [
        {"file_path": f"{at}.png", "transform_matrix": (Z_UP @ pose @ GL).tolist()} for at, pose in enumerate(poses)
    ]
    path.write_text(json.dumps({"frames": frames}))
    return path


def relative(poses):
    return torch.from_numpy(poses @ np.linalg.inv(ELSEWHERE[0])).float()


def test_the_file_has_the_options_of_files_of_cam(clip, tmp_path):
    np.save(tmp_path / "a.npy", np.linalg.inv(ELSEWHERE))
    cameras = clip(f"{tmp_path}/a.npy:convention=c2w-opencv,format=matrices,scale=2").scene.depth.cameras
    expected = relative(ELSEWHERE)
    expected[:, :3, 3] *= 2
    torch.testing.assert_close(cameras.world_to_camera, expected, atol=1e-5, rtol=0)
    both = model(tmp_path / "m", ELSEWHERE, ASIDE)
    with pytest.raises(InvalidInput, match="images of several cameras; select one with m:camera=NAME"):
        _ = clip(both).scene
    cameras = clip(f"{both}:camera=c0").scene.depth.cameras
    torch.testing.assert_close(cameras.world_to_camera, relative(ELSEWHERE), atol=1e-5, rtol=0)


def test_missing_source_cameras_are_interpolated_on_request(clip, tmp_path):
    tree = {str(at): ELSEWHERE[at].tolist() for at in (0, 1, 3, 4, 5)}
    (tmp_path / "a.json").write_text(json.dumps(tree))
    source = f"{tmp_path}/a.json:convention=w2c-opencv"
    with pytest.raises(InvalidInput, match="has no pose of frame 2, counted from 0; add :fill=interpolate"):
        _ = clip(source).scene
    assert clip(f"{source},fill=interpolate").scene.depth.cameras.num_frames == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.npy:start=source", "unknown option path.source_cameras.start; .*known: path, format, camera, convention"),
        ("a.npy:fill=linear", "path.source_cameras.fill: must be one of interpolate, none"),
        ("a.npy:scale=0 then a.npy", "--source-cameras takes one file"),
        ("a.npy:scale=", "--source-cameras: an option must read key=value"),
    ],
)
def test_an_option_that_does_not_exist_is_named(text, says, clip, tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", ELSEWHERE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidConfig, match=says):
        _ = clip(text).scene


@pytest.mark.parametrize("text", ["Estimated", "none", ""])
def test_a_word_that_is_not_a_choice_lists_the_choices(clip, text):
    with pytest.raises(InputNotFound, match=f"cameras '{text}' is not one of auto, estimated, still or a file"):
        _ = clip(text).scene


def test_a_file_that_is_missing_is_named_without_its_options(clip):
    with pytest.raises(InputNotFound, match=r"camera file none\.json does not exist"):
        _ = clip("none.json:scale=2").scene


@pytest.mark.parametrize("kind", ["colmap", "transforms"])
@pytest.mark.parametrize("target", [ELSEWHERE, ASIDE], ids=["equal", "aside"])
def test_target_cameras_of_the_same_tool_are_in_the_world_of_the_source_cameras(kind, target, clip, tmp_path):
    if kind == "colmap":
        source, other = model(tmp_path / "a", ELSEWHERE), model(tmp_path / "b", target)
    else:
        source = transforms(tmp_path / "a.json", C2W)
        other = transforms(tmp_path / "b.json", np.linalg.inv(target))
    run = clip(source)
    path = run.along(f"{other}:lens=clip").path
    torch.testing.assert_close(path.world_to_camera, relative(target), atol=1e-5, rtol=0)
    if target is ELSEWHERE:
        torch.testing.assert_close(path.world_to_camera, run.scene.depth.cameras.world_to_camera, atol=1e-5, rtol=0)
    own = run.along(f"{other}:lens=clip,start=file").path
    torch.testing.assert_close(own.world_to_camera, torch.from_numpy(target).float(), atol=1e-5, rtol=0)


def test_one_world_has_one_scale_and_is_noted(clip, tmp_path, monkeypatch):
    both = model(tmp_path / "m", ELSEWHERE, ASIDE)
    run = clip(f"{both}:camera=c0,scale=3")
    texts = []
    monkeypatch.setattr(run.components.reporter, "note", texts.append)
    path = run.along(f"{both}:camera=c1,lens=clip").path
    expected = relative(ASIDE)
    expected[:, :3, 3] *= 3
    torch.testing.assert_close(path.world_to_camera, expected, atol=1e-4, rtol=0)
    (note,) = (text for text in texts if "in the world of the source cameras" in text)
    assert "add :start=file" in note


def test_a_file_of_another_tool_is_in_the_world_of_the_scene(clip, tmp_path):
    source, other = model(tmp_path / "a", ELSEWHERE), transforms(tmp_path / "b.json", np.linalg.inv(ASIDE))
    path = clip(source).along(f"{other}:lens=clip").path
    torch.testing.assert_close(path.world_to_camera, torch.from_numpy(ASIDE).float(), atol=1e-5, rtol=0)


class Truth:
    """A depth estimator that returns the true depth, with poses that may be wrong."""

    def __init__(self, depth):
        self.depth = depth

    def estimate(self, video, *, progress):
        return self.depth


@pytest.fixture(scope="module")
def filmed_clip():
    lens = Intrinsics.from_fov(width=64, height=48)
    scene = room_scene().clip(cameras=filmed("walk", num_frames=9, intrinsics=lens))

    def open_clip(choice=None, *, wrong=False, given=False):
        depth = scene.depth
        if wrong:
            cameras = attrs.evolve(depth.cameras, world_to_camera=torch.linalg.inv(depth.cameras.world_to_camera))
            depth = attrs.evolve(depth, cameras=cameras)
        path = {} if choice is None else {"source_cameras": choice}
        notes = []
        session = ex4d.Session(path=path, refine={"enabled": False}, **({} if given else {"depth": Truth(depth)}))
        session.reporter.note = notes.append
        return session.open_clip(scene.video, depth=depth if given else None).scene.depth.cameras, notes

    return open_clip


def test_estimated_poses_are_used_where_they_predict_the_frames(filmed_clip):
    cameras, notes = filmed_clip()
    assert cameras is not None
    assert [note for note in notes if "estimated poses are used (it moves 0.1" in note]
    cameras, notes = filmed_clip(wrong=True)
    assert cameras is None
    assert [note for note in notes if "source camera: static, because" in note and "\n" not in note]


def test_poses_are_used_or_not_as_the_user_chooses(filmed_clip):
    assert filmed_clip("estimated", wrong=True)[0] is not None
    assert filmed_clip("still")[0] is None
    assert filmed_clip("auto", wrong=True)[0] is None
    assert filmed_clip(wrong=True, given=True)[0] is not None


def test_a_photo_has_no_poses_to_require():
    scene = room_scene().clip(num_frames=1, width=64, height=48)
    session = ex4d.Session(path={"source_cameras": "estimated"}, refine={"enabled": False})
    assert session.open_clip(scene.video, depth=scene.depth).scene.depth.cameras is None


def test_source_cameras_are_not_read_from_depth_without_them(tmp_path):
    ex4d.write_depth(room_scene().clip(num_frames=2, width=32, height=24).depth, tmp_path / "depth.npz")
    with pytest.raises(
        InvalidInput, match=r"depth\.npz: it has no poses, .* with ex4d depth --source-cameras estimated"
    ):
        ex4d.read_camera_path(tmp_path / "depth.npz")


def test_required_poses_that_the_depth_lacks_are_an_error(clip):
    with pytest.raises(InvalidInput, match="the depth has no poses of the source camera; use a depth estimator"):
        _ = clip("estimated").scene


K = np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]])
MAPS = np.ones((6, 48, 64), np.float32)
KNOWN = [0, 1, 3, 4, 5]


def da3(folder):
    np.savez(folder / "a.npz", depth=MAPS, conf=MAPS, extrinsics=ELSEWHERE[:, :3], intrinsics=np.stack([K] * 6))
    return folder / "a.npz"


def megasam(folder):
    np.savez(folder / "a.npz", images=np.zeros((6, 48, 64, 3), np.uint8), depths=MAPS, intrinsic=K, cam_c2w=C2W)
    return folder / "a.npz"


def vipe(folder):
    for name, data in (("pose", C2W[KNOWN]), ("intrinsics", np.tile([60.0, 60, 32, 24], (5, 1)))):
        (folder / name).mkdir()
        np.savez(folder / name / "clip.npz", data=data, inds=np.array(KNOWN))
    return folder


def colmap(folder):
    images = [(ELSEWHERE[frame], 1, f"{frame}.png") for frame in KNOWN]
    (folder / "model").mkdir()
    colmap_model(folder / "model", images, LENS)
    return folder / "model"


@pytest.mark.parametrize(("write", "gap"), [(da3, False), (megasam, False), (vipe, True), (colmap, True)])
def test_results_of_other_tools_are_source_cameras_and_their_gaps_are_named(write, gap, clip, tmp_path):
    source = write(tmp_path)
    if gap:
        with pytest.raises(InvalidInput, match="has no pose of frame 2, counted from 0; add :fill=interpolate"):
            _ = clip(source).scene
        source = f"{source}:fill=interpolate"
    cameras = clip(source).scene.depth.cameras
    torch.testing.assert_close(cameras.world_to_camera[KNOWN], relative(ELSEWHERE)[KNOWN], atol=1e-5, rtol=0)
    assert cameras.num_frames == 6
