"""Facts about the camera moves."""

from __future__ import annotations

import math
from fractions import Fraction

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ex4d_core.cameras.generators import generate_camera_trajectory
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.geometry.subject import nearest_distance, subject_distance
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Scene, Video
from ex4d_trajectories import options as o
from ex4d_trajectories.generator import MoveGenerator
from ex4d_trajectories.moves import IMPLEMENTATIONS
from ex4d_trajectories.options import MOVES

DISTANCE = 2.0
IDENTITY = torch.eye(4)


def scene(depth=None, valid=None):
    depth = torch.full((1, 24, 32), DISTANCE) if depth is None else depth
    count, height, width = depth.shape
    return Scene(
        video=Video(frames=torch.zeros(count, height, width, 3, dtype=torch.uint8), fps=Fraction(25)),
        depth=DepthVideo(
            depth=depth,
            kind=DepthKind.RELATIVE,
            intrinsics=Intrinsics.from_fov(60, width=width, height=height),
            valid=valid,
        ),
    )


def path(options, num_frames=49, of=None) -> CameraPath:
    return MoveGenerator(options, device=torch.device("cpu")).path(num_frames, of or scene())


def eyes(cameras: CameraPath) -> torch.Tensor:
    """Camera centers [T, 3] in world coordinates."""
    pose = cameras.world_to_camera.double()
    return -(pose[:, :3, :3].mT @ pose[:, :3, 3:])[..., 0]


AROUND = [
    o.ArcOptions(angle=-75),
    o.LoopOptions(),
    o.OrbitOptions(yaw=-150, pitch=80),
    o.SpiralOptions(),
    o.ZoomInOptions(amount=0.9),
    o.ZoomOutOptions(amount=3),
    o.DollyOptions(amount=0.9),
    o.TruckOptions(amount=-2, track_subject=True),
    o.PedestalOptions(amount=2, track_subject=True),
    o.StaticOptions(),
    o.RollOptions(amount=30),
]
"""Moves that keep the subject where it is."""

ASIDE = [
    o.TruckOptions(),
    o.PedestalOptions(),
    o.PanOptions(),
    o.TiltOptions(),
    o.DollyZoomOptions(amount=-0.5),
    o.HandheldOptions(seed=3),
    o.KeyframesOptions(yaw=(0, 40, -20), tilt=(0, 5, 5)),
    o.FreezeOptions(),
    o.SlowOptions(),
    o.ReverseOptions(),
]
EXAMPLES = [*AROUND, *ASIDE]


def test_there_is_an_example_of_every_move():
    assert {type(options) for options in EXAMPLES} | {o.SweepOptions} == set(MOVES.values()) == set(IMPLEMENTATIONS)


@pytest.mark.parametrize("options", EXAMPLES, ids=lambda options: type(options).__name__)
@pytest.mark.parametrize("num_frames", [1, 2, 49])
def test_every_move_but_the_sweep_starts_at_the_source_camera(options, num_frames):
    cameras = path(options, num_frames)
    assert cameras.num_frames == num_frames
    torch.testing.assert_close(cameras.world_to_camera[0], IDENTITY)


@pytest.mark.parametrize("options", [*AROUND, o.SweepOptions()], ids=lambda options: type(options).__name__)
def test_moves_around_it_keep_the_subject_in_the_middle_and_the_lens_of_frame_0(options):
    cameras = path(options)
    subject = cameras.world_to_camera @ torch.tensor([0, 0, DISTANCE, 1])
    assert subject[:, :2].abs().max() < 1e-5
    assert (subject[:, 2] > 0).all()
    assert cameras.intrinsics == (scene().depth.intrinsics_at(0),)


@given(yaw=st.floats(-180, 180), pitch=st.floats(-89, 89), num_frames=st.integers(1, 60), distance=st.floats(1e-3, 1e4))
def test_an_orbit_is_rigid_and_stays_at_its_distance(yaw, pitch, num_frames, distance):
    cameras = path(o.OrbitOptions(yaw=yaw, pitch=pitch), num_frames, scene(torch.full((1, 8, 8), distance)))
    rotation = cameras.world_to_camera[:, :3, :3].double()
    assert (rotation @ rotation.mT - torch.eye(3)).abs().max() < 1e-5
    assert (torch.linalg.det(rotation) - 1).abs().max() < 1e-5
    radii = torch.linalg.vector_norm(eyes(cameras) - torch.tensor([0, 0, distance]), dim=1)
    torch.testing.assert_close(radii, torch.full_like(radii, distance), rtol=1e-4, atol=0)


