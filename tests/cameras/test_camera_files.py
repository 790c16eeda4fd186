"""Camera paths survive being saved as any format, and files of other tools mean what those tools mean."""

import json

import attrs
import numpy as np
import pytest
import torch

import typer_cli
from ex4d_core.cameras.files import FORMATS, ReadOptions, convert, read_camera_path, write_camera_path
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.geometry.paths import orbited
from ex4d_core.geometry.rigid import Pose
from ex4d_core.types import CameraPath, Intrinsics
from tests.helpers.camera_paths import LENS, SUBJECT, path_through, to_the_right

EYE = json.dumps(np.eye(4).tolist())
TURNED_WIDE = json.dumps({"camera_angle_x": 50, "frames": [{"transform_matrix": np.eye(4).tolist()}]})


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if kind.write])
def test_a_path_survives_saving(name, tmp_path):
    path = to_the_right()
    target = tmp_path / f"path{FORMATS[name].suffix}"
    write_camera_path(path, target, format=name)
    again = read_camera_path(target, format=name)
    np.testing.assert_allclose(again.world_to_camera, path.world_to_camera, atol=1e-6, rtol=0)
    assert read_camera_path(target).num_poses == 5, "the format is seen"
    if "lens" in FORMATS[name].capabilities:
        assert attrs.astuple(again.intrinsics[0]) == pytest.approx(attrs.astuple(LENS), abs=1e-9)


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if "zoom" in kind.capabilities])
def test_a_lens_that_changes_survives_saving(name, tmp_path):
    lenses = tuple(attrs.evolve(LENS, fx=LENS.fx * zoom, fy=LENS.fy * zoom) for zoom in (1, 1.1, 1 / 3))
    path = CameraPath(world_to_camera=torch.eye(4).repeat(3, 1, 1), intrinsics=lenses)
    target = tmp_path / f"path{FORMATS[name].suffix}"
    write_camera_path(path, target, format=name)
    assert read_camera_path(target, format=name).intrinsics == lenses


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if "time" in kind.capabilities])
def test_which_frames_are_shown_survives_saving(name, tmp_path):
    path = attrs.evolve(to_the_right(), frames=(4, 4, 2, 1, 0))
    target = tmp_path / f"path{FORMATS[name].suffix}"
    write_camera_path(path, target, format=name)
    assert read_camera_path(target, format=name).frames == (4, 4, 2, 1, 0)


@pytest.mark.parametrize(
    ("name", "path", "says"),
    [
        ("colmap", attrs.evolve(to_the_right(), frames=(0, 0, 0, 0, 0)), "colmap cannot store which frames"),
        (
            "trajectorycrafter",
            CameraPath(
                world_to_camera=torch.eye(4).repeat(2, 1, 1),
                intrinsics=(LENS, attrs.evolve(LENS, fx=9)),
            ),
            "trajectorycrafter cannot store changing intrinsics",
        ),
        (
            "trajectorycrafter",
            path_through(Pose.identity(), orbited(30, 20, SUBJECT)),
            "rotation of pose 1 cannot be stored as theta and phi",
        ),
        ("trajectorycrafter", path_through(orbited(30, 0, SUBJECT)), "relative to the first one"),
        ("recammaster", path_through(orbited(30, 0, SUBJECT)), "relative to the first one"),
        ("blender", path_through(orbited(0, 0, SUBJECT), lens=attrs.evolve(LENS, cx=3)), "use nerfstudio"),
        ("nerf", to_the_right(), r"unknown camera format 'nerf'; did you mean 'nerfies'\? Use one of blender"),
    ],
)
def test_what_a_format_cannot_say_is_not_saved(name, path, says, tmp_path):
    with pytest.raises(InvalidInput, match=says):
        write_camera_path(path, tmp_path / "path", format=name)
    assert list(tmp_path.iterdir()) == []


