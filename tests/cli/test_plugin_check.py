"""`ex4d plugins check`: the contracts of what is installed, from the command line."""

import json

import attrs
import numpy as np
import pytest

from ex4d_core.plugins import discovery as plugins_module
from ex4d_core.plugins.discovery import Plugins, Problem
from ex4d_core.plugins.offers import Source
from ex4d_core.plugins.registry import Registry
from ex4d_core.testing.contracts._values import room
from ex4d_core.testing.runner import run_contract
from tests.helpers import wrong_components as wrong
from tests.testing.test_contract_kit import offer_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_what_was_before")]

BROKEN = Problem(
    source=Source(plugin="sad", module="", distribution="sad", version="1"),
    error="it is broken",
    next_step="pip install sad",
)


@pytest.fixture
def installed(monkeypatch):
    """Pretend that this is what is installed."""

    def say(*offers, problems=()):
        found = Plugins(offers=offers, problems=tuple(problems))
        monkeypatch.setattr(plugins_module, "find_plugins", lambda: found)

    return say


def test_a_component_that_keeps_its_contract_passes(ex4d):
    code, out, _ = ex4d("plugins", "check", "static")
    assert code == 0
    assert "passed" in out
    assert "failed" not in out


def test_a_component_that_does_not_fails_with_what_came_instead(ex4d, installed):
    installed(offer_of("trajectory", wrong.PathUpsideDown))
    code, out, _ = ex4d("plugins", "check", "wrong")
    assert code == 1
    assert "camera is never upside down" in out


def test_a_result_of_the_wrong_form_is_described(ex4d, installed):
    installed(offer_of("depth", wrong.DepthOfAnotherSize))
    _, out, _ = ex4d("plugins", "check", "wrong")
    assert "depth is [4, 47, 64] and the frames are [4, 48, 64]" in out.partition("failure")[2]


class Crashing(wrong.Brightness):
    def estimate(self, video, *, progress):
        return {}["horse"]


def test_a_crash_is_one_row_and_failures_come_first(ex4d, installed, monkeypatch):
    monkeypatch.setattr(wrong, "Crashing", Crashing, raising=False)
    Crashing.__module__ = wrong.__name__
    installed(Registry().find("trajectory", "static"), offer_of("depth", Crashing))
    code, out, _ = ex4d("plugins", "check")
    failures, _, components = out.partition("contracts")
    assert code == 1
    assert failures.count("KeyError: 'horse' (test_plugin_check.py:") == 1
    assert "result has the required form; also " in failures
    assert components.index("failed") < components.index("passed")


def test_the_json_names_each_test(ex4d, installed):
    installed(offer_of("trajectory", wrong.PathUpsideDown))
    code, out, _ = ex4d("plugins", "check", "wrong", "--json")
    told = json.loads(out)
    (component,) = told["components"]
    failed = [test for test in component["tests"] if test["state"] == "failed"]
    assert code == 1
    assert told["good"] is False
    assert [test["test"] for test in failed] == ["test_camera_is_never_upside_down"]
    assert "in frame 23: y points down" in failed[0]["reason"]


def test_a_contract_of_its_own_brings_options_and_claims(ex4d):
    code, out, _ = ex4d("plugins", "check", "file", "--json")
    states = {test["test"]: test["state"] for test in json.loads(out)["components"][0]["tests"]}
    assert code == 0
    assert states["test_depth_is_as_accurate_as_claimed"] == "passed"


@pytest.mark.parametrize(
    ("contract", "reason"),
    [
        ("no_such_module:Contract", "No module named 'no_such_module'"),
        (f"{wrong.__name__}:Rightward", "must be a class that derives from TrajectoryContract"),
    ],
)
def test_a_contract_that_cannot_be_run_fails_the_check(ex4d, installed, contract, reason):
    installed(offer_of("trajectory", wrong.Rightward, contract=contract))
    code, out, _ = ex4d("plugins", "check", "wrong", "--json")
    (test,) = json.loads(out)["components"][0]["tests"]
    assert (code, test["test"], test["state"]) == (1, "test_its_contract_can_be_run", "failed")
    assert reason in test["reason"]


def test_a_device_that_is_not_here_is_said(ex4d):
    code, _, err = ex4d("plugins", "check", "static", "--device", "cuda:77")
    assert code == 2
    assert "device 'cuda:77' is not available" in err


def test_options_that_must_be_given_are_asked_for_and_taken(ex4d, installed, tmp_path):
    file = Registry().find("depth", "file")
    installed(attrs.evolve(file, spec=attrs.evolve(file.spec, contract="")))
    code, _, err = ex4d("plugins", "check", "file")
    assert code == 2
    assert "--set depth.path=" in err
    np.save(tmp_path / "depth.npy", room(4).depth.depth.numpy())
    code, out, _ = ex4d("plugins", "check", "file", "--set", f"depth.path={tmp_path / 'depth.npy'}", "--json")
    (component,) = json.loads(out)["components"]
    assert code == 0
    assert component["state"] == "passed"


def test_what_lacks_something_is_passed_over_when_all_are_checked(ex4d, installed):
    good = offer_of("trajectory", wrong.Rightward)
    lacking = offer_of("depth", wrong.Brightness, requires=("not_there",))
    installed(good, lacking)
    code, out, _ = ex4d("plugins", "check")
    assert code == 0
    assert "not checked" in out
    assert "pip install not_there" in out


def test_a_broken_plugin_fails_the_check(ex4d, installed):
    installed(problems=[BROKEN])
    code, out, _ = ex4d("plugins", "check", "sad")
    assert code == 1
    assert "try: pip install sad" in out


def test_a_name_that_nothing_has_is_said(ex4d):
    code, _, err = ex4d("plugins", "check", "zbufer")
    assert code == 2
    assert "did you mean 'zbuffer'?" in err


def test_the_users_settings_for_pytest_are_not_read(monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-flag")
    report = run_contract(offer_of("trajectory", wrong.Rightward))
    assert report.count("failed") == 0
    assert report.count("passed") > 10
