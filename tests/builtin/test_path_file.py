"""Camera files as paths of a clip: lengths, intrinsics, frames and the world."""

import json

import attrs
import numpy as np
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.builtin.path_file import PathFile
from ex4d_core.builtin.path_file_options import PathFileOptions
from ex4d_core.cameras.files import write_camera_path, write_keyframes
from ex4d_core.cameras.generators import poses_of
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.geometry.motion import Start
from ex4d_core.geometry.paths import orbited
from ex4d_core.geometry.rigid import rotation, rotation_about, translation
from tests.helpers.camera_paths import CPU, LENS, SUBJECT, from_file, path_through, scene, to_the_right


def test_a_saved_path_is_the_same_path(tmp_path):
    path = to_the_right()
    write_camera_path(path, tmp_path / "path.json")
    again = from_file(tmp_path / "path.json")
    assert torch.equal(again.world_to_camera, path.world_to_camera)
    assert again.intrinsics == path.intrinsics


def test_another_number_of_poses_is_refused_or_spread(tmp_path):
    write_camera_path(to_the_right(5), tmp_path / "path.npz")
    with pytest.raises(InvalidInput, match=r"has 5 poses but 9 frames .*; add :resample"):
        from_file(tmp_path / "path.npz", 9)
    spread = from_file(tmp_path / "path.npz", 9, resample=True)
    torch.testing.assert_close(spread.world_to_camera[::2], to_the_right(5).world_to_camera)
    between = poses_of(spread)[1].rotation
    assert np.degrees(np.arcsin(between[2][0])) == pytest.approx(5), "turned half as far as at the next pose"


def test_keyframes_are_gone_through_smoothly_at_any_number_of_frames(tmp_path):
    keys = path_through(*(orbited(yaw, 0, SUBJECT) for yaw in (0, 30, -10)))
    write_keyframes(keys, tmp_path / "keys.json", times=(0.0, 0.25, 1.0))
    coarse, fine = (from_file(tmp_path / "keys.json", frames).world_to_camera for frames in (9, 161))
    torch.testing.assert_close(coarse[[0, 2, 8]], keys.world_to_camera)
    torch.testing.assert_close(fine[::20], coarse)
    bends = (fine[2:] - 2 * fine[1:-1] + fine[:-2]).abs().amax()
    assert bends < 0.002, "no corner"


def test_lengths_and_the_start_can_be_changed(tmp_path):
    path = to_the_right()
    write_camera_path(path, tmp_path / "path.json")
    eyes = torch.linalg.inv(path.world_to_camera)[:, :3, 3]
    larger = torch.linalg.inv(from_file(tmp_path / "path.json", scale=3.0).world_to_camera)[:, :3, 3]
    of_subject = torch.linalg.inv(from_file(tmp_path / "path.json", unit="subject").world_to_camera)[:, :3, 3]
    torch.testing.assert_close(larger, 3 * eyes)
    torch.testing.assert_close(of_subject, 2 * eyes)
    flipped = attrs.evolve(path, world_to_camera=path.world_to_camera.flip(0))
    write_camera_path(flipped, tmp_path / "flipped.json")
    torch.testing.assert_close(from_file(tmp_path / "flipped.json", start="source").world_to_camera[0], torch.eye(4))


def test_a_lens_for_other_pictures_is_scaled_or_refused(tmp_path):
    double = LENS.scaled_to(width=128, height=96)
    write_camera_path(attrs.evolve(to_the_right(), intrinsics=double), tmp_path / "double.json")
    assert from_file(tmp_path / "double.json").intrinsics == (LENS,)
    write_camera_path(
        attrs.evolve(to_the_right(), intrinsics=LENS.scaled_to(width=96, height=96)), tmp_path / "square.json"
    )
    with pytest.raises(InvalidInput, match="images of 96x96, but the clip is 64x48; add :lens=clip"):
        from_file(tmp_path / "square.json")
    assert from_file(tmp_path / "square.json", lens="clip").intrinsics == (LENS,)


