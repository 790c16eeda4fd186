"""A run survives: stages are found again, a killed run goes on, damage is noticed, and a session loads once."""

import json
import os
import shutil
from fractions import Fraction
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.errors import Cancelled, InputNotFound, InvalidConfig, InvalidInput
from ex4d_core.files import file_hash
from ex4d_core.pipeline import stages
from ex4d_core.pipeline.stage_order import describe_stages
from ex4d_core.plugins.discovery import find_plugins
from ex4d_core.plugins.registry import Registry
from ex4d_core.roles import ROLES
from ex4d_core.runs.batch import find_clips, run_folders
from ex4d_core.runs.export import export
from tests.helpers.dying import run_and_die
from tests.helpers.forked import fork, fork_command

pytestmark = pytest.mark.slow

STAGES = tuple(stage.name for stage in describe_stages() if stage.needs)


def test_a_run_goes_through_the_stages_that_are_described(settings, small_clip):
    """In their order, each after those that it needs, with the components of its roles."""
    stages = describe_stages()
    path_run = ex4d.Session(**settings).run(small_clip.video, cam="30")
    ran = [record.stage for record in path_run.clip_run.records]
    assert [name for name in ran if name != "refine"] == [stage.name for stage in stages]  # that has no artifact
    for number, stage in enumerate(stages):
        assert set(stage.needs) <= {earlier.name for earlier in stages[:number]}
    assert sorted(role for stage in stages for role in stage.roles) == sorted(ROLES)


@pytest.fixture
def settings(small_clip):
    return {"depth": {"name": "file", "path": str(small_clip.depth)}}


@pytest.fixture
def session(settings):
    return ex4d.Session(**settings)


def made_stages(clip_run):
    return [record.stage for record in clip_run.records if not record.reused]


def test_a_take_has_the_clips_length_size_and_rate(session, small_clip):
    path_run = session.run(small_clip.video, cam="30")
    clip = ex4d.read_video(small_clip.video)
    assert path_run.video.frames.shape == clip.frames.shape
    assert path_run.video.fps == clip.fps
    assert path_run.guidance.cameras.num_frames == clip.num_frames


def test_a_path_that_starts_at_the_source_starts_with_its_frame(session, small_clip):
    guidance = session.run(small_clip.video, cam="30").guidance
    assert guidance.mask[0].all()
    assert torch.equal(guidance.color[0], ex4d.read_video(small_clip.video).frames[0])


def test_a_path_that_starts_elsewhere_does_not(session, small_clip):
    assert not session.run(small_clip.video, cam="-60..60").guidance.mask[0].all()


def test_known_pixels_are_kept_and_hidden_ones_are_filled(session, small_clip):
    path_run = session.run(small_clip.video, cam="60")
    mask = path_run.guidance.mask
    assert torch.equal(path_run.video.frames[mask], path_run.guidance.color[mask])
    assert 0.1 < mask.float().mean() < 1
    assert path_run.video.frames[~mask].float().mean() > 10


def test_a_static_camera_shows_the_clip_inside_its_border(session, small_clip):
    """Pixels next to the border ring or to a jump in depth are hidden; every other one is the source's own."""
    guidance = session.run(small_clip.video, cam="static").guidance
    clip = ex4d.read_video(small_clip.video)
    assert torch.equal(guidance.color[3][guidance.mask[3]], clip.frames[3][guidance.mask[3]])
    assert guidance.mask[3, 4:12, 4:-4].all()


def test_a_second_path_in_a_session_estimates_no_second_depth(session, small_clip):
    session.run(small_clip.video, cam="30")
    path_run = session.run(small_clip.video, cam="-30")
    assert made_stages(path_run.clip_run) == ["read", "depth", "refine", "guidance", "result", "guidance", "result"]


