"""The kit itself: components that are wrong on purpose fail exactly the tests that name their fault."""

from __future__ import annotations

import attrs
import pytest

from ex4d_core.plugins.discovery import Offer
from ex4d_core.provider import Provider
from ex4d_core.testing.checking import run_contract
from ex4d_core.testing.contracts import CONTRACTS
from tests.helpers import wrong_components as wrong

CLAIMS = {
    "depth": {"any_clip": True, "steadiness": 0.05},
    "mesh": {"closed": True},
    "trajectory": {"starts_at_source": True},
    "renderer": {"twin": "zbuffer"},
    "backbone": {"keeps_known": 60.0, "num_frames": 2},
}
FORM = "the_result_has_the_form_of_the_role"

FAULTS = {
    "depth": [
        (wrong.DepthOfAnotherSize, {FORM}),
        (wrong.DepthNotAType, {FORM}),
        (wrong.DepthWithLensOfAnotherSize, {FORM}),
        (wrong.DepthBelowZero, {"depth_is_known_and_above_0_where_it_is_valid"}),
        (wrong.DepthThatPaints, {"what_it_is_given_stays_as_it_was"}),
        (wrong.DepthOfChance, {"the_same_inputs_give_the_same_again", "the_rate_of_the_clip_does_not_matter"}),
        (wrong.DepthThatSeeds, {"random_numbers_of_others_are_left_alone"}),
        (wrong.DepthWithForeignErrors, {"bad_input_is_refused_with_an_error_of_ours"}),
        (wrong.DepthThatHoards, {"calls_leave_nothing_in_memory"}),
        (wrong.DepthThatStays, {"it_is_gone_when_nobody_needs_it"}),
        (wrong.DepthWithoutProgress, {"progress_is_told_from_nothing_to_all"}),
        (wrong.DepthThatCannotBeStopped, {"work_can_be_cancelled_and_done_again"}),
        (wrong.DepthForOneSize, {"clips_of_any_length_and_size_have_depth"}),
        (wrong.DepthByTheClock, {"the_rate_of_the_clip_does_not_matter"}),
        (wrong.DepthThatDrifts, {"the_scale_is_steady"}),
    ],
    "trajectory": [
        (wrong.PathTooShort, {"paths_have_any_length"}),
        (wrong.PathThatStartsElsewhere, {"the_path_starts_where_it_says"}),
        (wrong.PathThatJumps, {"the_camera_never_jumps"}),
        (wrong.PathUpsideDown, {"the_camera_is_never_upside_down"}),
        (wrong.PathInMetres, {"a_scene_ten_times_as_large_has_a_path_ten_times_as_long"}),
        (wrong.PathOfAnotherLens, {FORM}),
        (wrong.PathUnlikeItsMotion, {"a_motion_is_the_path_and_begins_anywhere"}),
    ],
    "mesh": [
        (wrong.MeshWithAHole, {"the_surface_is_closed"}),
        (wrong.MeshDeafToValid, {"what_is_not_valid_is_not_seen"}),
        (wrong.MeshOfOtherColours, {"the_source_camera_sees_the_frame_again"}),
        (wrong.MeshTooFar, {"the_surface_is_as_far_away_as_the_depth_says"}),
        (wrong.MeshThatTrustsDepth, {"unknown_depth_does_no_harm"}),
        (wrong.MeshOfNothing, {"a_frame_of_which_nothing_is_known_shows_nothing_or_is_refused"}),
    ],
    "renderer": [
        (wrong.ViewOfAnotherSize, {FORM}),
        (wrong.ViewWithBackground, {"color_is_0_where_the_mask_is_false"}),
        (wrong.ViewAside, {"a_pixel_shows_what_is_in_its_middle", "it_agrees_with_its_twin"}),
        (wrong.ViewOfDepthZero, {"depth_is_infinite_where_nothing_is", "a_mesh_without_faces_is_an_empty_view"}),
        (wrong.ViewThroughTheUnseen, {"a_surface_that_nobody_saw_hides_what_is_behind_it", "it_agrees_with_its_twin"}),
        (wrong.ViewOfDistance, {"a_pixel_shows_what_is_in_its_middle", "it_agrees_with_its_twin"}),
        (wrong.ViewWithoutCheck, {"bad_input_is_refused_with_an_error_of_ours"}),
        (wrong.ViewNeedsFaces, {"a_mesh_without_faces_is_an_empty_view"}),
        (wrong.ViewByOrder, {"the_nearest_surface_is_seen", "it_agrees_with_its_twin"}),
        (wrong.ViewBehind, {"what_is_behind_the_camera_is_not_seen"}),
    ],
    "backbone": [
        (wrong.VideoOfAnotherRate, {FORM}),
        (wrong.VideoPaintedOver, {"what_is_known_is_kept"}),
        (wrong.VideoWithHoles, {"what_is_hidden_is_filled"}),
        (wrong.VideoNeedsScene, {"the_pictures_alone_are_enough"}),
        (wrong.VideoThatGoesOnWrongly, {"stopped_work_goes_on_to_the_same_video"}),
        (wrong.VideoForOneSize, {"clips_of_any_length_and_size_are_filled"}),
    ],
}
"""What is wrong with components, by the names of the tests that must fail."""

