"""Time along a path, a source camera that moves, and how the stages take both."""

import attrs
import numpy as np
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.cameras.files import write_camera_path
from ex4d_core.cameras.generators import GivenPath
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.pipeline import stages
from ex4d_core.pipeline.stages import WrongComponent


@pytest.fixture
def settings(small_clip):
    return {"depth": {"name": "file", "path": str(small_clip.depth)}, "backbone": "inpaint"}


@pytest.fixture
def scene(settings, small_clip):
    return ex4d.Session(**settings).open_clip(small_clip.video).scene


def moving(scene, step=0.1) -> ex4d.CameraPath:
    """A source camera that goes to the right."""
    poses = torch.eye(4).repeat(scene.video.num_frames, 1, 1)
    poses[:, 0, 3] = -step * torch.arange(scene.video.num_frames)
    return ex4d.CameraPath(world_to_camera=poses, intrinsics=scene.depth.intrinsics_at(0))


def test_a_frozen_moment_is_rendered_in_every_frame(settings, small_clip):
    path_run = ex4d.Session(**settings).run(small_clip.video, cam="static with freeze:frame=4")
    frames = path_run.clip_run.scene.video.frames
    assert path_run.guidance.cameras.frames == (4,) * 6
    assert torch.equal(path_run.guidance.color[0], frames[4])
    assert torch.equal(path_run.scene.video.frames, frames[[4] * 6])
    assert torch.equal(path_run.video.frames[0], frames[4]), "the backbone was given the same moments"


def test_a_mesh_is_made_once_while_time_stands_still(settings, small_clip):
    session = ex4d.Session(**settings)
    built = []

    class Counting:
        def build(self, frame, depth, intrinsics, *, valid=None):
            built.append(frame)
            return session.mesh_builder().build(frame, depth, intrinsics, valid=valid)

    scene = session.open_clip(small_clip.video).scene
    path = stages.plan_path(scene, session.trajectory("orbit:yaw=20 with freeze:frame=4"))
    stages.render_guidance(scene, path, Counting(), session.renderer())
    assert len(built) == 1


def test_time_runs_back_and_the_clip_is_seen_so(settings, small_clip):
    path_run = ex4d.Session(**settings).open_clip(small_clip.video).along("reverse")
    forwards = ex4d.Session(**settings).open_clip(small_clip.video).along("static")
    assert torch.equal(path_run.guidance.color[1:-1], forwards.guidance.color.flip(0)[1:-1])
    assert path_run.guidance.fps == forwards.guidance.fps


@pytest.mark.parametrize(("frames", "shown"), [(3, (0, 3, 5)), (11, (0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5))])
def test_the_output_may_be_longer_or_shorter_than_the_clip(frames, shown, settings, small_clip, tmp_path):
    session = ex4d.Session(**settings, path={"frames": frames})
    path_run = session.run(small_clip.video, cam="orbit:yaw=10", folder=tmp_path)
    assert path_run.video.num_frames == frames
    assert path_run.guidance.cameras.frames == shown
    again = (
        ex4d.Session(**settings, path={"frames": frames})
        .open_clip(small_clip.video, folder=tmp_path)
        .along("orbit:yaw=10")
    )
    assert again.guidance.cameras.frames == shown, "time is stored with the guidance"
    with np.load(next(tmp_path.glob("artifacts/guidance-*")) / "cameras.npz") as arrays:
        assert arrays["clip_frames"].tolist() == list(shown)


def test_a_generator_that_knows_no_time_may_be_longer_than_the_clip(scene):
    class Still:
        def path(self, num_frames, scene):
            return ex4d.CameraPath(
                world_to_camera=torch.eye(4).repeat(num_frames, 1, 1), intrinsics=scene.depth.intrinsics_at(0)
            )

    assert stages.plan_path(scene, Still()).frames is None
    assert stages.plan_path(scene, Still(), num_frames=3).frames == (0, 3, 5)


def test_a_path_that_shows_frames_that_are_not_there_is_the_plugins_fault(scene):
    path = attrs.evolve(moving(scene), frames=(0, 1, 2, 3, 4, 6))
    with pytest.raises(WrongComponent, match="shows frame 6 of a clip of 6 frames"):
        stages.plan_path(scene, GivenPath(path))


def test_a_given_path_that_says_its_frames_may_have_any_length(settings, small_clip, scene):
    path = attrs.evolve(moving(scene), frames=(5, 4, 3, 2, 1, 0)).taken_at([0, 1])
    path = attrs.evolve(path, frames=(5, 5))
    assert ex4d.Session(**settings).open_clip(small_clip.video).along(path).guidance.num_frames == 2
    with pytest.raises(InvalidInput, match="has 2 poses but the clip has 6 frames"):
        stages.retimed(scene, attrs.evolve(path, frames=None))


@pytest.mark.parametrize("cameras", [False, True])
def test_paths_zoom_as_the_source_camera_unless_they_are_in_the_world(scene, cameras):
    first = scene.depth.intrinsics_at(0)
    zoom = tuple(attrs.evolve(first, fx=first.fx * (1 + t / 5), fy=first.fy * (1 + t / 5)) for t in range(6))
    depth = attrs.evolve(scene.depth, intrinsics=zoom, cameras=moving(scene) if cameras else None)
    clip = ex4d.Session(refine={"enabled": False}).open_clip(scene.video, depth=depth)
    static = clip.along("static")
    assert static.path.intrinsics == zoom
    assert bool(static.guidance.mask.all()), "the target camera shows the picture of the source camera"
    assert clip.along("static with reverse").path.intrinsics == zoom[::-1]
    in_world = ex4d.Session(path={"relative_to": "world"}).open_clip(scene.video, depth=depth).along("static").path
    assert in_world.intrinsics == (first,)


