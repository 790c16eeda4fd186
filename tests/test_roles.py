"""The record of a role fits everything else that a role consists of."""

from importlib.resources import files

import attrs
import pytest

from ex4d_core import hookspecs
from ex4d_core.config.run_config import ComponentConfig, RunConfig
from ex4d_core.roles import ROLES
from ex4d_core.testing.contracts import CONTRACTS


def test_roles_are_found_by_their_names():
    assert [role.name for role in ROLES.values()] == list(ROLES)


@pytest.mark.parametrize("role", ROLES.values(), ids=list(ROLES))
def test_a_role_has_a_hook_a_table_a_contract_and_a_template(role):
    assert hasattr(hookspecs, role.hook)
    assert isinstance(getattr(RunConfig(), role.name), ComponentConfig)
    assert CONTRACTS[role.name].role == role.name
    assert (files("ex4d_core.plugins") / "templates" / role.name).is_dir()
    assert role.example_usage.count("{}") == 1


def test_a_configuration_has_no_table_of_a_component_without_a_role():
    tables = [field.name for field in attrs.fields(RunConfig) if isinstance(field.default, ComponentConfig)]
    assert tables == list(ROLES)
