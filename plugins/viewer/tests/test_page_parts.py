"""Meshes, poses and keyframes as the page has them."""

from __future__ import annotations

import io
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from ex4d_core.cameras.files import read_camera_path
from ex4d_core.cameras.language import parse_path
from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.geometry.projective import look_at
from ex4d_core.types import CameraPath
from ex4d_viewer.editor import MOST, Editor
from ex4d_viewer.meshes import page_mesh, textured_glb
from ex4d_viewer.page_state import command_for
from ex4d_viewer.path_view import PathView
from ex4d_viewer.poses import path_through, placed
from ex4d_viewer.scene_view import SceneView, shaded


def mesh_of(watch):
    depth = watch.scene.depth
    return page_mesh(watch.clip_run.mesh(0), torch.eye(4), depth.intrinsics_at(0), deepest=4.0)


def test_what_was_seen_and_what_was_not_are_apart_and_the_far_walls_are_gone(watch):
    mesh = mesh_of(watch)
    assert set(mesh.seen.vertices[:, 2].round(3)) == {2, 4}
    assert len(mesh.hidden.faces) > 40  # around the box
    assert mesh.hidden.vertices[:, 2].max() <= 4.01
    assert mesh.seen.faces.max() == len(mesh.seen.vertices) - 1


def test_each_vertex_knows_its_place_in_the_frame(watch):
    mesh = mesh_of(watch)
    lens = watch.scene.depth.intrinsics_at(0)
    x, y, z = mesh.seen.vertices.T
    assert mesh.seen.uv[:, 0] * 64 == pytest.approx(lens.fx * x / z + lens.cx, abs=1e-3)
    assert mesh.seen.uv[:, 1] * 48 == pytest.approx(lens.fy * y / z + lens.cy, abs=1e-3)


def test_the_picture_is_on_the_mesh_the_right_way_round(watch):
    mesh = mesh_of(watch)
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24] = 255  # the upper half is white
    scene = trimesh.load(io.BytesIO(textured_glb(mesh.seen, picture)), file_type="glb")
    (loaded,) = scene.geometry.values()
    texture = np.asarray(loaded.visual.material.emissiveTexture.convert("L"))
    u, v = loaded.visual.uv.T
    shades = texture[((1 - v) * 47.99).clip(0, 47).astype(int), (u * 63.99).clip(0, 63).astype(int)]
    height = loaded.vertices[:, 1]
    assert shades[height < -0.2].mean() > 240
    assert shades[height > 0.2].mean() < 15


def test_the_command_for_a_saved_path_is_one_in_a_folder_of_any_name():
    command = command_for(Path("my dog with bob/paths/own.json"), Path("my dog with bob"))
    words = shlex.split(command)
    assert words[:6] == ["ex4d", "run", "--config", "my dog with bob/config.toml", "-o", "."]
    ((piece,),) = parse_path(words[-1])
    assert piece.options == {"path": "my dog with bob/paths/own.json"}


def test_a_camera_is_where_its_pose_says():
    pose = look_at(torch.tensor([[1.0, -0.5, 0.2]]), torch.tensor([0.0, 0.0, 3.0]))[0]
    camera = placed(pose)
    assert camera.position == pytest.approx([1, -0.5, 0.2], abs=1e-6)
    back = torch.linalg.inv(torch.tensor(camera.pose().matrix(), dtype=torch.float64)).float()
    assert torch.allclose(back, pose, atol=1e-6)


def test_a_path_goes_through_its_keyframes(watch):
    path = watch.paths["20"]
    keyframes = [placed(path.world_to_camera[frame]) for frame in range(3)]
    through = path_through(keyframes, 3, watch.scene)
    assert torch.allclose(through.world_to_camera, path.world_to_camera, atol=1e-5)


def test_meshes_are_fewer_and_smaller_than_the_runs_and_say_so(server, watch):
    scenery = SceneView(server, watch.scene, watch.clip_run.components.mesh_builder(), detail=32, most_frames=2)
    assert list(scenery.frames) == [0, 2]
    assert list(scenery.fill()) == [1, 2]
    assert scenery.facts() == "Drawn: 2 of 3 frames, 32x24 of 64x48 points, 1,426 of 5,922 faces per frame"


@pytest.mark.parametrize("colors", ["picture", "depth", "shape"])
def test_one_mesh_is_shown_at_a_time_in_all_colors(server, watch, colors):
    scenery = SceneView(server, watch.scene, watch.clip_run.components.mesh_builder(), detail=32, most_frames=9)
    scenery.colors = colors
    list(scenery.fill())
    scenery.show(2)
    scenery.show_occluded(True)
    visible = {name for name, node in handles(server).items() if node.visible}
    assert visible == {"/scene/00002/seen", "/scene/00002/hidden"}


