"""Camera files of other tools, of one path each: recognized, read as the tool means them, or asked about."""

import json

import attrs
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ex4d_core.cameras.files import FORMATS, ReadOptions, convert, filled, named_gaps, read_camera_path
from ex4d_core.cameras.files._poses import positions_of, positions_of_names
from ex4d_core.errors import InvalidInput
from tests.helpers import foreign_archives
from tests.helpers.foreign_cameras import CX, CY, FX, FY, HEIGHT, NAMES, WIDTH, colmap_model

SAMPLES = foreign_archives.SAMPLES
ELSEWHERE = SAMPLES["tum_of_open3d"].world
NOT_SAMPLED = {"ex4d", "json", "csv", "recammaster", "trajectorycrafter", "viewcrafter"}
"""Formats of other tests."""


def read(path, **options):
    chosen = options.pop("format", None)
    return read_camera_path(path, ReadOptions(**options), format=chosen)


def lens_of(file, kind):
    """Return focal lengths and principal point in pixels of the images of 640x360."""
    if kind in ("unsized", "normalized"):
        (lens,) = file.unsized
        assert lens.normalized == (kind == "normalized")
        lens = lens.sized(WIDTH, HEIGHT)
    else:
        (lens,) = file.intrinsics
        assert (lens.width, lens.height) == ((WIDTH, HEIGHT) if kind == "sized" else (WIDTH // 40, HEIGHT // 40))
        lens = lens.scaled_to(width=WIDTH, height=HEIGHT)
    return lens.fx, lens.fy, lens.cx, lens.cy


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_of_another_tool_is_read_as_it_means_it(name, tmp_path):
    sample = SAMPLES[name]
    file = read(tmp_path / sample.write(tmp_path), **sample.options)
    assert file.format == sample.format
    np.testing.assert_allclose(file.world_to_camera, sample.world, atol=2e-6)
    if sample.lens:
        assert lens_of(file, sample.lens) == pytest.approx((FX, FY, CX, CY), abs=1e-4)
    gaps = " and ".join(map(str, sample.missing))
    assert named_gaps(file) == (f"frames {gaps}" if gaps else "")


def test_each_format_has_a_sample():
    assert {sample.format for sample in SAMPLES.values()} | NOT_SAMPLED == set(FORMATS)


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.options])
def test_what_a_file_does_not_say_is_asked_for(name, tmp_path):
    sample = SAMPLES[name]
    path = tmp_path / sample.write(tmp_path)
    wanted = {
        "format": "convention|select one",
        "convention": "convention=c2w-opencv",
        "camera": r"several cameras; s|of several cameras",
    }
    with pytest.raises(InvalidInput, match=wanted[next(iter(sample.options))]) as asked:
        read_camera_path(path)
    assert str(path) in str(asked.value)


@pytest.mark.parametrize("convention", ["c2w-opencv", "w2c-opencv", "c2w-opengl", "w2c-opengl"])
def test_a_convention_is_used_wherever_the_file_does_not_declare_its_own(convention, tmp_path):
    flip = np.diag([1, -1, -1, 1]) if convention.endswith("opengl") else np.eye(4)
    matrices = flip @ ELSEWHERE if convention.startswith("w2c") else np.linalg.inv(ELSEWHERE) @ flip
    np.savez(tmp_path / "a.npz", extrinsics=matrices, intrinsics=np.eye(3) * 50)
    np.savez(tmp_path / "b.npz", extrinsic=matrices[:, :3], intrinsic=np.eye(3) * 50)
    np.savetxt(tmp_path / "c.txt", matrices[:, :3].reshape(-1, 12))
    np.save(tmp_path / "d.npy", matrices)
    for name in ("a.npz", "b.npz", "c.txt", "d.npy"):
        file = read(tmp_path / name, convention=convention)
        assert file.format == "matrices"
        np.testing.assert_allclose(file.world_to_camera, ELSEWHERE, atol=1e-9)


@pytest.mark.parametrize("name", ["tum", "kitti", "realestate10k", "open3d", "vista4d", "colmap_project", "vipe"])
def test_a_convention_replaces_that_of_a_format_which_is_said(name, tmp_path):
    sample = SAMPLES[name]
    path = tmp_path / sample.write(tmp_path)
    own = FORMATS[sample.format].convention
    other = own.replace("c2w", "w2c") if own.startswith("c2w") else own.replace("w2c", "c2w")
    file = read(path, convention=other, format=sample.format)
    np.testing.assert_allclose(file.world_to_camera, np.linalg.inv(sample.world), atol=1e-5)
    note = f"is read as {other}, as requested, in place of {own}, the convention of {sample.format}"
    assert note in file.warnings[-1]


