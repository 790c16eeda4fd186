"""Long work that is stopped goes on where it was, two runs never share it, and people see it on its way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.files import resumable_dir
from ex4d_core.pipeline.stages import warn_if_trivial_mask
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import SilentReporter
from ex4d_core.runs.export import export
from ex4d_core.runs.generate import generate_file, read_guidance
from tests.helpers.backbones import STEPS_DONE, STEPWISE, plugins_with

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_steps_yet():
    STEPS_DONE.clear()


@pytest.fixture
def notes():
    return []


@pytest.fixture
def session(small_clip, notes):
    def make(seed=42, **options):
        session = ex4d.Session(
            depth={"name": "file", "path": str(small_clip.depth)},
            backbone={"name": "stepwise", **options},
            seed=seed,
            registry=Registry(plugins_with(STEPWISE)),
        )
        session.reporter.note = notes.append
        return session

    return make


def hidden_files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def interrupt(session, clip, folder):
    with pytest.raises(KeyboardInterrupt):
        session.run(clip, cam="30", folder=folder)


def test_a_generation_that_was_stopped_goes_on_from_its_last_step(session, small_clip, tmp_path, notes):
    interrupt(session(stop_at=3), small_clip.video, tmp_path)
    assert "result: partial results saved; run again to resume" in notes
    path_run = session().run(small_clip.video, cam="30", folder=tmp_path)
    assert STEPS_DONE == [1, 2, 3, 4]
    assert [record.stage for record in path_run.clip_run.records if not record.reused] == ["read", "refine", "result"]
    assert torch.equal(path_run.video.frames, session().run(small_clip.video, cam="30").video.frames)
    assert hidden_files(tmp_path / "artifacts") == []


@pytest.mark.slow
def test_a_generation_that_was_killed_goes_on_too(session, small_clip, tmp_path):
    code = (
        "import os, signal, sys; import ex4d_core as ex4d; from ex4d_core.plugins.registry import Registry\n"
        "from tests.helpers.backbones import STEPWISE, StepBackbone, plugins_with\n"
        "def killed(self, step, guidance): os.kill(os.getpid(), signal.SIGKILL)\n"
        "StepBackbone._at = killed\n"
        "ex4d.Session(depth=dict(name='file', path=sys.argv[2]), backbone='stepwise',\n"
        "    registry=Registry(plugins_with(STEPWISE))).run(sys.argv[1], cam='30', folder=sys.argv[3])"
    )
    arguments = [str(small_clip.video), str(small_clip.depth), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", code, *arguments], check=False, env=environment)
    assert killed.returncode == -signal.SIGKILL
    session().run(small_clip.video, cam="30", folder=tmp_path)
    assert STEPS_DONE == []
    assert hidden_files(tmp_path / "artifacts") == []


def test_another_seed_does_not_go_on_with_what_this_one_left(session, small_clip, tmp_path):
    interrupt(session(stop_at=3), small_clip.video, tmp_path)
    session(seed=7).run(small_clip.video, cam="30", folder=tmp_path)
    assert STEPS_DONE == [1, 2, 1, 2, 3, 4]


def test_what_a_stopped_run_has_not_begun_leaves_nothing(session, small_clip, tmp_path, notes):
    interrupt(session(stop_at=1), small_clip.video, tmp_path)
    assert hidden_files(tmp_path / "artifacts") == []
    assert not any("kept" in note for note in notes)


def test_without_a_run_folder_nothing_is_kept(session, small_clip):
    interrupt(session(stop_at=3), small_clip.video, None)
    session().run(small_clip.video, cam="30")
    assert STEPS_DONE == [1, 2, 1, 2, 3, 4]


def test_two_runs_do_not_share_a_folder(tmp_path, notes):
    with resumable_dir(tmp_path / "work", tell=notes.append) as first:
        (first / "a").write_text("1")
        with resumable_dir(tmp_path / "work", tell=notes.append) as second:
            assert second is None
        assert (first / "a").exists()
    assert notes == ["another process is running this stage; partial results of this run will not be saved"]
    assert list(tmp_path.iterdir()) == []


def test_a_kept_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputFailed, match="work cannot be created: "),
        resumable_dir(tmp_path / "file" / "work", tell=print),
    ):
        pass


def test_previews_lie_in_the_run_folder_under_the_name_of_the_path(session, small_clip, tmp_path):
    path_run = session(preview_every=3).run(small_clip.video, cam="orbit:yaw=20", folder=tmp_path)
    preview = ex4d.read_video(tmp_path / "preview_orbit_yaw20.mp4")
    assert preview.num_frames == path_run.video.num_frames
    hidden = ~path_run.guidance.mask
    assert preview.frames[hidden].float().mean() == pytest.approx(90, abs=6)
    assert path_run.video.frames[hidden].float().mean() == 120


@pytest.fixture
def guidance(session, small_clip, tmp_path):
    exported = export(session().open_clip(small_clip.video, folder=tmp_path / "run").along("30"), goal="guidance")
    return read_guidance(*(exported.files[name] for name in ("color", "mask", "camera")))


def test_the_last_stage_on_its_own_goes_on_beside_its_output(session, guidance, tmp_path):
    output = tmp_path / "new" / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        generate_file(session(stop_at=3), guidance, output)
    (kept,) = output.parent.iterdir()
    assert kept.name.startswith(".partial-out-")
    generate_file(session(preview_every=4), guidance, output)
    assert STEPS_DONE == [1, 2, 3, 4]
    assert sorted(path.name for path in output.parent.iterdir()) == ["out.mp4", "out_preview.mp4"]


def test_an_output_that_cannot_be_written_is_said_before_the_work(session, guidance, tmp_path):
    with pytest.raises(InvalidInput, match=r"its name must end with one of \.mp4"):
        generate_file(session(), guidance, tmp_path / "out.png")
    assert STEPS_DONE == []


def test_a_mask_that_hides_everything_is_warned_of(session, guidance, tmp_path):
    nothing = attrs.evolve(guidance, mask=torch.zeros_like(guidance.mask), color=torch.zeros_like(guidance.color))
    with pytest.warns(UserWarning, match="the mask has no visible pixels; .* white"):
        generate_file(session(), nothing, tmp_path / "out.mp4")


def test_a_mask_that_hides_nothing_is_mentioned(guidance):
    notes = []

    class Notes(SilentReporter):
        def note(self, text):
            notes.append(text)

    warn_if_trivial_mask(guidance, Notes(), given=True)
    assert notes == []
    everything = attrs.evolve(guidance, mask=torch.ones_like(guidance.mask))
    for given in (True, False):
        warn_if_trivial_mask(everything, Notes(), given=given)
    sentence = "the mask has no hidden pixels, so nothing is generated"
    assert notes == [f"{sentence}; check that it is the mask of this video", sentence]


def test_other_guidance_does_not_go_on_with_what_was_left(session, guidance, tmp_path):
    output = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        generate_file(session(stop_at=3), guidance, output)
    generate_file(session(), attrs.evolve(guidance, color=guidance.color.clamp(max=200)), output)
    assert STEPS_DONE == [1, 2, 1, 2, 3, 4]