SAID = [
    ({"license": " "}, {"its_license_and_summary_are_said_in_one_line_each"}),
    ({"summary": "two\nlines"}, {"its_license_and_summary_are_said_in_one_line_each"}),
    ({"options": wrong.SilentOptions}, {"each_option_has_a_help_text"}),
    ({"options": wrong.ShiftingOptions}, {"its_options_survive_toml_and_the_command_line"}),
    ({"options": wrong.PlainOptions}, set()),
]
"""What is wrong with what a plugin says of itself."""

CLAIMED = [
    ("depth", wrong.Brightness, {"accuracy": 0.01}, {"depth_is_as_accurate_as_it_claims"}),
    ("backbone", wrong.Inpaint, {"random": True}, {"another_seed_gives_another_video"}),
]
"""What claims more than it can."""


def offer_of(role, component, **said):
    provider = Provider(
        name="wrong",
        summary="for tests",
        license="MIT",
        component=f"{wrong.__name__}:{component.__name__}",
        options=wrong.NoOptions,
    )
    return Offer(role=role, provider=attrs.evolve(provider, **said), plugin="tests", distribution="tests", version="1")


def failed(role, component, claims=None, **said):
    """Return the names of the tests that fail, without `test_` and parameters."""
    report = run_contract(offer_of(role, component, **said), claims={**CLAIMS[role], **(claims or {})})
    assert report.outcomes
    names = [outcome.test for outcome in report.outcomes if outcome.state == "failed"]
    return {name.removeprefix("test_").partition("[")[0] for name in names}


@pytest.fixture(autouse=True)
def _let_go():
    yield
    wrong.KEPT.clear()


@pytest.mark.parametrize(
    ("role", "component"),
    [
        ("depth", wrong.Brightness),
        ("mesh", wrong.Watertight),
        ("trajectory", wrong.Rightward),
        ("renderer", wrong.ZBuffer),
        ("backbone", wrong.Inpaint),
    ],
)
def test_components_without_fault_fail_nothing(role, component):
    assert failed(role, component) == set()


@pytest.mark.parametrize(
    ("role", "component", "faults"), [(role, *row) for role, rows in FAULTS.items() for row in rows]
)
def test_a_component_fails_what_names_its_fault(role, component, faults):
    assert failed(role, component) == faults


@pytest.mark.parametrize(("said", "faults"), SAID)
def test_what_a_plugin_says_of_itself_is_tested(said, faults):
    assert failed("trajectory", wrong.Rightward, **said) == faults


@pytest.mark.parametrize(("role", "component", "claims", "faults"), CLAIMED)
def test_what_claims_more_than_it_can_is_found_out(role, component, claims, faults):
    assert failed(role, component, claims) == faults


def test_every_test_of_the_kit_is_failed_by_something():
    rows = [*SAID, *CLAIMED, *(row for rows in FAULTS.values() for row in rows)]
    tests = {name for contract in CONTRACTS.values() for name in dir(contract) if name.startswith("test_")}
    assert {name.removeprefix("test_") for name in tests} == set().union(*(faults for *_, faults in rows))