def test_a_convention_replaces_the_key_and_the_axes_of_json(tmp_path):
    flip = np.diag([1.0, -1, -1, 1])
    (tmp_path / "a.json").write_text(json.dumps({"camera_to_world": (np.linalg.inv(ELSEWHERE) @ flip).tolist()}))
    file = read(tmp_path / "a.json", convention="c2w-opengl")
    np.testing.assert_allclose(file.world_to_camera, ELSEWHERE, atol=1e-9)


@pytest.mark.parametrize("convention", ["c2w-opencv", "w2c-opencv"])
def test_of_two_arrays_that_of_the_requested_direction_is_read(convention, tmp_path):
    np.savez(tmp_path / "a.npz", c2w=np.linalg.inv(ELSEWHERE), w2c=ELSEWHERE)
    np.testing.assert_allclose(read(tmp_path / "a.npz", convention=convention).world_to_camera, ELSEWHERE, atol=1e-9)


def test_a_table_with_commas_is_recognized_by_its_columns(tmp_path):
    rows = (tmp_path / SAMPLES["tum"].write(tmp_path)).read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join(row.replace(" ", ",") for row in rows))
    file = read(tmp_path / "b.csv")
    assert file.format == "tum"
    np.testing.assert_allclose(file.world_to_camera, SAMPLES["tum"].world, atol=1e-6)


def test_a_format_of_another_kind_of_file_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", ELSEWHERE)
    with pytest.raises(InvalidInput, match=r"a\.npy is not a file of tum, which is: `\.txt` of TUM"):
        read(tmp_path / "a.npy", format="tum")


def test_a_format_that_is_only_read_is_not_written(tmp_path):
    path = tmp_path / SAMPLES["monst3r"].write(tmp_path)
    with pytest.raises(InvalidInput, match="monst3r is only read, not written; use one of blender, colmap"):
        convert(path, tmp_path / "b.txt", to="monst3r")


def test_missing_frames_are_interpolated_on_request(tmp_path):
    sample = SAMPLES["tum"]
    file = read(tmp_path / sample.write(tmp_path))
    full = filled(file)
    assert full.num_poses == 6
    assert named_gaps(full) == ""
    np.testing.assert_array_equal(full.world_to_camera[[0, 1, 3, 5]], file.world_to_camera)
    np.testing.assert_allclose(full.world_to_camera, SAMPLES["tum_of_open3d"].world, atol=0.1)
    plain = convert(tmp_path / "a.txt", tmp_path / "b.json", to="json")
    assert plain.num_poses == 4
    assert "has no pose of frames 2 and 4, counted from 0: left out; interpolate them with --fill" in plain.warnings[-1]
    assert convert(tmp_path / "a.txt", tmp_path / "b.json", to="json", fill=True).num_poses == 6
    assert read(tmp_path / "b.json").num_poses == 6


def test_distortion_is_said_once_for_all_cameras(tmp_path):
    images = [(pose, at + 1, NAMES[at]) for at, pose in enumerate(ELSEWHERE)]
    colmap_model(tmp_path, images, {at + 1: (2, [500.0, 320.0, 180.0, -0.1]) for at in range(len(images))})
    (warning,) = read(tmp_path).warnings
    assert "has lens distortion (SIMPLE_RADIAL, 6 cameras), which is ignored" in warning


def test_a_camera_of_a_model_can_be_named_by_its_folder_or_number(tmp_path):
    sample = SAMPLES["colmap_stereo"]
    path = tmp_path / sample.write(tmp_path)
    by_folder, by_number = (read(path, camera=name) for name in ("right", "2"))
    np.testing.assert_array_equal(by_folder.world_to_camera, by_number.world_to_camera)
    assert by_folder.intrinsics[0].fx == 500
    with pytest.raises(InvalidInput, match=r"it has no camera 'middle'; select one with .* out of left, right"):
        read(path, camera="middle")