def test_terms_that_restrict_use_are_said_once_in_a_session(settings, small_clip):
    found = find_plugins()
    restricted = [
        attrs.evolve(offer, spec=attrs.evolve(offer.spec, usage_terms="for tests only"))
        for offer in found.offers
        if offer.name == "zbuffer"
    ]
    others = [offer for offer in found.offers if offer.name != "zbuffer"]
    registry = Registry(attrs.evolve(found, offers=(*others, *restricted)))
    session = ex4d.Session(**settings, renderer="zbuffer", registry=registry)
    notes = []
    session.reporter.note = notes.append
    for cam in ("30", "-30"):
        session.run(small_clip.video, cam=cam)
    assert notes.count("renderer zbuffer: for tests only") == 1


def test_frames_in_memory_run_as_a_file_does(session, small_clip):
    clip = ex4d.read_video(small_clip.video)
    from_memory, from_file = (session.run(source, cam="30").video for source in (clip, small_clip.video))
    assert torch.equal(from_memory.frames, from_file.frames)


def test_the_same_settings_give_the_same_video(settings, small_clip):
    first, second = (ex4d.run(small_clip.video, cam="-45", **settings).video for _ in range(2))
    assert torch.equal(first.frames, second.frames)


def test_a_finished_run_decodes_nothing(settings, small_clip, tmp_path, monkeypatch):
    export(ex4d.Session(**settings).open_clip(small_clip.video, folder=tmp_path).along("30"))
    monkeypatch.setattr("ex4d_core.pipeline.clips.read_video", lambda *_, **__: pytest.fail("decoded"))
    exported = export(ex4d.Session(**settings).open_clip(small_clip.video, folder=tmp_path).along("30"))
    assert [(record.stage, record.reused) for record in exported.records] == [("guidance", True), ("result", True)]


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_while_it_writes_a_stage_goes_on_from_there(settings, small_clip, tmp_path, stage):
    whole = ex4d.run(small_clip.video, cam="30", **settings).video
    name = {"result": "video"}.get(stage, stage)
    killed = fork(run_and_die, small_clip.video, small_clip.depth, f"save_{name}", tmp_path)
    killed.join()
    assert killed.exitcode == -9
    path_run = ex4d.Session(**settings).run(small_clip.video, cam="30", folder=tmp_path)
    assert torch.equal(path_run.video.frames, whole.frames)
    reused = {record.stage for record in path_run.clip_run.records if record.reused}
    assert reused == set(STAGES[: STAGES.index(stage)])
    assert [path.name for path in (tmp_path / "artifacts").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_truncated_artifact_is_told_and_made_again(settings, small_clip, tmp_path, stage):
    first = ex4d.Session(**settings).run(small_clip.video, cam="30", folder=tmp_path)
    (folder,) = (tmp_path / "artifacts").glob(f"{stage}-*")
    largest = max(folder.iterdir(), key=lambda file: file.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    for later in STAGES[STAGES.index(stage) + 1 :]:
        shutil.rmtree(next((tmp_path / "artifacts").glob(f"{later}-*")))
    notes = []
    session = ex4d.Session(**settings)
    session.reporter.warn = notes.append
    again = session.run(small_clip.video, cam="30", folder=tmp_path)
    assert torch.equal(again.video.frames, first.video.frames)
    assert any("is damaged" in note and "computed again" in note for note in notes)


def test_two_runs_into_one_folder_at_once_do_not_corrupt_it(settings, small_clip, tmp_path):
    command = ["run", str(small_clip.video), "--depth-file", str(small_clip.depth), "--cam", "30"]
    command += ["-o", str(tmp_path / "out"), "--quiet"]
    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        place.mkdir()
    environment = {"PYTHONPATH": "", **os.environ}
    runs = [fork_command(command, folder=tmp_path, environment=environment, place=place) for place in places]
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    exported = export(
        ex4d.Session(**settings).open_clip(small_clip.video, folder=tmp_path / "out" / "clip").along("30")
    )
    assert all(record.reused for record in exported.records)
    assert ex4d.read_video(exported.files["result"]).num_frames == 6
    json.loads((tmp_path / "out" / "clip" / "run.json").read_text())


def test_a_change_of_an_option_makes_only_what_depends_on_it(settings, small_clip, tmp_path):
    settings = {**settings, "guidance": {"background": "none"}}  # else a backbone may expect another one
    ex4d.Session(**settings).run(small_clip.video, cam="30", folder=tmp_path)
    path_run = ex4d.Session(**settings, backbone="telea").run(small_clip.video, cam="30", folder=tmp_path)
    assert made_stages(path_run.clip_run) == ["read", "refine", "result"]
    path_run = ex4d.Session(**settings, mesh={"min_angle": 4.0}).run(small_clip.video, cam="30", folder=tmp_path)
    assert made_stages(path_run.clip_run) == ["read", "refine", "guidance", "result"]


def test_the_lens_is_part_of_what_is_made_and_the_prompt_if_it_is_read(settings, small_clip, tmp_path):
    settings = {**settings, "backbone": "telea"}
    ex4d.Session(**settings).run(small_clip.video, cam="30", folder=tmp_path)
    path_run = ex4d.Session(**settings, prompt="a box", seed=7).run(small_clip.video, cam="30", folder=tmp_path)
    assert made_stages(path_run.clip_run) == []
    path_run = ex4d.Session(**settings, lens={"fov": 80}).run(small_clip.video, cam="30", folder=tmp_path)
    assert made_stages(path_run.clip_run) == ["read", "refine", "guidance", "result"]


def test_a_mesh_of_another_lens_is_written_anew(settings, small_clip, tmp_path):
    for fov in (40, 90):
        session = ex4d.Session(**settings, lens={"fov": fov})
        path = export(session.open_clip(small_clip.video, folder=tmp_path).along("30"), save_mesh="first").files["mesh"]
        width, _, border = ex4d.read_mesh(path).vertices[:-1].amax(dim=0).tolist()
        lens = session.open_clip(small_clip.video).scene.depth.intrinsics[0]
        assert width == pytest.approx((31.5 + 1 / 16) * border / lens.fx)


def test_a_rate_changes_no_frame_and_a_renamed_depth_file_no_depth(small_clip, tmp_path):
    settings = {"depth": {"name": "file", "path": str(small_clip.depth)}}
    ex4d.Session(**settings).run(small_clip.video, cam="30", folder=tmp_path / "run")
    shutil.copy(small_clip.depth, tmp_path / "other.npy")
    settings = {"depth": {"name": "file", "path": str(tmp_path / "other.npy")}, "video": {"fps": 29.97}}
    path_run = ex4d.Session(**settings).run(small_clip.video, cam="30", folder=tmp_path / "run")
    assert "depth" not in made_stages(path_run.clip_run)
    assert path_run.video.fps == Fraction(30000, 1001)


def test_equal_pixels_of_other_frames_or_shapes_are_other_clips(session):
    pixels = torch.zeros(5, 16, 32, 3, dtype=torch.uint8)
    origin = ex4d.Origin(
        frame_indices=(0, 1, 2, 3, 4),
        source_frames=5,
        source_width=32,
        source_height=16,
        left=0,
        top=0,
        width=32,
        height=16,
    )
    clips = [
        ex4d.Video(frames=pixels, fps=12),
        ex4d.Video(frames=pixels.view(5, 32, 16, 3), fps=12),
        ex4d.Video(frames=pixels, fps=12, origin=origin),
        ex4d.Video(frames=pixels, fps=12, origin=attrs.evolve(origin, frame_indices=(1, 2, 3, 4, 5))),
    ]
    assert len({session.open_clip(clip).identity for clip in clips}) == 4


def test_frames_are_selected_and_cropped_with_their_depth(settings, small_clip):
    video = {"start": 1, "stride": 2, "size": "32x48", "fit": "crop"}
    scene = ex4d.Session(**settings, video=video).open_clip(small_clip.video).scene
    assert scene.video.origin.frame_indices == (1, 3, 5)
    depth = np.load(small_clip.depth)[1::2, :, 16:48]
    assert np.array_equal(scene.depth.depth.numpy(), depth)
    padded = ex4d.Session(**settings, video={"size": "64x64", "fit": "pad"}).open_clip(small_clip.video).scene
    assert not padded.depth.valid_at(0)[:8].any()
    assert padded.depth.valid_at(0)[8:56].all()


def test_a_lens_of_the_frame_is_not_cropped_with_the_clip(settings, small_clip):
    lens = {"focal_px": 100, "of": "frame"}
    camera = (
        ex4d.Session(**settings, lens=lens, video={"size": "32x32"})
        .open_clip(small_clip.video)
        .scene.depth.intrinsics[0]
    )
    assert (camera.fx, camera.fy, camera.cx, camera.width) == (100, 100, 16, 32)


def test_a_camera_that_follows_the_source_camera_sees_the_clip(session, small_clip):
    """The source camera moves to the right; a path that is its own sees each frame as it was filmed."""
    scene = session.open_clip(small_clip.video).scene
    poses = torch.eye(4).repeat(6, 1, 1)
    poses[:, 0, 3] = -torch.arange(6.0)
    path = ex4d.CameraPath(world_to_camera=poses, intrinsics=scene.depth.intrinsics)
    moving = attrs.evolve(scene, depth=attrs.evolve(scene.depth, cameras=path))
    guidance = stages.render_guidance(moving, path, session.mesh_builder(), session.renderer())
    assert guidance.mask[5].float().mean() > 0.8
    assert torch.equal(guidance.color[5][guidance.mask[5]], scene.video.frames[5][guidance.mask[5]])


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_relative_depth_of_any_scale_gives_the_same_picture(small_clip, tmp_path, scale):
    masks = []
    for factor in (1.0, scale):
        np.save(tmp_path / f"{factor}.npy", (np.load(small_clip.depth) * factor).astype(np.float32))
        settings = {"depth": {"name": "file", "path": str(tmp_path / f"{factor}.npy"), "kind": "relative"}}
        masks.append(ex4d.Session(**settings).open_clip(small_clip.video).along("30").guidance.mask)
    assert (masks[0] != masks[1]).sum() <= 2  # rounding


def test_an_artifact_that_cannot_be_read_is_replaced(settings, small_clip, tmp_path):
    """Its manifest is right, but what it says is not what this version reads."""
    ex4d.Session(**settings).run(small_clip.video, cam="30", folder=tmp_path)
    (folder,) = (tmp_path / "artifacts").glob("guidance-*")
    (folder / "meta.json").write_text("{}")
    manifest = json.loads((folder / "artifact.json").read_text())
    manifest["files"]["meta.json"] = {"bytes": 2, "blake2b": file_hash(folder / "meta.json")}
    (folder / "artifact.json").write_text(json.dumps(manifest))
    for made in (["read", "refine", "guidance"], []):
        session = ex4d.Session(**settings)
        session.reporter.warn = lambda text: None
        path_run = session.open_clip(small_clip.video, folder=tmp_path).along("30")
        assert path_run.guidance.num_frames == 6
        assert made_stages(path_run.clip_run) == made


def test_an_edited_depth_file_makes_another_depth(small_clip, tmp_path):
    depth = np.load(small_clip.depth)
    path = tmp_path / "depth.npy"
    np.save(path, depth)
    settings = {"depth": {"name": "file", "path": str(path)}}
    ex4d.Session(**settings).run(small_clip.video, cam="30", folder=tmp_path / "run")
    np.save(path, depth * 2)
    path_run = ex4d.Session(**settings).run(small_clip.video, cam="30", folder=tmp_path / "run")
    assert "depth" in made_stages(path_run.clip_run)


def test_a_run_can_be_cancelled_from_its_progress(session, small_clip):
    def stop(done, total):
        raise Cancelled("enough")

    from contextlib import nullcontext

    session.reporter.stage = lambda name: nullcontext(stop)
    with pytest.raises(Cancelled, match="enough"):
        session.run(small_clip.video, cam="30")


def test_the_lens_of_the_user_wins(small_clip, settings):
    clip_run = ex4d.Session(**settings, lens={"fov": 90}).open_clip(small_clip.video)
    assert clip_run.scene.depth.intrinsics[0].fx == pytest.approx(32)
    clip_run = ex4d.Session(**settings, lens={"focal_px": 100}, video={"size": "32x32"}).open_clip(small_clip.video)
    camera = clip_run.scene.depth.intrinsics[0]
    assert (camera.fx, camera.cx, camera.width) == (pytest.approx(100 * 32 / 48), 16, 32)


def test_intrinsics_come_from_json_or_a_matrix(small_clip, settings, tmp_path):
    (tmp_path / "k.json").write_text('{"fx": 80, "fy": 82, "cx": 30, "cy": 20}')
    np.savetxt(tmp_path / "k.txt", [[80, 0, 30], [0, 82, 20], [0, 0, 1]])
    for name in ("k.json", "k.txt"):
        clip_run = ex4d.Session(**settings, lens={"intrinsics": str(tmp_path / name)}).open_clip(small_clip.video)
        camera = clip_run.scene.depth.intrinsics[0]
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (80, 82, 30, 20)


def test_intrinsics_that_are_none_are_one_sentence(small_clip, settings, tmp_path):
    (tmp_path / "k.json").write_text('{"fx": 80}')
    with pytest.raises(InvalidInput, match=r"k\.json has no usable intrinsics"):
        _ = ex4d.Session(**settings, lens={"intrinsics": str(tmp_path / "k.json")}).open_clip(small_clip.video).scene
    with pytest.raises(InputNotFound, match=r"the intrinsics file none\.json does not exist"):
        _ = ex4d.Session(**settings, lens={"intrinsics": "none.json"}).open_clip(small_clip.video).scene


def test_compat_ex4d_is_a_set_of_options(small_clip, settings):
    clip_run = ex4d.Session(**settings, compat="ex4d").open_clip(small_clip.video)
    assert clip_run.scene.depth.intrinsics[0].fx == 500
    assert clip_run.scene.depth.intrinsics[0].fy == 500
    assert (clip_run.video.width, clip_run.video.height, clip_run.video.fps) == (64, 64, 30)
    mesh = clip_run.components.choose("mesh").options
    assert (mesh.border_depth, mesh.cap, mesh.pixel_center, mesh.hidden_colors) == (100, "corners", 0, "black")
    path = clip_run.components.choose_trajectory("30").only.options
    assert (path.look_at, path.angle_scaling) == ("nearest", "reference")


def test_the_users_options_stand_over_the_presets(settings):
    session = ex4d.Session(**settings, compat="ex4d", mesh={"border_depth": 50.0}, trajectory={"angle_scaling": "none"})
    assert session.choose("mesh").options.border_depth == 50
    assert session.choose_trajectory("30").only.options.angle_scaling == "none"


def test_settings_of_a_path_are_said_in_its_text(session):
    assert session.choose_trajectory("orbit:yaw=-75,pitch=10").only.options.yaw == -75
    with pytest.raises(InvalidConfig) as refused:
        session.choose_trajectory("30 then orbit:pitch=9,yaw=400")
    assert str(refused.value).splitlines() == [
        "--cam: yaw must be between -360 and 360 degrees, not 400",
        "  30 then orbit:pitch=9,yaw=400",
        "                        ^^^^^^^",
    ]


def test_what_is_no_clip_stays_in_the_list_so_that_the_others_run(tmp_path):
    (tmp_path / "empty").mkdir()
    names = [str(tmp_path / name) for name in ("empty", "none.mp4", "*.webm")]
    assert [str(path) for path in find_clips(names)] == names


def test_clips_are_found_in_folders_and_patterns(tmp_path):
    for name in ("b.mp4", "a.mov", "notes.txt"):
        (tmp_path / name).write_text("")
    images = tmp_path / "images"
    images.mkdir()
    (images / "0.png").write_text("")
    assert find_clips([str(tmp_path)]) == [tmp_path / "a.mov", tmp_path / "b.mp4"]
    assert find_clips([str(images)]) == [images]
    assert find_clips([f"{tmp_path}/*.mp4", str(tmp_path / "b.mp4")]) == [tmp_path / "b.mp4"]


def test_clips_of_one_name_get_folders_of_their_own():
    clips = [Path("a/clip.mp4"), Path("b/clip.mp4"), Path("b/clip.mov")]
    assert [folder.name for folder in run_folders(clips, Path("out"))] == ["clip", "b-clip", "clip-2"]
