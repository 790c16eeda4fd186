"""Variants of camera files: shapes, orders, numbers and names that differ between tools, and what is asked for."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ex4d_core.cameras.files import ReadOptions, filled, named_gaps, read_camera_path
from ex4d_core.errors import InvalidInput
from tests.helpers.foreign_cameras import C2W, CX, ELSEWHERE, FROM_FIRST, FX, GL, KS, Z_UP, K, colmap_model


def read(path, **options):
    chosen = options.pop("format", None)
    return read_camera_path(path, ReadOptions(**options), format=chosen)


def save(path, value):
    path.write_text(json.dumps(value, default=lambda array: array.tolist()))
    return path


FLAT = {f"{at:03d}": pose for at, pose in reversed(list(enumerate(ELSEWHERE)))}


@pytest.mark.parametrize(
    "tree",
    [
        FLAT,
        {f"frame_{at}.png": pose[:3].ravel() for at, pose in enumerate(ELSEWHERE)},
        {"extrinsics": FLAT},
        {"poses": {str(at): pose.ravel() for at, pose in enumerate(ELSEWHERE)}},
        [{"frame_id": at, "extrinsic": ELSEWHERE[at]} for at in (3, 0, 5, 1, 4, 2)],
        {name: {"extrinsic": pose, "intrinsic": K} for name, pose in FLAT.items()},
        {"frames": {name: {"w2c": pose} for name, pose in FLAT.items()}},
    ],
)
def test_matrices_by_name_or_number_are_read_in_its_order(tree, tmp_path):
    file = read(save(tmp_path / "a.json", tree), convention="w2c-opencv")
    np.testing.assert_allclose(file.world_to_camera, ELSEWHERE, atol=1e-12)
    with pytest.raises(InvalidInput, match="convention of its matrices is unknown"):
        read(tmp_path / "a.json")


def test_matrices_by_name_have_gaps_and_intrinsics_by_name(tmp_path):
    kept = (0, 1, 4, 5)
    lenses = {str(at): K * [[1 + at], [1], [1]] for at in (4, 5, 0, 1)}
    tree = {"extrinsics": {str(at): ELSEWHERE[at] for at in (4, 5, 0, 1)}, "intrinsics": lenses}
    file = read(save(tmp_path / "a.json", tree), convention="w2c-opencv")
    np.testing.assert_allclose(file.world_to_camera, ELSEWHERE[list(kept)])
    assert named_gaps(file) == "frames 2 and 3"
    assert [lens.fx for lens in file.unsized] == [FX * (1 + at) for at in kept]


@pytest.mark.parametrize("poses", [ELSEWHERE, ELSEWHERE[:4], ELSEWHERE[:, :3], ELSEWHERE[:4, :3]])
def test_frames_may_be_the_last_axis(poses, tmp_path):
    np.save(tmp_path / "a.npy", np.moveaxis(poses, 0, 2))
    np.savez(tmp_path / "b.npz", poses=np.moveaxis(poses, 0, 2), intrinsics=np.moveaxis(KS[: len(poses)], 0, 2))
    for name in ("a.npy", "b.npz"):
        file = read(tmp_path / name, convention="w2c-opencv")
        np.testing.assert_allclose(file.world_to_camera, ELSEWHERE[: len(poses)], atol=1e-12)
    assert file.unsized[0].cx == CX


@pytest.mark.parametrize(("kind", "plural"), [("da3", "s"), ("vggt", "")])
@pytest.mark.parametrize("depth", [(1, 6, 9, 16), (1, 6, 9, 16, 1), (6, 9, 16, 1), (6, 9, 16)])
def test_a_batch_of_one_is_recognized(kind, plural, depth, tmp_path):
    arrays = {f"extrinsic{plural}": ELSEWHERE[None, :, :3], f"intrinsic{plural}": KS[None] / [[40], [40], [1]]}
    np.savez(tmp_path / "a.npz", **arrays, depth=np.ones(depth, dtype=np.float32))
    file = read(tmp_path / "a.npz")
    assert file.format == kind
    assert (file.intrinsics[0].width, file.intrinsics[0].height) == (16, 9)
    np.testing.assert_allclose(file.world_to_camera, ELSEWHERE)


def test_a_table_of_matrices_may_start_with_a_number_or_time(tmp_path):
    table = np.c_[np.arange(6) * 0.1, ELSEWHERE.reshape(6, 16)]
    np.savetxt(tmp_path / "a.txt", table[[4, 0, 1, 3, 5]])
    file = read(tmp_path / "a.txt", convention="w2c-opencv")
    np.testing.assert_allclose(file.world_to_camera, ELSEWHERE[[0, 1, 3, 4, 5]], atol=1e-12)
    assert named_gaps(file) == "frame 2"
    np.savetxt(tmp_path / "a.txt", np.c_[np.arange(6), np.ones((6, 16))])
    with pytest.raises(InvalidInput, match="is a table of 17 columns"):
        read(tmp_path / "a.txt", convention="w2c-opencv")


def test_poses_are_in_the_order_of_a_column_or_array_of_numbers(tmp_path):
    kept = [4, 0, 1, 3, 5]
    head = ",".join(["frame", *(f"m{row}{column}" for row in range(4) for column in range(4))])
    table = np.c_[kept, ELSEWHERE[kept].reshape(5, 16)]
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header=f"w2c-opencv\n{head}", comments="", fmt="%.17g")
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(f"# {text}")
    np.savez(tmp_path / "b.npz", w2c=ELSEWHERE[kept], frame_ids=kept)
    for name, convention in (("a.csv", None), ("b.npz", "w2c-opencv")):
        file = read(tmp_path / name, convention=convention)
        np.testing.assert_allclose(file.world_to_camera, ELSEWHERE[sorted(kept)])
        assert named_gaps(file) == "frame 2"


def quaternions(to_world, *, scalar_first=False):
    return Rotation.from_matrix(to_world[:, :3, :3]).as_quat(scalar_first=scalar_first)


@pytest.mark.parametrize("fps", [30, 1_000_000])
def test_times_in_nanoseconds_are_subtracted_exactly(fps, tmp_path):
    stamps = [1_403_636_579_763_555_584 + at * 10**9 // fps for at in (0, 1, 3, 4, 5)]
    rows = np.c_[C2W[:, :3, 3], quaternions(C2W)][[0, 1, 3, 4, 5]]
    lines = [f"{stamp} {' '.join(map(str, row))}" for stamp, row in zip(stamps, rows, strict=True)]
    (tmp_path / "a.txt").write_text("\n".join([lines[3], *lines[:3], lines[4]]))
    file = read(tmp_path / "a.txt")
    assert file.format == "tum"
    np.testing.assert_allclose(file.world_to_camera, ELSEWHERE[[0, 1, 3, 4, 5]], atol=1e-9)
    assert named_gaps(file) == "frame 2"


def test_open3d_is_recognized_without_class_name(tmp_path):
    lens = {"intrinsic": {"intrinsic_matrix": K.T.ravel(), "width": 640, "height": 360}}
    bare = [{"extrinsic": pose.T.ravel()} for pose in ELSEWHERE]
    cameras = [{**each, **lens} for each in bare]
    for tree, poses in ((cameras[0], 1), ({"parameters": cameras}, 6), ({"parameters": bare}, 6)):
        file = read(save(tmp_path / "a.json", tree))
        assert file.format == "open3d"
        np.testing.assert_allclose(file.world_to_camera, ELSEWHERE[:poses])
        assert (file.intrinsics is None) == (poses == 6 and tree["parameters"] is bare)


def transforms(names, poses=C2W, **facts):
    frames = [
        {"file_path": name, "transform_matrix": Z_UP @ pose @ GL} for name, pose in zip(names, poses, strict=True)
    ]
    return {"fl_x": FX, "frames": frames, **facts}


@pytest.mark.parametrize(
    "names",
    [
        [f"images/cam2/{at}.png" for at in range(7, 13)],
        [f"{'eval' if at % 3 == 1 else 'train'}/frame_{at}.png" for at in range(8, 14)],
    ],
)
def test_frames_are_ordered_by_their_number_over_folders(names, tmp_path):
    order = [5, 2, 0, 4, 1, 3]
    file = read(save(tmp_path / "a.json", transforms([names[at] for at in order], C2W[order])))
    np.testing.assert_allclose(file.world_to_camera, ELSEWHERE, atol=1e-9)
    model = tmp_path / "m"
    model.mkdir()
    colmap_model(model, [(ELSEWHERE[at], 1, names[at]) for at in order], {1: (1, [FX, FX, CX, 180.0])})
    np.testing.assert_allclose(read(model).world_to_camera, ELSEWHERE, atol=1e-9)


def test_a_folder_for_each_moment_has_a_file_for_each_camera(tmp_path):
    images = [(pose, at + 1, f"{frame}/cam{at}.png") for frame, pose in enumerate(ELSEWHERE) for at in (0, 1)]
    colmap_model(tmp_path, images, {1: (1, [FX, FX, CX, 180.0]), 2: (1, [FX, FX, CX, 180.0])})
    with pytest.raises(InvalidInput, match="out of cam0, cam1"):
        read(tmp_path)
    np.testing.assert_allclose(read(tmp_path, camera="cam1").world_to_camera, ELSEWHERE, atol=1e-9)


@pytest.mark.parametrize("name", ["{}/{}.png", "{}_{:03d}.png", "{1:03d}-{0}.png", "images/{}{}.png"])
def test_frames_of_several_cameras_are_asked_about(name, tmp_path):
    names = [name.format(camera, at) for camera in ("left", "right") for at in range(6)]
    path = save(tmp_path / "a.json", transforms(names, np.concatenate([C2W, C2W[::-1]])))
    with pytest.raises(InvalidInput, match=r"several cameras; select one with a\.json:camera=NAME, out of left, right"):
        read(path)
    np.testing.assert_allclose(read(path, camera="right").world_to_camera, ELSEWHERE[::-1], atol=1e-9)


def test_a_log_and_a_list_of_open3d_are_read_in_order(tmp_path):
    order = [2, 0, 1, 4]
    blocks = [f"{at} {at} {at + 1}\n" + "\n".join(" ".join(map(repr, row)) for row in C2W[at].tolist()) for at in order]
    (tmp_path / "a.log").write_text("\n".join(blocks))
    file = read(tmp_path / "a.log")
    np.testing.assert_allclose(file.world_to_camera, ELSEWHERE[[0, 1, 2, 4]], atol=1e-9)
    assert named_gaps(file) == "frame 3"
    cameras = [{"class_name": "PinholeCameraParameters", "extrinsic": pose.T.ravel()} for pose in ELSEWHERE]
    np.testing.assert_allclose(read(save(tmp_path / "a.json", cameras)).world_to_camera, ELSEWHERE)


def test_comments_behind_numbers_are_ignored(tmp_path):
    rows = np.c_[np.arange(6) * 0.1, C2W[:, :3, 3], quaternions(C2W)]
    (tmp_path / "a.txt").write_text("".join(f"{' '.join(map(str, row))}  # still\n" for row in rows))
    np.testing.assert_allclose(read(tmp_path / "a.txt").world_to_camera, ELSEWHERE, atol=1e-9)


def recammaster(frames):
    unreal = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    poses = unreal @ np.linalg.inv(FROM_FIRST) @ unreal.T
    poses[:, :3, 3] *= 100
    return {f"frame_{at:04d}": {"cam01": poses[at].T.tolist()} for at in frames}


def test_frames_that_recammaster_lacks_are_named_and_interpolated(tmp_path):
    file = read(save(tmp_path / "a.json", recammaster([4, 0, 1, 3, 5])))
    np.testing.assert_allclose(file.world_to_camera, FROM_FIRST[[0, 1, 3, 4, 5]], atol=1e-9)
    assert named_gaps(file) == "frame 2"
    assert filled(file).num_poses == 6
    assert named_gaps(read(save(tmp_path / "b.json", recammaster([1, 4])))) == "frames 1 and 2"


def test_a_convention_that_does_not_apply_is_refused(tmp_path):
    save(tmp_path / "a.json", recammaster(range(6)))
    (tmp_path / "a.txt").write_text("0 2\n0 3\n0 0\n")
    for name, kind in (("a.json", "recammaster"), ("a.txt", "trajectorycrafter"), ("a.txt", "viewcrafter")):
        with pytest.raises(InvalidInput, match=f"convention= does not apply to {kind}"):
            read(tmp_path / name, convention="w2c-opengl", format=kind)


@pytest.mark.parametrize("columns", [6, 7, 8])
@pytest.mark.parametrize("rows", [3, 5])
def test_a_few_rows_that_may_be_poses_are_asked_about(rows, columns, tmp_path):
    np.savetxt(tmp_path / "a.txt", np.arange(1.0, 1 + rows * columns).reshape(rows, columns))
    with pytest.raises(
        InvalidInput, match=r"lines of key numbers, or positions and angles .*:format=trajectorycrafter"
    ):
        read(tmp_path / "a.txt")
    assert read(tmp_path / "a.txt", format="trajectorycrafter").num_poses == (49 if rows == 3 else columns)


def test_an_intrinsic_matrix_is_not_a_path(tmp_path):
    np.savetxt(tmp_path / "K.txt", K)
    with pytest.raises(InvalidInput, match="is a table of 3 columns"):
        read(tmp_path / "K.txt")


@pytest.mark.parametrize("step", [1, 0.1])
def test_half_a_turn_about_z_with_w_first_is_not_taken_for_tum(step, tmp_path):
    to_world = np.diag([-1.0, -1, 1, 1]) @ np.linalg.inv(FROM_FIRST)
    to_world[:, :3, 3] += [1, 2, 3]
    rows = np.c_[np.arange(6) * step, to_world[:, :3, 3], quaternions(to_world, scalar_first=True)]
    np.savetxt(tmp_path / "a.txt", rows)
    with pytest.raises(InvalidInput, match="can be tum or monst3r"):
        read(tmp_path / "a.txt")
    file = read(tmp_path / "a.txt", format="monst3r")
    np.testing.assert_allclose(file.world_to_camera, np.linalg.inv(to_world), atol=1e-9)


def test_no_rotation_with_w_first_at_the_origin_is_asked_about_if_times_are_in_seconds(tmp_path):
    to_world = np.linalg.inv(FROM_FIRST)
    np.savetxt(
        tmp_path / "a.txt", np.c_[np.arange(6) * 0.1, to_world[:, :3, 3], quaternions(to_world, scalar_first=True)]
    )
    with pytest.raises(InvalidInput, match="can be tum or monst3r"):
        read(tmp_path / "a.txt")
    np.savetxt(tmp_path / "a.txt", np.c_[np.arange(6), to_world[:, :3, 3], quaternions(to_world, scalar_first=True)])
    assert read(tmp_path / "a.txt").format == "monst3r"
