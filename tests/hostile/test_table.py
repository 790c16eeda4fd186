"""Hostile inputs: each command ends with the right exit code and a sentence, and touches nothing but its output."""

from __future__ import annotations

import re

import pytest

from .table import all_rows, sample

pytestmark = pytest.mark.slow


def test_a_sample_of_hostile_inputs_ends_in_sentences(bench):
    faults = [fault for row in sample(bench.inputs) for fault in bench.try_row(row)]
    assert [str(fault) for fault in faults] == []


@pytest.mark.many
def test_every_hostile_input_ends_in_a_sentence(bench, tally, pytestconfig):
    wanted = re.compile(pytestconfig.getoption("--rows"))
    rows = [row for row in all_rows(bench.inputs) if wanted.search(row.name)]
    faults = [fault for row in rows for fault in bench.try_row(row)]
    tally.add_rows(len(rows), faults)
    assert not faults, "\n".join(f"{fault.row.area}: {fault}" for fault in faults)
