"""What can be said with --cam."""

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

import ex4d_core as ex4d
from ex4d_core.cameras.generators import JoinedPath, Move, Segment, path_of_eyes
from ex4d_core.cameras.language import CamError, UnknownMove, cam_file_part, cam_of_file, parse_path, weights_of
from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.eases import EASES
from ex4d_core.geometry.subject import subject_point
from tests.helpers.spoken_paths import LENS, REGISTRY, SCENE, eyes, generator, said, scene

# What is said


def test_moves_follow_each_other_from_where_the_camera_is():
    path = said("orbit:yaw=90 then dolly:amount=0.5", 9, scene(depth=torch.full((9, 24, 32), 2.0)))
    torch.testing.assert_close(eyes(path)[4].float(), torch.tensor([2.0, 0, 2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(eyes(path)[8].float(), torch.tensor([1.0, 0, 2]), atol=1e-5, rtol=0)


def test_an_orbit_after_a_climb_goes_around_what_is_upright():
    path = said("orbit:pitch=40 then orbit:yaw=120", 9)
    heights = eyes(path)[4:, 1]
    torch.testing.assert_close(heights, heights[:1].expand(5), atol=1e-5, rtol=0)
    assert path.world_to_camera[4:, 0, 1].abs().max() < 1e-5, "the camera stays level"


def test_moves_at_the_same_time_add_up():
    both = said("orbit:yaw=30 with zoom_in:amount=0.5")
    subject = torch.tensor([*subject_point(SCENE, "auto").tolist(), 1.0])
    seen = both.world_to_camera @ subject
    torch.testing.assert_close(seen[-1, :3], subject[:3] / 2)


def test_shares_divide_the_path():
    path = said("truck:amount=1,share=25% then static", 9)
    x = eyes(path)[:, 0].tolist()
    assert x[2:] == pytest.approx([x[2]] * 7)
    assert x[1] == pytest.approx(x[2] / 2)


@pytest.mark.parametrize(("ease", "halfway"), [("linear", 0.5), ("in", 0.25), ("out", 0.75), ("smooth", 0.5)])
def test_eases(ease, halfway):
    path = said(f"truck:amount=1,ease={ease}", 9)
    assert eyes(path)[4, 0] == pytest.approx(halfway * float(eyes(path)[8, 0]))
    assert eyes(path)[1, 0] / eyes(path)[8, 0] == pytest.approx(EASES[ease](1 / 8))


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("static", None),
        ("orbit:yaw=20 with freeze:frame=5", [5] * 9),
        ("reverse", [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("slow:factor=2", [0, 1, 1, 2, 2, 3, 3, 4, 4]),
        ("slow:factor=0.5", [0, 2, 4, 6, 8, 8, 8, 8, 8]),
        ("static then orbit:yaw=20 with freeze", [0, 1, 2, 3, 4, 4, 4, 4, 4]),
        ("static then reverse", [0, 1, 2, 3, 4, 3, 2, 1, 0]),
        ("reverse:factor=0.5 then reverse", [8, 6, 4, 2, 0, 0, 0, 0, 0]),
        ("orbit:yaw=20 with freeze:frame=4,share=0.5 then static", [4, 4, 4, 4, 4, 5, 6, 7, 8]),
    ],
)
def test_time_control(text, frames):
    shown = said(text).frames
    assert (shown and list(shown)) == frames


def test_another_number_of_frames_shows_the_clip_slower():
    assert said("static", 17).frames == tuple((k + 1) // 2 for k in range(17))


def test_a_lens_changes_so_that_the_subject_keeps_its_size():
    path = said("dolly_zoom:amount=0.5")
    x, y, z = subject_point(SCENE, "auto")
    for frame in range(9):
        seen = path.world_to_camera[frame] @ torch.tensor([x, y, z, 1], dtype=torch.float32)
        lens = path.intrinsics_at(frame)
        assert lens.fx / seen[2] == pytest.approx(LENS.fx / z, rel=1e-5)
        assert lens.fx * seen[0] / seen[2] == pytest.approx(LENS.fx * x / z, rel=1e-4)
    with pytest.raises(InvalidConfig, match="dolly_zoom needs the subject in front of the camera"):
        said("pan:amount=170 then dolly_zoom")


def test_handheld_shakes_by_its_seed():
    one, again, other = (said(f"handheld:seed={seed}").world_to_camera for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


ALIASES = [alias for offer in REGISTRY.offers("trajectory") for alias in offer.spec.aliases]


@pytest.mark.parametrize("name", ["180", "+180", *ALIASES])
def test_aliases_are_moves(name):
    assert said(name).num_frames == 9


@pytest.mark.parametrize(
    ("alias", "move"),
    [
        ("180", "loop"),
        ("pan_left", "pan:amount=-25"),
        ("translate_up:amount=0.1", "pedestal:amount=0.1,track_subject=true"),
        ("arc_right with tilt_down:ease=smooth", "orbit:yaw=45 with tilt:amount=-15,ease=smooth"),
        ("pan_right@ex4d-trajectories", "pan:amount=25"),
    ],
)
def test_an_alias_stands_for_options_that_those_of_the_user_replace(alias, move):
    assert torch.equal(said(alias).world_to_camera, said(move).world_to_camera)


def test_a_generator_that_knows_no_shares_can_be_joined():
    class Plain:
        def path(self, num_frames, scene):
            places = [(float(k) / max(num_frames - 1, 1), 0.0, 0.0) for k in range(num_frames)]
            return path_of_eyes(places, center=(0, 0, 2), intrinsics=LENS)

    joined = JoinedPath(
        [
            Segment(moves=(Move(generator=generator("dolly:amount=0.5")),), weight=0.5),
            Segment(moves=(Move(generator=Plain(), ease="smooth"),), weight=0.5),
        ]
    )
    path = joined.path(9, SCENE)
    torch.testing.assert_close(eyes(path)[8] - eyes(path)[4], torch.tensor([1.0, 0, 0]).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("text", "sentence", "marked"),
    [
        ("", "the camera path is empty", " "),
        ("90 degrees", "'90 degrees' is not a camera path", "90 degrees"),
        ("orbitt:yaw=3", "unknown trajectory generator 'orbitt'; did you mean 'orbit'?", "orbitt"),
        ("30 then Orbit", "'Orbit' is not a camera path", "Orbit"),
        ("orbit:yaw=3 then", "a move is missing here", ""),
        ("orbit:yaw=", "must read key=value", "yaw="),
        ("orbit:45", "must read key=value", "45"),
        ("orbit:yow=3", "has no option yow; did you mean 'yaw'?", "yow=3"),
        ("orbit:yaw=left", "yaw: must be a number, not 'left'", "yaw=left"),
        ("dolly then orbit:pitch=95", "pitch must be between -89 and 89 degrees, not 95", "pitch=95"),
        ("120", "angle must be between -90 and 90 degrees, not 120", "120"),
        ("-90..120", "end must be between -90 and 90 degrees, not 120", "120"),
        ("orbit:yaw=1,yaw=2", "yaw is given twice", "yaw=2"),
        ("orbit:ease=smoth", "unknown ease 'smoth'; did you mean 'smooth'?", "ease=smoth"),
        ("a.json:fill=linear", "fill: must be one of interpolate, none", "fill=linear"),
        ("orbit:share=2", "share must be more than 0 and at most 1", "share=2"),
        ("dolly:share=0.5 then pan:share=0.3", "the shares add up to 0.8 and must add up to 1", "share=0.5"),
        ("dolly:share=1 then pan", "the shares add up to 1 and leave nothing for the rest", "share=1"),
        ("dolly:share=0.5 with pan:share=0.3 then 30", "simultaneous moves have one share", "share=0.3"),
        ("keyframes:yaw=[0,3", "[ is not closed by ]", "["),
        ("truck:look_at=sky", "look_at must be auto, nearest, a pixel", "look_at=sky"),
        ("keyframes:yaw=[0,inf]", "yaw[1]: must be a finite number", "yaw=[0,inf]"),
        ("orbit:ease=[1]", "unknown ease [1]; use one of linear, in, out, smooth", "ease=[1]"),
        ("30 then pan_lef:amount=3", "did you mean 'pan_left'?", "pan_lef"),
        ("tilt_up:amount=100", "amount must be between -89 and 89 degrees, not 100", "amount=100"),
        ("keyframes:yaw=40", "yaw: must be a list, as in [0, 40]", "yaw=40"),
        ("orbit:look_at=320,180", "in brackets, as in look_at=[320,180]", "180"),
        ("my path with me.json", "put a file name with blanks in quotes", "my path"),
        ("30 then from_file:resample", "from_file needs path, as in from_file:path=...", "from_file:resample"),
        ("keyframes:yaw=[0,1],pitch=[0]", "must have the same length", "keyframes:yaw=[0,1],pitch=[0]"),
    ],
)
def test_an_error_points_at_its_place(text, sentence, marked):
    session = ex4d.Session(registry=REGISTRY, device="cpu")
    with pytest.raises(CamError) as refused:
        session.choose_trajectory(text)
    first, shown, marks = str(refused.value).splitlines()
    assert sentence in first
    assert first.startswith("--cam: ")
    assert shown == f"  {text}"
    place = marks.index("^")
    assert shown[place:].startswith(marked.strip() or "")
    assert marks.strip() == "^" * max(1, len(marked))


def test_an_error_points_at_its_place_in_any_script_and_on_one_line():
    with pytest.raises(CamError) as refused:
        parse_path("'路径.json' then\n\tdolly:ease=up")
    _, shown, marks = str(refused.value).splitlines()
    assert shown == "  '路径.json' then  dolly:ease=up"
    assert marks.index("^") == shown.index("ease") + 2, "each of the two signs is as wide as two letters"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x" * 10_000, "x"),
        ("30 then " * 2000 + "30:yow=3", "yow=3"),
        ("orbit:yaw=" + "9" * 5000, "yaw=9"),
        ("orbit:yaw=" + "[" * 3000, "["),
        ("keyframes:yaw=[" + ",".join(["1"] * 3000) + "],ease=up", "ease=up"),
        ("路径" * 3000 + ".json then dolly:ease=up", "ease=up"),
    ],
    ids=["name", "many", "digits", "brackets", "list", "wide"],
)
def test_an_error_shows_what_of_a_long_text_is_around_its_place(text, place):
    session = ex4d.Session(registry=REGISTRY, device="cpu")
    with pytest.raises(CamError) as refused:
        session.choose_trajectory(text)
    assert len(str(refused.value)) < 900
    _, shown, marks = str(refused.value).splitlines()
    at = marks.index("^")
    assert cell_len(shown[: shown.rindex(place)]) == at or shown[at:].startswith(place)
    assert len(marks.split("^", 1)[1]) < 400


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_text_is_a_path_or_an_error_that_points_at_a_place(text):
    try:
        steps = parse_path(text)
        weights_of(steps, text)
    except CamError as refused:
        _, shown, marks = str(refused).split("\n")
        assert marks.strip(" ^") == ""
        assert cell_len(marks) <= cell_len(shown) + 2
        return
    assert all(0 <= piece.start <= piece.stop <= len(text) for step in steps for piece in step)


def test_from_where_the_subject_is_nothing_can_be_aimed():
    with pytest.raises(InvalidConfig, match="the camera is at the subject"):
        said("dolly:amount=1,look_at=2 then 30:look_at=2")
    assert said("dolly:amount=1,look_at=2 then pan").num_frames == 9


def test_a_pixel_may_stand_in_brackets():
    assert torch.equal(said("30:look_at=[19,13]").world_to_camera, said("30:look_at='19,13'").world_to_camera)
    with pytest.raises(InvalidConfig, match="two time controls"):
        said("freeze with slow")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a/path.json", "a/path.json"),
        ("path.csv", "path.csv"),
        ("dog with bob/path.json", '"dog with bob/path.json"'),
        ("12:30/a,b.json", '"12:30/a,b.json"'),
        ("bob's/path.json", '"bob\'s/path.json"'),
        ('5" clip/path.json', "'5\" clip/path.json'"),
        ("model", '"model"'),
    ],
)
def test_a_file_is_written_so_that_it_is_read_as_one(name, written):
    assert cam_of_file(Path(name)) == written
    ((piece,),) = parse_path(written)
    assert (piece.name, piece.options) == ("from_file", {"path": name})


@pytest.mark.parametrize("name", ["poses.npy", "camera.chan", "a.log", "bundle.out", "a.r3d", "a.NPZ"])
def test_a_name_with_the_suffix_of_a_camera_file_is_a_file(name):
    ((piece,),) = parse_path(f"{name}:convention=c2w-opencv")
    assert piece.options == {"path": name, "convention": "c2w-opencv"}
    assert cam_file_part(f"{name}:resample") != cam_file_part(f"{name}:resample=true")


def test_a_move_that_is_not_installed_is_a_component_that_is_not_found():
    with pytest.raises(UnknownMove, match="unknown trajectory generator"):
        generator("30 then wobble")


def test_a_folder_is_told_from_a_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    with pytest.raises(UnknownMove, match=r"unknown trajectory generator 'model'.*; the folder is \./model"):
        generator("30 then model:start=source")


def test_an_option_for_every_path_is_not_looked_for_in_the_text():
    session = ex4d.Session(registry=REGISTRY, device="cpu", trajectory={"look_at": "sky"})
    with pytest.raises(InvalidConfig, match=r"^trajectory\.look_at must be auto"):
        session.choose_trajectory("30")


def test_values_may_hold_commas_and_be_short():
    ((piece,),) = parse_path("keyframes:yaw=[0,.5,1.],look_at='3,4',at=[0,.3,1]")
    assert piece.options == {"yaw": [0, 0.5, 1.0], "look_at": "3,4", "at": [0, 0.3, 1]}
    ((piece,),) = parse_path("'my then path.json':resample")
    assert (piece.name, piece.options) == ("from_file", {"path": "my then path.json", "resample": True})


def test_names_of_files_are_not_too_long():
    long = " then ".join(["orbit:yaw=10,pitch=5"] * 20)
    assert len(cam_file_part(long)) < 100
    assert cam_file_part(long) != cam_file_part(f"{long} then 30")


def test_files_are_named_by_their_own_name():
    assert cam_file_part("path.json") == "path.json"
    assert re.fullmatch(r"my_path-[0-9a-f]{16}", cam_file_part("outputs/clip/paths/my_path.json"))
    assert cam_file_part("a/my_path.json") != cam_file_part("b/my_path.json")
    assert cam_file_part("a/my_path.json then 30").startswith("a_my_path.json_then_30")


def test_what_moves_doubt_is_said_of_the_whole():
    assert generator("pan:amount=1.5708 then dolly with roll").warnings(SCENE) == [
        "pan: amount is 1.5708 degrees; if it is meant in radians, use 90"
    ]


def test_shares_that_are_left_are_divided_evenly():
    text = "dolly:share=0.5 then pan then tilt"
    assert weights_of(parse_path(text), text) == [0.5, 0.25, 0.25]


# The subject


# Former names of options


@pytest.mark.parametrize(
    ("former", "current"),
    [
        ("dolly:by=0.2", "dolly:amount=0.2"),
        ("truck:by=0.2,aim=true", "truck:amount=0.2,track_subject=true"),
        ("pan_left:by=5", "pan_left:amount=5"),
        ("30:pace=frames", "30:angle_scaling=reference"),
    ],
)
def test_former_names_of_options_are_accepted(former, current):
    assert torch.equal(said(former).world_to_camera, said(current).world_to_camera)


def test_former_names_of_options_for_every_path_are_accepted():
    session = ex4d.Session(registry=REGISTRY, device="cpu", trajectory={"pace": "frames"})
    assert session.choose_trajectory("30").only.options.angle_scaling == "reference"
    assert session.choose_trajectory("freeze").only is not None


@pytest.mark.parametrize(
    ("text", "sentence", "marked"),
    [
        ("dolly:by=99", "amount must be between -10 and 10", "by=99"),
        ("dolly:by=1,amount=2", "by is the former name of amount", "by=1"),
        ("30:pace=fast", "angle_scaling: must be one of none, reference", "pace=fast"),
    ],
)
def test_errors_point_at_former_names(text, sentence, marked):
    with pytest.raises(CamError) as refused:
        generator(text)
    first, shown, marks = str(refused.value).splitlines()
    assert sentence in first
    assert shown[marks.index("^") :].startswith(marked)
