"""Contracts: tests that every component of a role must pass. Derive a class that names the component.

    from ex4d_core.testing.contracts import DepthEstimatorContract

    class TestMine(DepthEstimatorContract):
        name = "mine"

        @pytest.fixture
        def settings(self, tmp_path):
            return {"model": str(tiny_checkpoint(tmp_path))}

Switches, such as `accuracy`, claim properties beyond the requirements of the role; they are off by default.
Requires pytest, which the extra `testing` of ex4d-core installs.
"""

import pkgutil

import pytest

pytest.register_assert_rewrite(*(module.name for module in pkgutil.iter_modules(__path__, f"{__name__}.")))

from ex4d_core.roles import ROLES  # noqa: E402  # after the registration for assert rewriting
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
