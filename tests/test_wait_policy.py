"""Threads of torch do not spin in Python programs either."""

import os
import subprocess
import sys

import pytest

import ex4d_core

SET = "print(os.environ.get('OMP_WAIT_POLICY'))"
FEW = "os.sched_getaffinity = lambda pid: {0, 1}; sys.modules['torch'] = sys; "


@pytest.mark.parametrize(
    ("before", "given", "after", "warns"),
    [("", {}, "PASSIVE", False), ("", {"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE", False), (FEW, {}, "None", True)],
)
def test_importing_ex4d_sets_the_wait_policy_unless_it_is_too_late(before, given, after, warns):
    env = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"} | given
    code = f"import os, sys; {before}import ex4d_core; {SET}"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == after
    assert ("torch was imported before ex4d_core" in done.stderr) == warns


@pytest.mark.parametrize(("quota", "cores"), [("150000 100000", 2), ("max 100000", 64), (None, 64)])
def test_a_container_has_the_cores_of_its_quota(tmp_path, monkeypatch, quota, cores):
    if quota:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(ex4d_core, "_CPU_QUOTA", str(tmp_path / "cpu.max"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert ex4d_core._num_cores() == cores
