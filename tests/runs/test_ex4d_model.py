"""The calls that EX-4D's README shows work, and nothing is loaded or estimated twice."""

from contextlib import nullcontext

import attrs
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.errors import ComponentNotFound, InputNotFound, InvalidInput
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import SilentReporter, silent
from tests.helpers.backbones import WAN, StepBackbone, plugins_with


@pytest.fixture
def settings(small_clip):
    return {
        "depth": {"name": "file", "path": str(small_clip.depth)},
        "device": "cpu",
        "registry": Registry(plugins_with(WAN)),
    }


@pytest.fixture
def model(settings, tmp_path):
    return ex4d.Ex4dModel.from_pretrained(tmp_path, **settings)


def test_the_calls_of_the_references_readme_work(model, small_clip, tmp_path):
    video = model.generate(
        input_video=str(small_clip.video),
        camera_trajectory=ex4d.generate_camera_trajectory(start_angle=-90, end_angle=90, num_frames=6),
        output_resolution=(96, 64),
    )
    ex4d.save_video(video, tmp_path / "out.mp4")
    assert video.frames.shape == (6, 64, 96, 3)
    assert ex4d.read_video(tmp_path / "out.mp4").num_frames == 6


def test_a_path_around_a_subject_at_distance_1_turns_around_the_scenes(settings, small_clip, tmp_path):
    """It is then the sweep that `--cam` knows, which takes the distance from the scene itself."""
    model = ex4d.Ex4dModel.from_pretrained(tmp_path, **settings, trajectory={"angle_scaling": "none"})
    path = ex4d.generate_camera_trajectory(start_angle=-40, end_angle=40, num_frames=6)
    given, named = (model.generate(small_clip.video, camera_trajectory=cam) for cam in (path, "-40..40"))
    assert (given.frames != named.frames).float().mean() < 0.001
    assert given.frames.shape == (6, 64, 64, 3)


def test_a_second_path_loads_and_estimates_nothing_again(settings, small_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(StepBackbone, "made", 0)
    reporter = SilentReporter()
    stages = []
    reporter.stage = lambda name: stages.append(name) or nullcontext(silent)
    model = ex4d.Ex4dModel.from_pretrained(tmp_path, reporter=reporter, **settings)
    for angle in (30, -30):
        path = ex4d.generate_camera_trajectory(start_angle=0, end_angle=angle, num_frames=6)
        model.generate(small_clip.video, camera_trajectory=path)
    assert stages == ["read", "depth", "guidance", "result", "read", "guidance", "result"]
    assert StepBackbone.made == 1


def test_objects_are_components_and_arrays_are_clips(settings, small_clip):
    class Black:
        version = 1

        def generate(self, guidance, scene, **rest):
            return ex4d.Video(frames=guidance.color, fps=guidance.fps)

    model = ex4d.Ex4dModel.from_pretrained(**settings | {"backbone": Black()}, progress=False)
    frames = ex4d.read_video(small_clip.video).numpy()
    assert model.generate(frames, camera_trajectory="20").frames.shape == frames.shape
    with pytest.raises(InvalidInput, match="camera_trajectory must be a CameraPath or a --cam text, not 20"):
        model.generate(frames, camera_trajectory=20)
    with pytest.raises(InvalidInput, match="a size must be a width and a height"):
        model.generate(frames, camera_trajectory="20", output_resolution=64)


def test_a_path_shorter_than_the_clip_takes_its_first_frames(model, small_clip):
    path = ex4d.generate_camera_trajectory(start_angle=0, end_angle=30, num_frames=4)
    assert model.generate(small_clip.video, camera_trajectory=path).num_frames == 4


def test_a_path_longer_than_the_clip_is_one_sentence(model, small_clip):
    path = ex4d.generate_camera_trajectory(start_angle=0, end_angle=30)
    with pytest.raises(InvalidInput, match="the camera path has 49 poses but the clip has 6 frames"):
        model.generate(small_clip.video, camera_trajectory=path)


def test_frames_in_memory_are_taken_at_their_own_size_only(model, small_clip):
    clip = ex4d.read_video(small_clip.video)
    assert model.generate(clip, camera_trajectory="30").frames.shape == clip.frames.shape
    with pytest.raises(InvalidInput, match="the frames in memory are 64x48 and the output is 512x512; read"):
        model.generate(clip, camera_trajectory="30", output_resolution=(512, 512))


def test_it_behaves_as_the_reference_unless_it_is_told_otherwise(model):
    config = model.session.config
    assert (config.compat, config.video.num_frames, config.video.fps) == ("ex4d", 49, 30)
    backbone = model.session.choose("backbone")
    assert (backbone.offer.name, backbone.options.size, backbone.options.fit) == ("wan", "512x512", "stretch")


def test_weights_that_are_missing_are_said_before_a_video_is_read(settings):
    with pytest.raises(InputNotFound, match=r"nobody/has-this .* type: ex4d fetch wan"):
        ex4d.Ex4dModel.from_pretrained("ex4d-base", **settings)


def test_models_are_those_that_reproduce_ex4d_and_not_named_by_the_core(settings, tmp_path):
    other = attrs.evolve(WAN, name="other", auto=99)
    unlike = attrs.evolve(WAN, name="unlike", auto=100, presets={})
    registry = Registry(plugins_with(WAN, other, unlike))
    model = ex4d.Ex4dModel.from_pretrained(tmp_path, **settings | {"registry": registry})
    assert model.session.choose("backbone").offer.name == "other"


def test_without_a_model_that_reproduces_ex4d_there_is_no_preview_in_its_place(settings, tmp_path):
    registry = Registry(plugins_with(attrs.evolve(WAN, presets={})))
    with pytest.raises(ComponentNotFound, match="no backbone that reproduces EX-4D is installed; "):
        ex4d.Ex4dModel.from_pretrained(tmp_path, **settings | {"registry": registry})
    named = ex4d.Ex4dModel.from_pretrained("ex4d-base", **settings | {"registry": registry, "backbone": "inpaint"})
    assert named.session.choose("backbone").offer.name == "inpaint"


def test_a_model_that_there_is_not_is_one_sentence(settings):
    with pytest.raises(InvalidInput, match="unknown model 'ex4d-large'; use ex4d-base or a folder with weights"):
        ex4d.Ex4dModel.from_pretrained("ex4d-large", **settings)


def test_a_session_takes_a_path_with_its_own_lens_in_units_of_the_scene(small_clip, tmp_path):
    lens = ex4d.Intrinsics.from_fov(40, width=80, height=32)
    path = ex4d.generate_camera_trajectory(start_angle=0, end_angle=20, num_frames=6, radius=2.0, intrinsics=lens)
    session = ex4d.Session(depth={"name": "file", "path": str(small_clip.depth)}, backbone="inpaint")
    path_run = session.run(small_clip.video, cam=path, folder=tmp_path)
    assert path_run.video.frames.shape == (6, 32, 80, 3)
    assert torch.equal(path_run.guidance.cameras.world_to_camera, path.world_to_camera)
    again = session.run(small_clip.video, cam=path, folder=tmp_path)
    assert again.clip_run.records[-1].reused
    assert len(list((tmp_path / "artifacts").glob("guidance-*"))) == 1
    other = ex4d.generate_camera_trajectory(start_angle=0, end_angle=21, num_frames=6, radius=2.0, intrinsics=lens)
    session.run(small_clip.video, cam=other, folder=tmp_path)
    assert len(list((tmp_path / "artifacts").glob("guidance-*"))) == 2