@pytest.mark.parametrize("num_frames", [25, 49, 81])
def test_an_angle_means_that_angle_at_any_length(num_frames):
    x, y, z = eyes(path(o.ArcOptions(angle=90), num_frames))[-1].tolist()
    assert (x, y, z) == pytest.approx((DISTANCE, -0.2 * DISTANCE, DISTANCE), abs=1e-5)
    x, y, z = eyes(path(o.OrbitOptions(yaw=30), num_frames))[-1].tolist()
    angle = math.degrees(math.atan2(x, DISTANCE - z))
    assert angle == pytest.approx(30, abs=1e-4)


@pytest.mark.parametrize(("num_frames", "angle"), [(49, 30), (98, 60), (25, 30 * 49 / 25)])
def test_reference_scaling_increases_the_angle_as_in_the_reference(num_frames, angle):
    x = eyes(path(o.ArcOptions(angle=30, angle_scaling="reference"), num_frames))[-1, 0]
    assert x == pytest.approx(DISTANCE * math.sin(math.radians(angle)), abs=1e-5)


def test_reference_scaling_leaves_moves_without_an_angle_alone():
    of_angle, of_frames = (
        path(o.ZoomInOptions(amount=0.9, angle_scaling=scaling), 98) for scaling in ("none", "reference")
    )
    assert torch.equal(of_angle.world_to_camera, of_frames.world_to_camera)


def test_reference_scaling_may_not_carry_an_orbit_over_the_pole():
    with pytest.raises(InvalidConfig, match=r"pitch is 90\.\d+ degrees after angle_scaling=reference"):
        path(o.OrbitOptions(pitch=60, angle_scaling="reference"), 81)


def test_positive_angles_go_right_and_up_and_negative_ones_mirror_them():
    right = eyes(path(o.ArcOptions(angle=60)))
    left = eyes(path(o.ArcOptions(angle=-60)))
    assert (right[1:, 0] > 0).all()
    torch.testing.assert_close(left, right * torch.tensor([-1, 1, 1]))
    assert (eyes(path(o.OrbitOptions(yaw=40)))[1:, 0] > 0).all()
    assert (eyes(path(o.OrbitOptions(pitch=40)))[1:, 1] < 0).all(), "y points down"


def test_a_loop_comes_back():
    there = eyes(path(o.LoopOptions()))
    torch.testing.assert_close(there[-1], there[0], atol=1e-5, rtol=0)
    assert there[:, 0].max() == pytest.approx(DISTANCE, rel=1e-4)
    assert there[:, 0].min() == pytest.approx(-DISTANCE, rel=1e-4)


def test_a_sweep_goes_from_its_start_to_its_end():
    sweep = path(o.SweepOptions(start=-90, end=45))
    torch.testing.assert_close(sweep.world_to_camera[0], path(o.ArcOptions(angle=-90)).world_to_camera[-1])
    torch.testing.assert_close(sweep.world_to_camera[-1], path(o.ArcOptions(angle=45)).world_to_camera[-1])


def test_zooms_go_by_a_share_of_the_distance():
    assert eyes(path(o.ZoomInOptions(amount=0.25)))[-1].tolist() == pytest.approx([0, 0, 0.25 * DISTANCE])
    assert eyes(path(o.ZoomOutOptions(amount=2)))[-1].tolist() == pytest.approx([0, 0, -2 * DISTANCE])


def test_static_does_not_move():
    assert torch.equal(path(o.StaticOptions()).world_to_camera, IDENTITY.expand(49, 4, 4))