def test_a_path_that_looks_away_is_named(tmp_path):
    def warnings(path, **options):
        write_camera_path(path, tmp_path / "path.json")
        return PathFile(PathFileOptions(path=str(tmp_path / "path.json"), **options), device=CPU).warnings(scene())

    right = path_through(*(orbited(-90 * k / 4, 0, Start(subject=(0, 0, 2))) for k in range(5)))
    assert warnings(right) == []
    turned = right.world_to_camera @ torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    (sentence,) = warnings(attrs.evolve(right, world_to_camera=turned))
    assert "does not look at the scene at its start" in sentence
    assert warnings(attrs.evolve(right, world_to_camera=turned), start="source") == []
    aside = path_through(*(translation((-k, 0, 0)) @ rotation(rotation_about((0, 1, 0), 16 * k)) for k in range(5)))
    assert warnings(aside) == []
    (sentence,) = warnings(attrs.evolve(aside, world_to_camera=torch.linalg.inv(aside.world_to_camera)))
    assert "with inverted matrices; check whether they are camera to world" in sentence


def test_a_path_that_does_not_fit_the_scene_names_its_file(tmp_path):
    write_camera_path(to_the_right(), tmp_path / "path.json")
    with pytest.raises(
        InvalidInput, match=r"path\.json: pose 1 is not a rotation .*: its translation is beyond 1e\+09"
    ):
        from_file(tmp_path / "path.json", scale=1e9, unit="subject", look_at="1000")
    with pytest.raises(InvalidConfig, match=r"scale must be more than 0 and at most 1000000000, not 1e\+30"):
        PathFileOptions(path="path.json", scale=1e30)
    (tmp_path / "angle.json").write_text(
        json.dumps({"camera_angle_x": 1e-10, "frames": [{"transform_matrix": np.eye(4).tolist()}]})
    )
    with pytest.raises(InvalidInput, match=r"angle\.json: fx must be between 0\.001 and 100000000 pixels"):
        from_file(tmp_path / "angle.json", 1)


@pytest.mark.parametrize("convention", ["", "c2w", "c2w-nerf", "\x1b[31m", "x" * 10_000])
def test_a_convention_that_does_not_exist_is_refused_although_the_file_states_its_own(convention, tmp_path):
    write_camera_path(to_the_right(), tmp_path / "path.json")
    with pytest.raises(InvalidInput, match=r"the convention '.*' must be c2w-opencv") as refused:
        from_file(tmp_path / "path.json", convention=convention)
    assert len(str(refused.value)) < 300


@pytest.mark.slow
def test_a_path_of_thousands_of_poses_is_looked_at_here_and_there(tmp_path):
    write_camera_path(to_the_right(5000), tmp_path / "path.json")
    path = PathFile(PathFileOptions(path=str(tmp_path / "path.json"), resample=True), device=CPU)
    assert path.warnings(scene()) == []
    assert path.path(5, scene()).num_frames == 5


def test_a_run_takes_a_saved_path_and_follows_what_is_in_it(small_clip, tmp_path):
    settings = {"depth": {"name": "file", "path": str(small_clip.depth)}}
    session = ex4d.Session(**settings)
    path_run = session.open_clip(small_clip.video).along("orbit:yaw=20")
    write_camera_path(path_run.path, tmp_path / "path.json")
    saved = session.open_clip(small_clip.video).along(f"{tmp_path}/path.json")
    assert torch.equal(saved.path.world_to_camera, path_run.path.world_to_camera)
    before = saved.guidance_inputs
    write_camera_path(session.open_clip(small_clip.video).along("orbit:yaw=21").path, tmp_path / "path.json")
    assert ex4d.Session(**settings).open_clip(small_clip.video).along(f"{tmp_path}/path.json").guidance_inputs != before
