"""The command line and the Python code of a result make the same again, pixel by pixel."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest
import torch

from ex4d_core.video_io import read_video
from ex4d_web import reproduce, work
from ex4d_web.job_queue import JobQueue
from ex4d_web.models import Models
from ex4d_web.projects import Projects
from ex4d_web.settings import Settings


@pytest.mark.slow
def test_the_command_and_the_code_make_the_same_again(clip, tmp_path, ex4d, until):
    project = Projects(tmp_path / "app", hours=1).create(clip)
    work.probe(project)
    project.change(start=1, count=4, side=48, cam="orbit:yaw=12", depth="sketch", backbone="telea")
    queue, models = JobQueue(waiting=2, minutes=5), Models()
    for make in (work.estimate_depth, work.generate):
        job = queue.submit(project.name, "work", make(project, models, device="cpu"))
        until(lambda job=job: job.is_over, "the end")
        assert job.status().state == "done", job.status().error
    queue.close()
    made = project.made.result
    result = read_video(project.folder / made["files"]["result"]).frames
    assert result.shape == (4, 36, 48, 3)

    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    words = shlex.split(made["command"])
    assert words[:3] == ["ex4d", "run", "clip.mp4"]
    code, _, err = ex4d(*words[1:])
    assert code == 0, err
    (again,) = (tmp_path / "outputs" / "clip").glob("result_*.mp4")
    assert torch.equal(read_video(again).frames, result)

    done = subprocess.run([sys.executable, "-c", made["python"]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert torch.equal(read_video(tmp_path / "result.mp4").frames, result)


def test_all_choices_are_in_the_command_and_the_code():
    settings = Settings(
        clip="my clip.mov", width=1920, height=1080, start=3, count=20, stride=2, side=960, depth_file="d.npz",
        cam="30 then dolly", backbone="wan", prompt="a cat's room", speed="fast", memory="12", seed=7,
    )  # fmt: skip
    assert reproduce.command(settings) == (
        "ex4d run 'my clip.mov' --start 3 --stride 2 --num-frames 20 --size 960x540 --depth-file d.npz "
        "--cam '30 then dolly' --backbone wan --prompt 'a cat'\"'\"'s room' --speed fast --gpu-memory 12 --seed 7"
    )
    code = reproduce.python(settings)
    compile(code, "code", "exec")
    assert "backbone={'name': 'wan', 'speed': 'fast', 'memory': '12'}" in code
    assert "video={'start': 3, 'stride': 2, 'num_frames': 20, 'size': '960x540'}" in code


def test_sizes_are_even_and_small_clips_stay_as_filmed():
    assert Settings(width=1080, height=1917, side=512).size == "288x512"
    assert Settings(width=320, height=241, side=512).size is None
