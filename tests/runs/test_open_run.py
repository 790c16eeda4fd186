"""A run folder is opened to see what is there, while the run goes on and afterwards."""

import shutil

import pytest

from ex4d_core.errors import Ex4dError, InputNotFound
from ex4d_core.pipeline.session import Session
from ex4d_core.preview.sampling import sampled_depth, sampled_scene, size_within
from ex4d_core.runs.export import open_run


@pytest.fixture
def session(small_clip):
    return Session(depth={"name": "file", "path": str(small_clip.depth)}, cam=["20"], backbone="inpaint")


def test_what_a_run_has_left_is_there(ex4d, small_clip, tmp_path):
    ex4d("run", small_clip.video, "--depth-file", small_clip.depth, "--cam", "20", "--num-frames", "4")
    clip_run = open_run(tmp_path / "outputs" / "clip")
    path_run = clip_run.along(clip_run.components.config.cam[0])
    assert clip_run.video.num_frames == 4
    assert clip_run.stored_depth().num_frames == 4
    assert path_run.stored_guidance().num_frames == 4
    assert path_run.stored_video().num_frames == 4


def test_what_is_not_there_yet_is_none_and_is_not_made(ex4d, small_clip, tmp_path):
    ex4d("depth", small_clip.video, "--depth-file", small_clip.depth)
    clip_run = open_run(tmp_path / "outputs" / "clip")
    assert clip_run.stored_depth() is not None
    assert clip_run.along("30").stored_guidance() is None
    assert clip_run.along("30").stored_video() is None
    assert [path.name.partition("-")[0] for path in (tmp_path / "outputs/clip/artifacts").iterdir()] == ["depth"]


def test_a_run_can_be_opened_before_anything_is_made(ex4d, small_clip, tmp_path, monkeypatch):
    seen = []

    def look(*_, **__):
        seen.append(open_run(tmp_path / "outputs" / "clip").stored_depth())
        raise RuntimeError("stopped here")

    monkeypatch.setattr("ex4d_core.pipeline.stages.estimate_depth", look)
    ex4d("run", small_clip.video, "--depth-file", small_clip.depth, "--cam", "20")
    assert seen == [None]


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b"x"), lambda file: file.unlink()])
def test_a_look_at_a_damaged_run_changes_nothing(ex4d, small_clip, tmp_path, damage):
    ex4d("recon", small_clip.video, "--depth-file", small_clip.depth, "--cam", "20", "-o", "out")
    for name in ("depth-*/depth.frames", "guidance-*/color.mkv"):
        damage(next((tmp_path / "out" / "artifacts").glob(name)))
    (tmp_path / "out" / "artifacts" / ".partial-result-x").mkdir()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    said = []
    clip_run = open_run(tmp_path / "out")
    clip_run.components.reporter.warn = said.append
    assert clip_run.stored_depth() is None
    assert clip_run.along("20").stored_guidance() is None
    assert [text.partition(" in ")[0] for text in said] == ["depth", "guidance"]
    assert all(text.endswith("the next run computes it again") for text in said)
    with pytest.raises(InputNotFound, match="out has no valid guidance for these settings"):
        _ = clip_run.along("20").guidance
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_run_is_found_from_another_folder(ex4d, small_clip, tmp_path, monkeypatch):
    shutil.copy(small_clip.video, "here.mp4")
    ex4d("depth", "here.mp4", "--depth-file", small_clip.depth, "--no-preview")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    assert open_run(tmp_path / "outputs" / "here").stored_depth() is not None


def test_a_damaged_record_hides_no_run(ex4d, small_clip, tmp_path):
    ex4d("depth", small_clip.video, "--depth-file", small_clip.depth, "--no-preview")
    (tmp_path / "outputs" / "clip" / "run.json").write_text("[")
    assert open_run(tmp_path / "outputs" / "clip").stored_depth() is not None


def test_the_depth_command_leaves_the_settings_of_a_run_alone(ex4d, small_clip, tmp_path):
    ex4d("recon", small_clip.video, "--depth-file", small_clip.depth, "--cam", "20", "-o", "outputs/clip")
    before = (tmp_path / "outputs/clip/config.toml").read_text()
    ex4d("depth", small_clip.video, "--depth-file", small_clip.depth)
    assert (tmp_path / "outputs/clip/config.toml").read_text() == before


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (None, "the run folder .* does not exist"),
        ({}, "is not a run folder, since it has no config.toml"),
        ({"config.toml": "cam = ["}, "is not valid TOML"),
        ({"config.toml": ""}, "is a run of frames in memory"),
        ({"config.toml": 'clips = ["gone.mp4"]'}, "the clip gone.mp4 of the run .* does not exist"),
    ],
)
def test_what_is_no_run_folder_says_so(tmp_path, files, says):
    folder = tmp_path / "run"
    if files is not None:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    with pytest.raises(Ex4dError, match=says):
        open_run(folder)


def test_a_clip_in_place_of_its_run_folder_is_refused_with_the_command(small_clip):
    with pytest.raises(Ex4dError, match=rf"is a file, not a run folder; .*: ex4d run \S*{small_clip.video.name}"):
        open_run(small_clip.video)


def test_a_scene_is_made_smaller_with_its_lens(session, small_clip):
    scene = session.open_clip(small_clip.video).scene
    small = sampled_scene(scene, [0, 3], side=32)
    assert small.video.frames.shape == (2, 24, 32, 3)
    assert small.depth.depth.unique().tolist() == scene.depth.depth[[0, 3]].unique().tolist() == [2, 4]
    lens = small.depth.intrinsics_at(0)
    assert (lens.width, lens.height, lens.fx) == (32, 24, scene.depth.intrinsics_at(0).fx / 2)


def test_depth_at_its_own_size_is_as_it_was(session, small_clip):
    depth = session.open_clip(small_clip.video).estimated_scene.depth
    same = sampled_depth(depth, range(depth.num_frames), width=64, height=48)
    assert same.depth.equal(depth.depth)
    assert same.valid.equal(depth.valid)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((640, 480), 320, (320, 240)), ((64, 48), 320, (64, 48)), ((2000, 20), 100, (100, 16))],
)
def test_sizes_keep_their_ratio_where_they_can(size, side, expected):
    assert size_within(size, side) == expected
