"""The pinned versions can be used as constraints (`pip install -c`), as the documentation does."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", sorted(ROOT.glob("requirements*.txt")), ids=lambda file: file.name)
def test_pinned_versions_are_constraints(file):
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-r")]
    assert found
    assert [str(each) for each in found if each.extras] == []  # pip: "Constraints cannot have extras"