def test_trajectorycrafter_goes_up_right_forward_and_aside(tmp_path):
    """Its five numbers in the last column: theta up, phi right, r forward, x right, y up."""
    names = ("theta", "phi", "r", "x", "y")
    eyes = {}
    for name in names:
        (tmp_path / "path.txt").write_text("\n".join(f"0 {0.5 if name == other else 0}" for other in names))
        file = read_camera_path(tmp_path / "path.txt", ReadOptions(distance=2.0))
        eyes[name] = np.linalg.inv(file.world_to_camera)[-1][:3, 3]
    turn = 2 * np.sin(np.radians(0.5))
    assert eyes["theta"] == pytest.approx([0, -turn, 2 - 2 * np.cos(np.radians(0.5))])
    assert eyes["phi"] == pytest.approx([turn, 0, 2 - 2 * np.cos(np.radians(0.5))])
    assert eyes["r"] == pytest.approx([0, 0, 1]), "in units of the distance"
    assert eyes["x"] == pytest.approx([0.5, 0, 0])
    assert eyes["y"] == pytest.approx([0, -0.5, 0])


def test_five_lines_hold_a_pose_in_each_column_and_short_lines_are_spread(tmp_path):
    (tmp_path / "path.txt").write_text("0\n0 10 20 15 0 3 1\n0 0.3\n0\n0")
    file = read_camera_path(tmp_path / "path.txt")
    assert file.num_poses == 7
    turns = np.degrees(np.arctan2(-file.world_to_camera[:, 2, 0], file.world_to_camera[:, 0, 0]))
    assert turns == pytest.approx([0, 10, 20, 15, 0, 3, 1])
    assert file.warnings == ()


def test_angles_that_look_like_radians_are_named(tmp_path):
    (tmp_path / "path.txt").write_text("0 0\n0 0.785398\n0 0")
    doubt = read_camera_path(tmp_path / "path.txt").warnings[-1]
    assert "turns by at most 0.785398 degrees; if it is meant in radians, multiply by 57.2958" in doubt


def test_recammasters_axes_are_unreals(tmp_path):
    """A camera that goes 200 cm along Unreal's y, to the right, and looks along x, forward."""
    frames = {
        f"frame{k}": {
            "cam01": f"[1 0 0 0] [0 1 0 0] [0 0 1 0] [3000 {1000 + 200 * k} 250 1] ",
            "cam09": f"[1 0 0 0] [0 1 0 0] [0 0 1 0] [3000 1000 {250 + 100 * k} 1] ",
        }
        for k in range(2)
    }
    (tmp_path / "cameras.json").write_text(json.dumps(frames))
    right = read_camera_path(tmp_path / "cameras.json", ReadOptions(camera="1"))
    up = read_camera_path(tmp_path / "cameras.json", ReadOptions(camera="arc_left"))
    assert np.linalg.inv(right.world_to_camera)[1][:3, 3] == pytest.approx([2, 0, 0])
    assert np.linalg.inv(up.world_to_camera)[1][:3, 3] == pytest.approx([0, -1, 0])
    with pytest.raises(InvalidInput, match=r"^\S+: it has several cameras; select one with cameras\.json:camera=1"):
        read_camera_path(tmp_path / "cameras.json")


def test_a_camera_of_blender_that_is_not_turned_looks_down(tmp_path):
    """Blender's camera looks along its -z, so down in a world whose z is up; its y is the picture's up."""
    matrix = np.eye(4).tolist()
    (tmp_path / "transforms.json").write_text(
        json.dumps({"camera_angle_x": 1.0, "frames": [{"file_path": "r_0", "transform_matrix": matrix}]})
    )
    file = read_camera_path(tmp_path / "transforms.json")
    rotation = file.world_to_camera[0][:3, :3]
    assert pytest.approx([0, 1, 0]) == rotation.T @ [0, 0, 1], "our y is down"
    assert (file.intrinsics, file.fov, file.fov_side) == (None, (1.0,), "width")


