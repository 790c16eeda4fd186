"""How processes share the tests: what belongs together stays together, and the longest comes first."""

from pathlib import Path

import pytest

pytest.importorskip("xdist")

from tests.helpers.units import UNITS, UnitScheduling, rank

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", [path for unit in UNITS for path in unit])
def test_each_is_there(path):
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


def test_files_of_a_unit_are_for_one_process_and_others_for_any():
    unit_of = UnitScheduling.__new__(UnitScheduling)._split_scope
    (first, second) = next(unit for unit in UNITS if len(unit) == 2 and all(path.endswith(".py") for path in unit))
    assert unit_of(f"{first}::test_a") == unit_of(f"{second}::TestB::test_c[d::e]")
    assert unit_of("tests/test_names.py::test_a") == "tests/test_names.py"
    assert rank(f"{first}::test_a") == rank(f"{second}::test_b") < rank("tests/test_names.py::test_a")