def test_intrinsics_without_a_size_are_for_twice_the_principal_point(tmp_path):
    np.savez(tmp_path / "a.npz", w2c=ELSEWHERE, intrinsics=np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]))
    file = convert(tmp_path / "a.npz", tmp_path / "b.json", to="json")
    assert (file.intrinsics[0].width, file.intrinsics[0].height) == (64, 48)
    assert "64x48, twice the principal point, is assumed" in file.warnings[-1]
    odd = attrs.evolve(file.intrinsics[0], cx=31.3)
    np.savez(tmp_path / "a.npz", w2c=ELSEWHERE, intrinsics=odd.matrix())
    file = convert(tmp_path / "a.npz", tmp_path / "b.json", to="json")
    assert file.intrinsics is None
    assert "without the size of the images, which are left out" in file.warnings[-1]


def test_a_field_of_view_that_is_not_written_is_named(tmp_path):
    path = tmp_path / SAMPLES["chan"].write(tmp_path)
    warnings = convert(path, tmp_path / "a.json", to="json").warnings
    assert "has a field of view without the size of the images, which is left out" in warnings[-1]


def test_a_file_that_is_only_a_lens_or_nothing_known_says_what_it_has(tmp_path):
    np.savez(tmp_path / "a.npz", data=np.ones((3, 4)), inds=np.arange(3))
    with pytest.raises(InvalidInput, match=r"it has the intrinsics of ViPE; use \.\./pose/a\.npz"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", depth=np.ones((3, 4)))
    with pytest.raises(InvalidInput, match=r"is an archive with the arrays 'depth'; docs/cameras\.md"):
        read(tmp_path / "b.npz")


HALF_TURN = np.diag([1.0, -1, -1])
"""Rotation by 180 degrees about x."""


def quaternion_rows(*, half_turn=False, step=1.0, order=(0, 1, 2, 3)):
    """Return lines of time, position and quaternion, and the poses."""
    turns = Rotation.from_euler("y", np.array([[0, 5, 11, 18, 26, 35]]).T, degrees=True).as_matrix()
    to_world = np.tile(np.eye(4), (6, 1, 1))
    to_world[:, :3, :3] = HALF_TURN @ turns if half_turn else turns
    to_world[:, :3, 3] = np.linspace([0.5, 0, 1], [1, 2, 3], 6)
    quaternions = Rotation.from_matrix(to_world[:, :3, :3]).as_quat()[:, order]
    return np.c_[np.arange(6) * step, to_world[:, :3, 3], quaternions], np.linalg.inv(to_world)


@pytest.mark.parametrize("heading", ["time x y z q_x q_y q_z q_w", "time pos quat(xyzw)", "t tx ty tz qx qy qz qw", ""])
def test_half_a_turn_does_not_change_the_order_of_quaternions(heading, tmp_path):
    rows, poses = quaternion_rows(half_turn=True, step=0.1)
    np.savetxt(tmp_path / "a.txt", rows, header=heading, comments="# " if heading else "")
    file = read(tmp_path / "a.txt")
    assert file.format == "tum"
    np.testing.assert_allclose(file.world_to_camera, poses, atol=1e-9)


@pytest.mark.parametrize("heading", ["time pos quat(wxyz)", "t p_RS_R_x q_RS_w [] q_RS_x [] q_RS_y [] q_RS_z []", ""])
def test_a_quaternion_with_w_first_is_recognized(heading, tmp_path):
    rows, poses = quaternion_rows(order=(3, 0, 1, 2))
    np.savetxt(tmp_path / "a.txt", rows, header=heading, comments="# " if heading else "")
    file = read(tmp_path / "a.txt")
    assert file.format == "monst3r"
    np.testing.assert_allclose(file.world_to_camera, poses, atol=1e-9)


@pytest.mark.parametrize("columns", [[0, 7, 4, 5, 6, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6]])
@pytest.mark.parametrize("heading", ["", "id qw qx qy qz tx ty tz"])
def test_a_table_of_8_or_7_columns_is_not_taken_for_angles(columns, heading, tmp_path):
    np.savetxt(tmp_path / "a.txt", quaternion_rows()[0][:, columns], header=heading)
    with pytest.raises(InvalidInput):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["a.txt", "b.txt"])
