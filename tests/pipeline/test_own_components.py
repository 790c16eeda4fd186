"""Objects of the caller in place of installed components."""

import pytest
import torch

import ex4d_core as ex4d
from ex4d_core.errors import InvalidConfig

LENS = ex4d.Intrinsics.from_fov(width=32, height=32)
FRAMES = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)


class Wall:
    def __init__(self, version=None):
        self.calls = 0
        if version is not None:
            self.version = version

    def estimate(self, video, *, progress):
        self.calls += 1
        return ex4d.DepthVideo(depth=torch.full(video.frames.shape[:3], 2.0), kind="metric", intrinsics=LENS)


def run(wall, folder):
    session = ex4d.Session(depth=wall, renderer="zbuffer", backbone="telea", device="cpu")
    return session.run(FRAMES, cam=20, folder=folder)


@pytest.mark.parametrize(("first", "second", "calls"), [(1, 1, 0), (1, 2, 1), (None, None, 1)])
def test_an_object_is_a_component_keyed_by_its_class_and_version(tmp_path, first, second, calls):
    path_run = run(Wall(first), tmp_path)
    assert float(path_run.scene.depth.depth.max()) == 2
    again = Wall(second)
    run(again, tmp_path)
    assert again.calls == calls


def test_a_run_in_one_call_reuses_its_folder(tmp_path):
    wall, settings = Wall(1), {"renderer": "zbuffer", "backbone": "telea", "device": "cpu", "folder": tmp_path}
    for _ in range(2):
        ex4d.run(FRAMES, cam=20, depth=wall, **settings)
    assert wall.calls == 1


def test_an_object_without_the_method_of_the_role_is_refused():
    with pytest.raises(InvalidConfig, match="an object with the method render, not"):
        ex4d.Session(renderer=Wall())
    with pytest.raises(InvalidConfig, match=r"pass an instance, as in depth=Wall\(\)"):
        ex4d.Session(depth=Wall)