def test_frames_are_in_the_order_of_their_names(tmp_path):
    frames = [
        {
            "file_path": f"images/{name}.png",
            "transform_matrix": [[1, 0, 0, x], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        }
        for name, x in (("f10", 3), ("f9", 2), ("f1", 1))
    ]
    (tmp_path / "transforms.json").write_text(json.dumps({"fl_x": 50, "w": 64, "h": 48, "k1": 0.1, "frames": frames}))
    file = read_camera_path(tmp_path / "transforms.json")
    assert np.linalg.inv(file.world_to_camera)[:, 0, 3].tolist() == [1, 2, 3]
    assert "has lens distortion (k1), which is ignored" in file.warnings[0]


def test_a_colmap_model_with_points_and_other_cameras(tmp_path):
    (tmp_path / "cameras.txt").write_text("# a comment\n3 SIMPLE_RADIAL 64 48 50 32 24 0.01\n")
    (tmp_path / "images.txt").write_text("# one\n7 1 0 0 0 1 2 3 3 b 1.png\n1.0 2.0 5\n8 1 0 0 0 0 0 0 3 a.png\n\n")
    file = read_camera_path(tmp_path / "images.txt")
    assert file.world_to_camera[:, :3, 3].tolist() == [[0, 0, 0], [1, 2, 3]]
    assert file.intrinsics == (Intrinsics.from_focal(50, width=64, height=48),)
    assert "lens distortion (SIMPLE_RADIAL, 1 camera)" in file.warnings[0]
    (tmp_path / "cameras.txt").write_text("3 THIN 64 48 50 32 24 0.01\n")
    with pytest.raises(InvalidInput, match=r"^\S+: cameras\.txt has a camera of model 'THIN'; it must be one of"):
        read_camera_path(tmp_path)


def test_images_of_colmap_without_lines_of_points_are_not_skipped(tmp_path):
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 64 48 50 50 32 24\n")
    (tmp_path / "images.txt").write_text("1 1 0 0 0 0 0 0 1 a.png\n2 1 0 0 0 1 0 0 1 b.png\n")
    with pytest.raises(InvalidInput, match=r"images\.txt has two images without a line of points between them"):
        read_camera_path(tmp_path)


@pytest.mark.parametrize("convention", ["c2w-opencv", "w2c-opencv", "c2w-opengl", "w2c-opengl"])
def test_bare_matrices_need_a_convention(convention, tmp_path):
    path = to_the_right()
    flip = np.diag([1, -1, -1, 1]) if convention.endswith("opengl") else np.eye(4)
    matrices = flip @ path.world_to_camera.double().numpy()
    if convention.startswith("c2w"):
        matrices = np.linalg.inv(matrices)
    (tmp_path / "bare.json").write_text(json.dumps(matrices[:, :3].tolist()))
    np.savetxt(tmp_path / "bare.csv", matrices.reshape(-1, 16), delimiter=",")
    for name in ("bare.json", "bare.csv"):
        with pytest.raises(InvalidInput, match=r"convention of its matrices is unknown; add it to the name, bare"):
            read_camera_path(tmp_path / name)
        again = read_camera_path(tmp_path / name, ReadOptions(convention=convention)).world_to_camera
        np.testing.assert_allclose(again, path.world_to_camera, atol=1e-6)


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.diag([2, 2, 2, 1]), "its axes are 2 long instead of 1, so it also scales"),
        (np.diag([1, 1, -1, 1]), "it mirrors, as left-handed axes do"),
        (np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [3, 0, 0, 1]]), "so rows and columns are swapped"),
        (np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "not at right angles"),
        (np.full((4, 4), np.nan), "not finite|not a finite number"),
    ],
)
def test_matrices_that_are_no_poses_are_named(matrix, says, tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps({"world_to_camera": [np.eye(4).tolist(), matrix.tolist()]}))
    with pytest.raises(InvalidInput, match="pose 1 is not a rotation and translation: .*" + says):
        read_camera_path(tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("path.json", "{", "is not valid JSON"),
        ("path.json", '{"a": 1}', "is not a camera path of a known format: it is an object with the keys 'a'"),
        ("path.json", '{"world_to_camera": [[1, 2]]}', "needs matrices of"),
        ("path.json", '{"frames": [{}]}', "has no list of frames, each with a transform_matrix"),
        ("path.json", '{"frame0": {"cam01": "[1 2]"}}', "as written by ReCamMaster"),
        ("path.json", TURNED_WIDE, "camera_angle_x must be between 0 and pi radians, not 50; is it in degrees"),
        ("path.json", '{"world_to_camera": [[1, 2]]}', r"path\.json: a camera path needs"),
        (
            "path.json",
            f'{{"camera_to_world": [{EYE}], "intrinsics": [{{"fx": 9}}]}}',
            "has intrinsics {'fx': 9}; each needs fx, fy",
        ),
        (
            "path.json",
            f'{{"camera_to_world": [{EYE}], "shares": [0, 1]}}',
            r"path\.json: it has 1 poses but 2 times",
        ),
        ("path.json", f'{{"camera_to_world": [{EYE}], "clip_frames": []}}', "1 poses but 0 clip_frames"),
        (
            "path.json",
            f'{{"camera_to_world": [{EYE}], "clip_frames": [-1]}}',
            "clip_frames must be between 0 and 2147483647, not -1",
        ),
        ("path.json", f'{{"camera_to_world": [{EYE}], "axes": "nerf"}}', r"^\S*path\.json: the convention 'c2w-nerf'"),
        ("path.json", f'{{"camera_to_world": [{EYE}], "intrinsics": {{"fx": 8}}}}', "has intrinsics {'fx': 8}; each"),
        (
            "path.json",
            f'{{"fl_x": 1, "w": 0, "h": 9, "frames": [{{"transform_matrix": {EYE}}}]}}',
            "w must be between 1 and 1048576 pixels, not 0",
        ),
        ("path.csv", "a,b\n1,2\n", "has no column m00"),
        ("path.txt", "1 2\n3", "has 2 lines; it needs five"),
        ("path.txt", "up down", "must hold lines of numbers"),
        ("path.npz", "no archive", "is not a readable camera file"),
        ("path", "", "is not a camera path of a known format: it is a text of 0 lines"),
        ("path.obj", "v 0 0 0", "is not a camera path of a known format: it is a text of 1 lines; docs/cameras.md"),
    ],
)
def test_a_file_that_is_no_path_is_one_sentence(name, content, says, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=says):
        read_camera_path(tmp_path / name)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputNotFound, match=r"camera file .* does not exist"):
        read_camera_path(tmp_path / "none.json")
    with pytest.raises(InvalidInput, match="of a known format: it is a folder with no files"):
        read_camera_path(tmp_path)