def test_poses_that_are_not_in_order_are_sorted_by_their_time(name, tmp_path):
    rows, poses = quaternion_rows(step=0.1)
    lines = np.c_[rows[:, :1], np.tile([0.9, 1.6, 0.5, 0.5, 0, 0], (6, 1)), poses[:, :3].reshape(6, 12)]
    table = {"a.txt": rows, "b.txt": lines}[name]
    np.savetxt(tmp_path / name, table[[3, 0, 5, 1, 4]])
    file = read(tmp_path / name)
    np.testing.assert_allclose(file.world_to_camera, poses[[0, 1, 3, 4, 5]], atol=1e-9)
    assert named_gaps(file) == "frame 2"
    np.savetxt(tmp_path / name, table[[0, 1, 1, 2, 3, 4]])
    with pytest.raises(InvalidInput, match="poses 1 and 2 have the same time"):
        read(tmp_path / name)


def test_times_that_vary_by_a_third_are_no_gaps():
    assert positions_of(np.arange(12) + np.array([0, 0.15, -0.15] * 4)) is None
    assert positions_of([0, 0.8, 2.1, 3.1, 4.1, 6.0]) == (0, 1, 2, 3, 4, 6)
    assert positions_of([0, 2, 4, 5, 6]) == (0, 2, 4, 5, 6)


def test_a_few_lines_that_hold_poses_are_not_key_numbers(tmp_path):
    rows, poses = quaternion_rows()
    number = np.arange(5)[:, None]
    tables = (rows[:5, 1:], np.c_[number, poses[:5].reshape(5, 16)], poses[1, :3], poses[1, :3, :3])
    for table in tables:
        np.savetxt(tmp_path / "a.txt", table)
        with pytest.raises(InvalidInput):
            read(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "name", ["scene_1.0/r_{}", "r_{}_640x480.png", "f_{:04d}_v2.png", "C:\\d\\f_{}.png", "images.v2/r_{}"]
)
def test_a_frame_is_missing_by_the_number_that_varies_in_the_names(name):
    assert positions_of_names([name.format(frame) for frame in (3, 4, 6, 10)]) == (0, 1, 3, 7)


def test_the_scale_of_nerfstudio_is_divided_out_and_an_image_has_one_pose(tmp_path):
    matrices = np.linalg.inv(ELSEWHERE)
    frames = [{"file_path": f"{at}.png", "transform_matrix": each.tolist()} for at, each in enumerate(matrices)]
    (tmp_path / "a.json").write_text(json.dumps({"frames": frames}))
    for frame in frames:
        for row in frame["transform_matrix"][:3]:
            row[3] *= 0.25
    (tmp_path / "b.json").write_text(json.dumps({"frames": frames, "applied_scale": 0.25}))
    file = read(tmp_path / "b.json")
    np.testing.assert_allclose(file.world_to_camera, read(tmp_path / "a.json").world_to_camera, atol=1e-9)
    assert "applied_scale of 0.25, which is divided out" in file.warnings[-1]
    (tmp_path / "b.json").write_text(json.dumps({"frames": [*frames, frames[1]]}))
    with pytest.raises(InvalidInput, match=r"several frames of '?1\.png"):
        read(tmp_path / "b.json")


@pytest.mark.parametrize("name", ["extrinsic", "w2c", "pose", "world_to_camera"])
def test_frames_with_matrices_are_read_in_the_convention_that_is_given(name, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"frames": [{name: each.tolist()} for each in ELSEWHERE]}))
    np.testing.assert_allclose(read(tmp_path / "a.json", convention="w2c-opencv").world_to_camera, ELSEWHERE)
    with pytest.raises(InvalidInput, match="convention of its matrices is unknown"):
        read(tmp_path / "a.json")


def test_a_batch_of_one_path_and_four_rows_are_read(tmp_path):
    np.savez(tmp_path / "a.npz", viewmats=ELSEWHERE[None])
    np.savetxt(tmp_path / "b.txt", ELSEWHERE[:4].reshape(4, 16))
    for name, poses in (("a.npz", ELSEWHERE), ("b.txt", ELSEWHERE[:4])):
        np.testing.assert_allclose(read(tmp_path / name, convention="w2c-opencv").world_to_camera, poses, atol=1e-9)


def test_a_log_of_open3d_names_missing_frames(tmp_path):
    lines = [f"{at} {at} {at + 1}\n" + "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n" for at in (0, 1, 3, 4)]
    (tmp_path / "a.log").write_text("".join(lines))
    assert named_gaps(read(tmp_path / "a.log")) == "frame 2"