def test_paths_follow_a_source_camera_that_moves_unless_they_are_in_the_world(settings, small_clip, scene, tmp_path):
    write_camera_path(moving(scene), tmp_path / "source.json")
    poses = {}
    for relative_to in ("auto", "source", "world"):
        options = {"source_cameras": str(tmp_path / "source.json"), "relative_to": relative_to}
        path_run = ex4d.Session(**settings, path=options).open_clip(small_clip.video).along("static")
        poses[relative_to] = path_run.path.world_to_camera
    assert torch.equal(poses["auto"], poses["source"])
    torch.testing.assert_close(poses["source"], moving(scene).world_to_camera)
    assert torch.equal(poses["world"], torch.eye(4).expand(6, 4, 4))


def test_a_path_that_follows_sees_the_clip_as_it_was_filmed_whatever_time_is_shown(
    settings, small_clip, scene, tmp_path
):
    write_camera_path(moving(scene), tmp_path / "source.json")
    session = ex4d.Session(**settings, path={"source_cameras": str(tmp_path / "source.json")})
    path_run = session.open_clip(small_clip.video).along("reverse")
    known = path_run.guidance.mask
    assert known.float().mean() > 0.8
    assert torch.equal(path_run.guidance.color[known], scene.video.frames.flip(0)[known])
    torch.testing.assert_close(path_run.path.world_to_camera, moving(scene).world_to_camera.flip(0))


def test_a_saved_path_stays_in_the_world(settings, small_clip, scene, tmp_path):
    write_camera_path(moving(scene), tmp_path / "source.json")
    session = ex4d.Session(**settings, path={"source_cameras": str(tmp_path / "source.json")})
    clip_run = session.open_clip(small_clip.video)
    first = clip_run.along("orbit:yaw=20").path
    write_camera_path(first, tmp_path / "path.json")
    torch.testing.assert_close(clip_run.along(f"{tmp_path}/path.json").path.world_to_camera, first.world_to_camera)
    torch.testing.assert_close(clip_run.along(first).path.world_to_camera, first.world_to_camera)


def test_poses_of_the_source_camera_follow_the_frames_that_are_taken(settings, small_clip, scene, tmp_path):
    write_camera_path(moving(scene), tmp_path / "source.json")
    options = {"path": {"source_cameras": str(tmp_path / "source.json")}, "video": {"start": 1, "stride": 2}}
    cameras = ex4d.Session(**settings, **options).open_clip(small_clip.video).scene.depth.cameras
    torch.testing.assert_close(cameras.world_to_camera[:, 0, 3], torch.tensor([0.0, -0.2, -0.4]))
    write_camera_path(moving(scene).taken_at(range(4)), tmp_path / "source.json")
    with pytest.raises(InvalidInput, match="has 4 source camera poses but the video has 3 frames"):
        _ = ex4d.Session(**settings, **options).open_clip(small_clip.video).scene


def test_what_decides_a_path_decides_its_artifacts(settings, small_clip, scene, tmp_path):
    def key(cam="30", **options):
        return ex4d.Session(**settings, path=options).open_clip(small_clip.video).along(cam).guidance_inputs

    write_camera_path(moving(scene), tmp_path / "source.json")
    keys = [
        key(),
        key("30 with freeze"),
        key("arc:angle=30,ease=smooth"),
        key(frames=3),
        key(relative_to="world"),
        key(source_cameras=str(tmp_path / "source.json")),
    ]
    write_camera_path(moving(scene, 0.2), tmp_path / "source.json")
    keys.append(key(source_cameras=str(tmp_path / "source.json")))
    assert len({str(key) for key in keys}) == len(keys)


@pytest.mark.parametrize(
    "options", [{"path": {"source_cameras": "none.json"}}, {"lens": {"intrinsics": "none.json"}}], ids=str
)
def test_a_file_that_is_missing_is_said_although_a_run_without_it_is_kept(options, settings, small_clip, tmp_path):
    _ = ex4d.Session(**settings).open_clip(small_clip.video, folder=tmp_path).along("30").guidance
    with pytest.raises(InputNotFound, match=r"the .* file none\.json does not exist"):
        _ = ex4d.Session(**settings, **options).open_clip(small_clip.video, folder=tmp_path).along("30").guidance


def test_a_configuration_with_a_path_runs_the_same_again(small_clip, tmp_path, ex4d):
    flags = ["--depth-file", small_clip.depth, "--look-at", "30,30", "--output-frames", "4", "-o", "out"]
    ex4d("recon", small_clip.video, *flags, "--cam", "orbit:yaw=20,ease=smooth then dolly with freeze")
    first = (tmp_path / "out" / "config.toml").read_text()
    assert 'look_at = "30,30"' in first
    code, out, _ = ex4d("recon", "--config", "out/config.toml", "-o", "out", "--json")
    assert code == 0
    assert (tmp_path / "out" / "config.toml").read_text() == first
    assert '"reused": true' in out
    assert '"reused": false' not in out