def handles(server):
    named = server.scene._handle_from_node_name
    return {name: node for name, node in named.items() if name.startswith("/scene/") and name.count("/") == 3}


def test_a_wall_is_lit_evenly(watch):
    wall = shaded(watch.scene.depth, 0)[2:10, 2:60]
    assert wall.shape == (8, 58, 3)
    assert np.ptp(wall) <= 1


@pytest.fixture
def editor(server, watch):
    told: list[CameraPath] = []
    made = Editor(server, watch.scene, size=0.3, changed=told.append)
    made.told = told
    return made


def test_keyframes_begin_on_a_path_and_are_saved_as_a_file_that_says_the_same(editor, watch, tmp_path):
    editor.begin(watch.paths["20"], 2)
    (path,) = editor.told
    file = editor.save(tmp_path / "paths", "mine")
    assert file == tmp_path / "paths" / "mine.json"
    poses = read_camera_path(file).world_to_camera
    assert poses == pytest.approx(path.world_to_camera[[0, -1]].double().numpy(), abs=1e-5)


def test_keyframes_are_added_and_removed(editor, watch):
    editor.begin(watch.paths["20"], 3)
    editor.add(editor.keyframes[0])
    assert len(editor.keyframes) == 4
    assert torch.allclose(editor.path().world_to_camera[-1], editor.path().world_to_camera[0], atol=1e-5)
    for _ in range(3):
        editor.drop()
    assert editor.path() is None


@pytest.mark.parametrize(
    ("count", "name", "says"),
    [
        (0, "mine", "there is no path yet"),
        (2, "../x", "is not a file name"),
        (2, "x" * 300, "is not a file name"),
        (2, "", "is not a file name"),
    ],
)
def test_what_cannot_be_saved_says_why(editor, watch, tmp_path, count, name, says):
    if count:
        editor.begin(watch.paths["20"], count)
    with pytest.raises(InvalidInput, match=says):
        editor.save(tmp_path, name)


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(editor, watch, tmp_path):
    editor.begin(watch.paths["20"], 2)
    folder = tmp_path / "paths"
    folder.mkdir()
    file = folder / "mine.json"
    for put in (lambda: file.write_text("mine"), lambda: file.symlink_to(tmp_path / "gone")):
        put()
        with pytest.raises(InvalidInput, match="already exists; choose another name, or allow it to be replaced"):
            editor.save(folder, "mine")
        assert os.listdir(folder) == ["mine.json"]
        assert file.is_symlink() or file.read_text() == "mine"
        assert editor.save(folder, "mine", replace=True) == file
        assert len(read_camera_path(file).world_to_camera) == 2
        file.unlink()


def test_a_file_is_kept_where_there_are_no_links_too(editor, watch, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    editor.begin(watch.paths["20"], 2)
    file = editor.save(tmp_path, "mine")
    before = file.read_bytes()
    editor.add(editor.keyframes[0])
    with pytest.raises(InvalidInput, match="already exists"):
        editor.save(tmp_path, "mine")
    assert file.read_bytes() == before


def test_the_same_keyframes_can_be_saved_again(editor, watch, tmp_path):
    editor.begin(watch.paths["20"], 2)
    file = editor.save(tmp_path, "mine")
    before = file.stat()
    assert editor.save(tmp_path, "mine") == file
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_picture_in_the_source_camera_can_be_hidden(server, watch):
    view, picture = PathView(server, size=0.3), watch.scene.video.frames[0].numpy()
    view.show_source(placed(torch.eye(4)), 0.9, picture)
    assert view._source.image is not None
    view.show_source(placed(torch.eye(4)), 0.9, picture, picture_shown=False)
    assert view._source.image is None
    assert view._source.visible


def test_a_folder_that_cannot_be_written_to_is_named(editor, watch, tmp_path):
    editor.begin(watch.paths["20"], 2)
    (tmp_path / "paths").write_text("")
    with pytest.raises(OutputFailed, match=r"paths/mine\.json cannot be written: File exists"):
        editor.save(tmp_path / "paths", "mine")


def test_keyframes_are_limited(editor, watch):
    editor.begin(watch.paths["20"], MOST)
    with pytest.raises(InvalidInput, match=f"at most {MOST} keyframes; remove one first"):
        editor.add(editor.keyframes[0])
