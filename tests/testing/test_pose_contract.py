"""The contract of poses and lens: the truth keeps it, and each fault of poses breaks the test that names it."""

import attrs
import pytest
import torch

from ex4d_core.plugins.offers import Offer, Source
from ex4d_core.progress import silent
from ex4d_core.provider import Provider
from ex4d_core.testing.contracts import DepthEstimatorContract
from ex4d_core.testing.contracts._values import filmed_walk
from ex4d_core.types import Intrinsics
from tests.helpers.wrong_components import Brightness, NoOptions


class Truth(Brightness):
    """Knows the filmed room; of other clips, what is bright is near."""

    def estimate(self, video, *, progress):
        truth = filmed_walk()
        if video.frames.shape == truth.video.frames.shape and torch.equal(video.frames, truth.video.frames):
            return truth.depth
        return super().estimate(video, progress=progress)


class CameraToWorld(Truth):
    def estimate(self, video, *, progress):
        return with_poses(super().estimate(video, progress=progress), torch.linalg.inv)


class AnotherUnit(Truth):
    def estimate(self, video, *, progress):
        return with_poses(super().estimate(video, progress=progress), shifted(1.5))


class AnotherLens(Truth):
    def estimate(self, video, *, progress):
        lens = Intrinsics.from_fov(width=video.width, height=video.height)
        return attrs.evolve(super().estimate(video, progress=progress), intrinsics=lens)


class StartsElsewhere(Truth):
    def estimate(self, video, *, progress):
        found = super().estimate(video, progress=progress)
        return with_poses(found, lambda poses: poses @ shifted(1)(poses[-1:]))


def with_poses(depth, change):
    if depth.cameras is None:
        return depth
    cameras = attrs.evolve(depth.cameras, world_to_camera=change(depth.cameras.world_to_camera))
    return attrs.evolve(depth, cameras=cameras)


def shifted(factor):
    def change(poses):
        return torch.cat([torch.cat([poses[:, :3, :3], poses[:, :3, 3:] * factor], dim=2), poses[:, 3:]], dim=1)

    return change


class TestTruth(DepthEstimatorContract):
    name = "truth"
    poses = 0.02

    @pytest.fixture
    def offer(self):
        component = f"{__name__}:Truth"
        provider = Provider(name="truth", summary="tests", license="MIT", component=component, options=NoOptions)
        return Offer(role="depth", spec=provider, source=Source(plugin="t", module="", distribution="t", version="1"))


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(CameraToWorld, "off the depth of the last"), (AnotherUnit, "off the depth"), (Brightness, "returns no poses")],
)
def test_poses_that_disagree_with_depth_are_found(wrong, said):
    with pytest.raises(AssertionError, match=said):
        TestTruth().test_poses_and_lens_agree_with_depth(wrong(NoOptions(), device=CPU))


def test_another_lens_is_found():
    with pytest.raises(AssertionError, match=r"the focal length is 0\.2.* off"):
        TestTruth().test_poses_and_lens_are_as_accurate_as_claimed(AnotherLens(NoOptions(), device=CPU))


def test_another_world_is_found():
    found = StartsElsewhere(NoOptions(), device=CPU).estimate(filmed_walk().video, progress=silent)
    with pytest.raises(AssertionError, match="the pose of the first frame differs from the identity"):
        TestTruth().test_poses_are_relative_to_the_first_frame(found)
