"""Any bytes behind the name of a format are read, or refused with one sentence."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ex4d_core.depth_io.read import open_depth
from ex4d_core.errors import InvalidInput
from tests.depth_io import scene
from tests.helpers.hostile_bytes import mutated, refused

few = settings(
    derandomize=True, deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ONE = scene.filled(0)[0].astype(np.float32)


def everything(path):
    frames = open_depth(path)
    return frames.count, [maps.shape for maps in frames.read(range(frames.count))]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One good file of each format with a reader of its own."""
    import cv2

    folder = tmp_path_factory.mktemp("good")
    cv2.imwritemulti(str(folder / "d.tif"), [ONE, ONE])
    frames = {f"rgbd/{index}.depth": ONE.tobytes() for index in range(2)}
    scene.write_zip(folder / "d.r3d", {"metadata": scene.record3d_metadata(), **frames})
    scene.write_zip(folder / "d.zip", {"0.exr": scene.exr({"Z": ONE}), "1.exr": scene.exr({"Z": ONE})})
    values = scene.filled(0)
    lens = {"intrinsic": scene.LENS, "cam_c2w": scene.poses()}
    np.savez(folder / "d.npz", depths=values, images=np.zeros((*values.shape, 3), np.uint8), **lens)
    points = {"points": scene.world_points(values), "camera_poses": scene.poses(), "conf": np.ones(values.shape)}
    np.savez(folder / "points.npz", **points)
    (folder / "d.pfm").write_bytes(scene.pfm(ONE))
    (folder / "d.dpt").write_bytes(scene.dpt(ONE))
    (folder / "d.exr").write_bytes(scene.exr({"A.Depth.Z": ONE, "R": ONE}, display=(90, 50)))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


NAMES = ["d.tif", "d.r3d", "d.zip", "d.npz", "points.npz", "d.pfm", "d.dpt", "d.exr"]


@pytest.mark.parametrize("name", NAMES)
def test_the_good_file_is_read(tmp_path, files, name):
    (tmp_path / name).write_bytes(files[name])
    count, shapes = everything(tmp_path / name)
    assert count == len(shapes) > 0


@few
@pytest.mark.parametrize("name", NAMES)
@given(st.data())
def test_any_change_is_read_or_named(tmp_path, files, name, data):
    (tmp_path / name).write_bytes(data.draw(mutated(files[name])))
    refused(everything, tmp_path / name)


@few
@pytest.mark.parametrize("name", ["d.pfm", "d.dpt", "d.r3d", "d.zip", "d.flo", "d.jxl"])
@given(head=st.sampled_from([b"", b"Pf\n", b"PF 2 2 ", b"PIEH", b"PK\3\4", b"\xff\x0a"]), rest=st.binary(max_size=64))
def test_any_bytes_are_named(tmp_path, name, head, rest):
    (tmp_path / name).write_bytes(head + rest)
    refused(everything, tmp_path / name)


numbers = st.none() | st.floats() | st.integers() | st.text(max_size=3)


@few
@given(
    st.dictionaries(
        st.sampled_from(["w", "h", "dw", "dh", "K", "poses", "perFrameIntrinsicCoeffs"]),
        st.recursive(numbers, lambda inner: st.lists(inner, max_size=9)),
    )
)
def test_any_metadata_of_a_recording_is_read_or_named(tmp_path, facts):
    text = json.dumps({"dw": scene.WIDTH, "dh": scene.HEIGHT, **facts})
    refused(everything, scene.write_zip(tmp_path / "d.r3d", {"metadata": text, "rgbd/0.depth": ONE.tobytes()}))


@few
@given(text=st.text("0123456789.- \ne#n", max_size=60), name=st.sampled_from(["pred_traj.txt", "../camera_poses.txt"]))
def test_any_text_of_poses_is_read_or_named(tmp_path, text, name):
    folder = scene.write_files(tmp_path / "maps", "{}.exr", [scene.exr({"Z": ONE})])
    file = folder / name
    file.write_text(text)
    sentence = ""
    try:
        everything(folder)
    except InvalidInput as error:
        sentence = str(error)
    file.unlink()
    assert not sentence or file.name in sentence