def test_the_command_converts_and_warns(tmp_path, capsys):
    (tmp_path / "in.txt").write_text("0 0\n0 0.785398\n0 0")
    typer_cli.app(
        ["cam", "convert", str(tmp_path / "in.txt"), str(tmp_path / "out.json"), "--distance", "2"],
        standalone_mode=False,
    )
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "out.json")
    assert "meant in radians" in err
    file = read_camera_path(tmp_path / "out.json")
    assert np.linalg.inv(file.world_to_camera)[-1][0, 3] == pytest.approx(2 * np.sin(np.radians(0.785398)))
    with pytest.raises(InvalidInput, match="colmap requires intrinsics"):
        convert(tmp_path / "out.json", tmp_path / "model", to="colmap")


def test_converting_takes_nothing_away(tmp_path):
    write_camera_path(to_the_right(), tmp_path / "path.json")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "clip.mp4").write_text("mine")
    with pytest.raises(InvalidInput, match=r"project contains clip\.mp4, .*; choose a new folder"):
        convert(tmp_path / "path.json", tmp_path / "project", to="colmap")
    assert (tmp_path / "project" / "clip.mp4").read_text() == "mine"
    for _ in range(2):
        convert(tmp_path / "path.json", tmp_path / "model", to="colmap")
    before = (tmp_path / "path.json").read_text()
    with pytest.raises(InvalidInput, match=r"path\.json is the input file"):
        convert(tmp_path / "path.json", tmp_path / "path.json", to="nerfstudio")
    assert (tmp_path / "path.json").read_text() == before


@pytest.mark.parametrize("distance", [0.0, -1.0, float("nan")])
def test_a_distance_is_more_than_0(distance):
    with pytest.raises(InvalidInput, match="the distance to the subject must be more than 0 and at most"):
        ReadOptions(distance=distance)


def test_tum_has_the_numbers_of_frames_and_a_heading(tmp_path):
    frames = {f"frame_{number}.png": np.eye(4) for number in (0, 1, 3)}
    frames["frame_3.png"][0, 3] = 2.0
    entries = [{"file_path": name, "transform_matrix": matrix.tolist()} for name, matrix in frames.items()]
    (tmp_path / "in.json").write_text(json.dumps({"fl_x": 500, "w": 640, "h": 360, "frames": entries}))
    value = convert(tmp_path / "in.json", tmp_path / "out.txt", to="tum")
    head, *lines = (tmp_path / "out.txt").read_text().splitlines()
    assert head == "# timestamp tx ty tz qx qy qz qw"
    assert [line.split()[0] for line in lines] == ["0", "1", "3"]
    again = read_camera_path(tmp_path / "out.txt")
    assert again.format == "tum"
    assert again.positions == (0, 1, 3)
    assert [warning for warning in value.warnings if "has no intrinsics, because tum cannot store them" in warning]