def test_a_sweep_needs_no_scene_as_a_function():
    cameras = generate_camera_trajectory(start_angle=-90, end_angle=90, num_frames=49)
    assert cameras.num_frames == 49
    assert (cameras.intrinsics[0].width, cameras.intrinsics[0].height) == (512, 512)
    torch.testing.assert_close(
        eyes(cameras)[[0, 24, 48]].float(), torch.tensor([[-1, -0.2, 1], [0, 0, 0], [1, -0.2, 1]])
    )
    twice = generate_camera_trajectory(radius=2, num_frames=49)
    torch.testing.assert_close(twice.world_to_camera, path(o.SweepOptions()).world_to_camera)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: o.ArcOptions(angle=120), "angle must be between -90 and 90 degrees, not 120"),
        (lambda: o.ArcOptions(angle=math.nan), "angle must be between -90 and 90 degrees, not nan"),
        (lambda: o.SweepOptions(start=-91), "start must be between -90 and 90 degrees, not -91"),
        (lambda: o.OrbitOptions(yaw=361), "yaw must be between -360 and 360 degrees, not 361"),
        (lambda: o.OrbitOptions(pitch=90), "pitch must be between -89 and 89 degrees, not 90"),
        (lambda: o.ZoomInOptions(amount=1), "amount must be more than 0 and less than 1, not 1"),
        (lambda: o.ZoomOutOptions(amount=-1), "amount must be between 0 and 10 distances to the subject, not -1"),
        (lambda: o.KeyframesOptions(yaw=(0, math.inf)), "yaw must be between -36000 and 36000 degrees, not inf"),
        (
            lambda: o.LoopOptions(look_at="sky"),
            "look_at must be auto, nearest, a pixel such as 320,180, or a distance above 0 such as 2.5, not 'sky'",
        ),
        (
            lambda: o.KeyframesOptions(yaw=(0, 1), pitch=(0, 1, 2)),
            "the lists of keyframes must have the same length, but yaw has 2, pitch has 3",
        ),
        (
            lambda: o.KeyframesOptions(at=(0, 0.5), yaw=(0, 1)),
            "at must increase from 0 to 1, as in at=[0,0.3,1]",
        ),
        (
            lambda: path(o.FreezeOptions(frame=1)),
            "frame 1 does not exist; the clip has 1 frames, so give 0 to 0",
        ),
        (lambda: o.LoopOptions(angle_scaling="fast"), "angle_scaling must be none or reference, not 'fast'"),
        (lambda: path(o.LoopOptions(), 0), "a camera path needs at least 1 frame, not 0"),
        (lambda: generate_camera_trajectory(end_angle=91), "end_angle must be between -90 and 90 degrees, not 91"),
        (lambda: generate_camera_trajectory(num_frames=0), "num_frames must be at least 1, not 0"),
        (lambda: generate_camera_trajectory(radius=0), "radius must be more than 0 and at most 1000000000, not 0"),
        (
            lambda: generate_camera_trajectory(radius=math.inf),
            "radius must be more than 0 and at most 1000000000, not inf",
        ),
    ],
)
def test_what_is_out_of_range_is_refused_in_one_sentence(make, message):
    with pytest.raises(InvalidConfig) as refused:
        make()
    assert str(refused.value) == message


def test_angles_that_look_like_radians_are_named():
    def warnings(options):
        return MoveGenerator(options, device=torch.device("cpu")).warnings(scene())

    assert warnings(o.OrbitOptions(yaw=-0.7854, pitch=3)) == [
        "orbit: yaw is -0.7854 degrees; if it is meant in radians, use -45"
    ]
    assert [warnings(options) for options in EXAMPLES] == [[]] * len(EXAMPLES)


def test_options_have_a_help_text():
    for options in MOVES.values():
        assert all(field.metadata["help"] for field in attrs.fields(options))


def test_the_subject_is_what_is_before_the_wall_in_the_middle():
    depth = torch.full((1, 60, 80), 9.0)
    depth[:, 20:40, 30:55] = 3.0
    depth[:, :10] = 0.5  # near, but at the edge
    assert subject_distance(scene(depth).depth) == 3.0


@given(bad=st.sampled_from([1e-4, 0.0, -1.0, 1e6, math.nan, math.inf]), size=st.sampled_from([(4, 4), (24, 32)]))
def test_one_bad_pixel_does_not_move_the_subject(bad, size):
    depth = torch.full((1, *size), DISTANCE)
    depth[0, size[0] // 2, size[1] // 2] = bad
    assert subject_distance(scene(depth).depth) == DISTANCE


@given(scale=st.floats(1e-3, 1e3))
def test_the_path_scales_with_the_depth(scale):
    depth = torch.rand(1, 24, 32, generator=torch.Generator().manual_seed(0)) + 1
    one, other = (path(o.ArcOptions(), 5, scene(depth * factor)) for factor in (1.0, scale))
    torch.testing.assert_close(eyes(other), eyes(one) * scale, rtol=1e-4, atol=1e-6 * scale)


def test_depth_that_is_not_valid_is_not_looked_at():
    depth = torch.full((1, 24, 32), DISTANCE)
    depth[:, 8:16] = 0.1
    video = scene(depth, valid=depth > 1).depth
    assert subject_distance(video) == DISTANCE
    assert nearest_distance(video) == pytest.approx(DISTANCE + 0.15)


def test_where_the_middle_is_unknown_the_rest_is_looked_at():
    depth = torch.full((1, 24, 32), DISTANCE)
    depth[:, 6:18, 8:24] = torch.nan
    assert subject_distance(scene(depth).depth) == DISTANCE


def test_the_nearest_rule_takes_the_outermost_ring_as_100():
    depth = torch.full((1, 24, 32), 500.0)
    depth[:, 0] = 1.0
    assert nearest_distance(scene(depth).depth) == pytest.approx(100.15)
    depth[:, 5, 5] = 2.0
    assert nearest_distance(scene(depth).depth) == pytest.approx(2.15)


@pytest.mark.parametrize("look_at", ["auto", "nearest"])
def test_a_frame_without_depth_is_refused(look_at):
    with pytest.raises(InvalidInput, match="no pixel of the first frame has a valid depth"):
        path(o.ArcOptions(look_at=look_at), 3, scene(torch.full((1, 8, 8), torch.nan)))
