"""What every component of a role must do, as tests: subclass, name the component, claim what it can do.

    from ex4d_core.testing.contracts import DepthEstimatorContract

    class TestMine(DepthEstimatorContract):
        name = "mine"

        @pytest.fixture
        def settings(self, tmp_path):
            return {"model": str(tiny_checkpoint(tmp_path))}

Switches claim more than the role asks of everyone, such as `accuracy`; none is on unless it is set.
It needs pytest, which the extra `testing` of ex4d-core brings.
"""

import os
import pkgutil

import pytest

# As the `ex4d` command does, before torch is imported: its waiting threads slow down a machine that is shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

pytest.register_assert_rewrite(*(module.name for module in pkgutil.iter_modules(__path__, f"{__name__}.")))

from ex4d_core.roles import ROLES  # noqa: E402  # after the line that rewrites the contracts
from ex4d_core.testing.contracts.backbone import BackboneContract  # noqa: E402
from ex4d_core.testing.contracts.command import CommandContract  # noqa: E402
from ex4d_core.testing.contracts.component import ComponentContract  # noqa: E402
from ex4d_core.testing.contracts.depth import DepthEstimatorContract  # noqa: E402
from ex4d_core.testing.contracts.mesh import MeshBuilderContract  # noqa: E402
from ex4d_core.testing.contracts.renderer import RendererContract  # noqa: E402
from ex4d_core.testing.contracts.trajectory import TrajectoryContract  # noqa: E402

CONTRACTS: dict[str, type[ComponentContract]] = {
    name: pkgutil.resolve_name(role.contract) for name, role in ROLES.items()
}
"""The contract of each role."""

__all__ = [
    "CONTRACTS",
    "BackboneContract",
    "CommandContract",
    "ComponentContract",
    "DepthEstimatorContract",
    "MeshBuilderContract",
    "RendererContract",
    "TrajectoryContract",
]
