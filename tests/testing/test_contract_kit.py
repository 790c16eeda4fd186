"""The kit itself: components that are wrong on purpose fail exactly the tests that name their fault."""

from __future__ import annotations

import attrs
import pytest

from ex4d_core.plugins.offers import Offer, Source
from ex4d_core.provider import Provider
from ex4d_core.testing.contracts import CONTRACTS
from ex4d_core.testing.runner import run_contract
from tests.helpers import wrong_components as wrong
from tests.helpers import wrong_views as views

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_what_was_before")]

CLAIMS = {
    "depth": {"any_clip": True, "steadiness": 0.05},
    "mesh": {"closed": True},
    "trajectory": {"starts_at_source": True},
    "renderer": {"twin": "zbuffer"},
    "backbone": {"keeps_known": 60.0, "num_frames": 2},
}
FORM = "result_has_the_required_form"

FAULTS = {
    "depth": [
        (wrong.DepthOfAnotherSize, {FORM}),
        (wrong.DepthNotAType, {FORM}),
        (wrong.DepthWithLensOfAnotherSize, {FORM}),
        (wrong.DepthBelowZero, {"valid_depth_is_positive"}),
        (wrong.DepthThatPaints, {"does_not_mutate_inputs"}),
        (wrong.DepthOfChance, {"is_deterministic"}),
        (wrong.DepthThatSeeds, {"does_not_touch_global_rng"}),
        (wrong.DepthWithForeignErrors, {"rejects_invalid_input"}),
        (wrong.DepthThatHoards, {"does_not_leak_tensors"}),
        (wrong.DepthThatStays, {"is_garbage_collected"}),
        (wrong.DepthWithoutProgress, {"reports_progress_from_zero_to_total"}),
        (wrong.DepthThatCannotBeStopped, {"can_be_cancelled_and_rerun"}),
        (wrong.DepthForOneSize, {"accepts_any_clip_shape"}),
        (wrong.DepthWithLongNotes, {"notes_and_warnings_are_single_lines"}),
        (wrong.DepthByTheClock, {"does_not_depend_on_frame_rate"}),
        (wrong.DepthThatDrifts, {"scale_is_consistent_over_time"}),
        (wrong.DepthOfDisparity, {"near_surfaces_have_smaller_depth"}),
        (wrong.DepthWithCamerasToWorld, {"source_cameras_are_world_to_camera"}),
    ],
    "trajectory": [
        (wrong.PathTooShort, {"accepts_any_number_of_frames"}),
        (wrong.PathThatStartsElsewhere, {"path_starts_where_claimed"}),
        (wrong.PathThatJumps, {"path_is_continuous"}),
        (wrong.PathUpsideDown, {"camera_is_never_upside_down"}),
        (wrong.PathToWorld, {"poses_are_world_to_camera"}),
        (wrong.PathByTheClock, {"does_not_depend_on_frame_rate"}),
        (wrong.PathInMetres, {"path_scales_with_the_scene"}),
        (wrong.PathOfAnotherLens, {FORM}),
        (wrong.PathUnlikeItsMotion, {"motion_matches_path"}),
    ],
    "mesh": [
        (views.MeshWithAHole, {"surface_is_watertight"}),
        (views.MeshDeafToValid, {"does_not_render_invalid_regions"}),
        (views.MeshOfOtherColours, {"source_view_reproduces_the_frame"}),
        (views.MeshTooFar, {"surface_matches_the_depth"}),
        (views.MeshThatTrustsDepth, {"handles_invalid_depth"}),
        (views.MeshOfNothing, {"handles_a_frame_without_valid_depth"}),
    ],
    "renderer": [
        (views.ViewOfAnotherSize, {FORM}),
        (views.ViewWithBackground, {"color_is_0_where_the_mask_is_false"}),
        (views.ViewAside, {"samples_at_pixel_centers", "matches_the_reference_renderer"}),
        (
            views.ViewOfDepthZero,
            {"depth_is_infinite_in_the_background", "renders_an_empty_mesh_as_an_empty_view"},
        ),
        (
            views.ViewThroughTheUnseen,
            {
                "occluded_faces_hide_what_is_behind_them",
                "occluded_faces_are_hidden_where_they_are_stretched",
                "matches_the_reference_renderer",
            },
        ),
        (
            views.ViewOfEx4dMasks,
            {"occluded_faces_are_hidden_where_they_are_stretched", "matches_the_reference_renderer"},
        ),
        (views.ViewOfDistance, {"samples_at_pixel_centers", "matches_the_reference_renderer"}),
        (views.ViewWithoutCheck, {"rejects_invalid_input"}),
        (views.ViewNeedsFaces, {"renders_an_empty_mesh_as_an_empty_view"}),
        (views.ViewByOrder, {"renders_the_nearest_surface"}),
        (views.ViewBehind, {"does_not_render_behind_the_camera"}),
    ],
    "backbone": [
        (views.VideoOfAFixedRate, {FORM}),
        (views.VideoPaintedOver, {"preserves_the_visible_region"}),
        (views.VideoWithHoles, {"fills_hidden_regions"}),
        (views.VideoNeedsScene, {"works_from_guidance_alone"}),
        (views.VideoThatGoesOnWrongly, {"interrupted_work_resumes_to_the_same_video"}),
        (views.VideoForOneSize, {"accepts_any_clip_shape"}),
    ],
}
"""What is wrong with components, by the names of the tests that must fail."""

SAID = [
    ({"license": " "}, {"license_and_summary_are_one_line"}),
    ({"summary": "two\nlines"}, {"license_and_summary_are_one_line"}),
    ({"options": wrong.SilentOptions}, {"options_have_help"}),
    ({"options": wrong.ShiftingOptions}, {"options_round_trip_through_toml_and_cli"}),
    ({"options": wrong.PlainOptions}, set()),
]
"""What is wrong with what a plugin says of itself."""

OF_POSES = {
    "poses_are_relative_to_the_first_frame",
    "poses_and_lens_agree_with_depth",
    "poses_and_lens_are_as_accurate_as_claimed",
}
"""Tests that components of `test_pose_contract` fail."""

CLAIMED = [
    ("depth", wrong.Brightness, {"accuracy": 0.01}, {"depth_is_as_accurate_as_claimed"}),
    ("depth", wrong.DepthUpToScaleAndShift, {"accuracy": 0.001}, set()),
    ("depth", wrong.DepthUpToShiftSaidRelative, {"accuracy": 0.01}, {"depth_is_as_accurate_as_claimed"}),
    ("trajectory", wrong.PathToWorld, {"moves_to": (1, 0, 0)}, {"poses_are_world_to_camera"}),
    ("trajectory", wrong.Rightward, {"moves_to": (1, 0, 0)}, set()),
    ("backbone", views.Fill, {"random": True}, {"depends_on_the_seed"}),
]
"""What claims more than it can."""


def offer_of(role, component, **said):
    provider = Provider(
        name="wrong",
        summary="for tests",
        license="MIT",
        component=f"{component.__module__}:{component.__name__}",
        options=wrong.NoOptions,
    )
    source = Source(plugin="tests", module="", distribution="tests", version="1")
    return Offer(role=role, spec=attrs.evolve(provider, **said), source=source)


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
        ("mesh", views.Watertight),
        ("trajectory", wrong.Rightward),
        ("renderer", views.ZBuffer),
        ("backbone", views.Fill),
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
    found = set().union(*(faults for *_, faults in rows), OF_POSES)
    assert {name.removeprefix("test_") for name in tests} == found
