"""Facts about any path that can be said with --cam."""

import re

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.cameras.files import FORMATS, ReadOptions, read_camera_path, write_camera_path
from ex4d_core.cameras.language import cam_of_file
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.eases import EASES
from ex4d_core.geometry.subject import subject_point
from tests.helpers.spoken_paths import LENS, SCENE, said


def numbers(low, high):
    return st.floats(low, high).map(lambda number: f"{number:.2f}")


ANGLE, DISTANCE = numbers(-80, 80), numbers(-2, 2)
KEYFRAMES = "keyframes:{}=[0,{},{}],{}=[0,{},{}],at=[0,0.3,1]"
MOVES = st.one_of(
    ANGLE,
    st.sampled_from(["180", "static", "zoom_in", "zoom_out", "pan_left", "translate_up", "arc_right"]),
    st.builds("orbit:yaw={},pitch={}".format, numbers(-360, 360), numbers(-89, 89)),
    st.builds("orbit:yaw={},look_at={}".format, ANGLE, st.sampled_from(["nearest", "2.5", "[3,20]"])),
    st.builds("{}:amount={}".format, st.sampled_from(["dolly", "truck", "pedestal"]), DISTANCE),
    st.builds("{}:amount={}".format, st.sampled_from(["pan", "tilt", "roll"]), ANGLE),
    st.builds("{}:amount={}".format, st.sampled_from(["pan", "roll"]), numbers(-180, 180)),
    st.builds("{}:amount={},track_subject=true".format, st.sampled_from(["truck", "pedestal"]), DISTANCE),
    st.builds("spiral:turns={},radius={},amount={}".format, numbers(-2, 2), numbers(0, 1), numbers(-1, 0.9)),
    st.builds("handheld:seed={},amount={}".format, st.integers(0, 99), numbers(0, 4)),
    st.builds(
        KEYFRAMES.format,
        st.sampled_from(["yaw", "pitch", "pan", "tilt", "roll"]),
        ANGLE,
        ANGLE,
        st.sampled_from(["truck", "pedestal", "zoom_in"]),
        numbers(-1, 0.8),
        numbers(-1, 0.8),
    ),
    st.builds("freeze:frame={}".format, st.integers(0, 8)),
    st.builds("slow:factor={}".format, numbers(0.3, 5)),
    st.just("reverse"),
)


def with_option(move, option):
    return f"{move}{',' if ':' in move else ':'}{option}"


EASED = st.one_of(MOVES, st.builds(with_option, MOVES, st.sampled_from([f"ease={ease}" for ease in EASES])))
TIMED = ("freeze", "slow", "reverse")


def path_of(steps, share, zooms) -> str:
    texts = []
    for index, (one, other) in enumerate(steps):
        one = with_option(one, share) if share and index == 0 and len(steps) > 1 else one
        both_time = one.startswith(TIMED) and (other or "").startswith(TIMED)
        texts.append(one if other is None or both_time else f"{one} with {other}")
    return " then ".join([f"dolly_zoom:amount=0.5 with {texts[0]}" if zooms else texts[0], *texts[1:]])


STEPS = st.lists(st.tuples(EASED, st.none() | EASED), min_size=1, max_size=3)
PATHS = st.builds(path_of, STEPS, st.sampled_from(["", "share=20%", "share=0.4"]), st.booleans())
quickly = settings(max_examples=25, deadline=None, derandomize=True)


@quickly
@given(text=PATHS, num_frames=st.integers(1, 12))
def test_any_path_is_rigid_and_starts_at_the_source(text, num_frames):
    path = said(text, num_frames)
    rotation = path.world_to_camera[:, :3, :3].double()
    assert (rotation @ rotation.mT - torch.eye(3)).abs().max() < 1e-5
    assert (torch.linalg.det(rotation) > 0).all()
    torch.testing.assert_close(path.world_to_camera[0], torch.eye(4), atol=1e-5, rtol=0)
    assert path.intrinsics_at(0) == LENS
    assert all(lens.fx / lens.fy == pytest.approx(1) and lens.fx > 0 for lens in path.intrinsics)


@quickly
@given(text=PATHS, num_frames=st.integers(2, 9))
def test_any_path_is_the_same_at_common_times_for_any_number_of_frames(text, num_frames):
    coarse, fine = said(text, num_frames), said(text, 3 * num_frames - 2)
    torch.testing.assert_close(fine.world_to_camera[::3], coarse.world_to_camera, atol=1e-5, rtol=1e-5)
    assert [fine.frame_shown(3 * k) for k in range(num_frames)] == pytest.approx(
        [coarse.frame_shown(k) if coarse.frames else round(8 * k / (num_frames - 1)) for k in range(num_frames)], abs=1
    )


@settings(quickly, max_examples=12)
@given(text=PATHS)
@pytest.mark.slow
def test_any_path_is_smooth(text):
    """Steps between frames shrink as frames become more, which they would not at a jump; the lens's too."""
    largest = []
    for num_frames in (361, 1805):  # a shake in a fifth of a path takes that many to be seen as what it is
        path = said(text, num_frames)
        lens = torch.tensor([path.intrinsics_at(frame).fx / LENS.fx for frame in range(num_frames)])
        steps = [values.diff(dim=0).abs().amax() for values in (path.world_to_camera.double(), lens.double())]
        largest.append(torch.stack(steps))
    assert (largest[1] < 0.4 * largest[0] + 1e-5).all()


@quickly
@given(text=PATHS, name=st.sampled_from([name for name, kind in FORMATS.items() if kind.write]))
@pytest.mark.slow
def test_any_path_survives_saving(text, name, tmp_path_factory):
    path = said(text)
    file = tmp_path_factory.mktemp("cam") / f"path{FORMATS[name].suffix}"
    distance = float(np.linalg.norm(subject_point(SCENE, "auto")))
    try:
        write_camera_path(path, file, format=name, distance=distance)
    except InvalidInput as error:
        assert re.search("cannot (say|store|be stored)", str(error))  # noqa: PT017 - most are saved
        return
    again = read_camera_path(file, ReadOptions(distance=distance), format=name)
    poses = torch.from_numpy(again.world_to_camera)
    torch.testing.assert_close(poses, path.world_to_camera.double(), atol=1e-6, rtol=1e-6)
    said_again = said(f"{cam_of_file(file)}:format={name}")
    torch.testing.assert_close(said_again.world_to_camera, path.world_to_camera, atol=2e-6, rtol=2e-6)
    for before, after in zip(path.intrinsics, said_again.intrinsics, strict=True):
        assert attrs.astuple(after) == pytest.approx(attrs.astuple(before), rel=1e-6)
    assert said_again.frames == again.frames == path.frames
