"""What users get: wheels that work without the checkout, and new plugins that work beside them."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from email import message_from_string
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from ex4d_core.roles import ROLES
from tests.helpers.fresh_environment import ROOT, build_wheels, projects

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder far from the checkout."""
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def wheels(fresh):
    """Every wheel by its distribution's name."""
    return {path.name.partition("-")[0].replace("_", "-"): ZipFile(path) for path in fresh.wheels.iterdir()}


def test_what_runs_there_is_not_the_checkout(fresh, desk):
    names = "ex4d_core", "ex4d_trajectories", "typer_cli"
    done = fresh.run(
        "python", "-c", f"import {', '.join(names)}; print({'.__file__, '.join(names)}.__file__)", cwd=desk
    )
    assert done.returncode == 0, done.stderr
    assert [str(fresh.folder / "lib") in path for path in done.stdout.split()] == [True] * 3
    path = fresh.run("python", "-c", "import sys; print(sys.path)", cwd=desk).stdout
    assert str(ROOT / "plugins") not in path
    assert f"'{ROOT}'" not in path


def test_every_project_has_a_wheel(wheels):
    assert len(wheels) == len(projects())


def test_the_cores_wheel_holds_all_that_it_needs_and_no_tests(wheels):
    names = wheels["ex4d-core"].namelist()
    assert {"typer_cli.py", "ex4d_core/py.typed", "ex4d_core/testing/contracts/depth.py"} < set(names)
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "ex4d_core/plugins/templates").rglob("*.template")}
    assert templates < set(names)
    tops = {name.partition("/")[0] for name in names}
    (facts,) = [name for name in tops if name.endswith(".dist-info")]
    assert tops == {"typer_cli.py", "ex4d_core", facts}
    assert templates


def test_each_wheel_says_its_license_and_what_it_needs(wheels):
    for name, wheel in wheels.items():
        (info,) = [entry for entry in wheel.namelist() if entry.endswith(".dist-info/METADATA")]
        said = message_from_string(wheel.read(info).decode())
        needs = [Requirement(text) for text in said.get_all("Requires-Dist")]
        core = [need for need in needs if need.name == "ex4d-core"]
        assert said["License-Expression"] == "Apache-2.0", name
        assert [entry for entry in wheel.namelist() if re.search(r"\.dist-info/licenses/LICENSE$", entry)], name
        assert said.get_payload().startswith("# ex4d"), name
        assert len(core) == (name != "ex4d-core"), name
        assert all(need.specifier for need in needs if need.name != "ex4d-core" or not need.extras), name
        assert not [entry for entry in wheel.namelist() if re.search(r"(^|/)(tests/|test_).*\.py$", entry)], name
        assert [entry for entry in wheel.namelist() if entry.endswith("/py.typed")], name


def test_the_example_runs_there(fresh, desk):
    shutil.copytree(ROOT / "examples" / "room", desk / "room")
    words = ("run", "room/clip.mp4", "--depth-file", "room/depth.npz", "--cam", "30", "--json")
    done = fresh.run("ex4d", *words, "--num-frames", "3", "--size", "64x64", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["error"] is None
    assert (desk / "outputs" / "clip" / "result_30.mp4").is_file()


@pytest.fixture(scope="module")
def made(fresh, desk):
    """A new plugin for each role, made, installed and tested there; the state of each of its tests by role."""
    make = "; ".join(f"app(['plugins', 'new', 'fresh', '--role', '{role}'], standalone_mode=False)" for role in ROLES)
    done = fresh.run("python", "-c", f"from typer_cli import app; {make}", cwd=desk)  # one process, for speed
    assert done.returncode == 0, done.stderr
    folders = [desk / f"ex4d-{role}-fresh" for role in ROLES]
    fresh.install(*build_wheels(desk / "wheels", folders))
    flags = ["-q", "-p", "no:cacheprovider", "--rootdir=.", "--import-mode=importlib", "--junit-xml=tests.xml"]
    done = fresh.run("pytest", *flags, *folders, cwd=desk)
    assert done.returncode == 0, done.stdout
    states = {role: [] for role in ROLES}
    for case in ElementTree.parse(desk / "tests.xml").iter("testcase"):
        (role,) = [role for role in ROLES if f"ex4d-{role}-fresh" in case.get("classname")]
        states[role].append(next((child.tag for child in case), "passed"))
    return states


@pytest.mark.parametrize("role", ROLES)
def test_a_new_plugin_passes_its_contract_there(made, role):
    assert made[role].count("passed") > 15
    assert set(made[role]) <= {"passed", "skipped"}


def test_new_plugins_are_listed_there(fresh, desk, made):
    done = fresh.run("ex4d", "plugins", "list", "--json", cwd=desk)
    told = json.loads(done.stdout)
    found = {(c["role"], c["distribution"]) for c in told["components"] if c["name"] == "fresh"}
    assert found == {(role, f"ex4d-{role}-fresh") for role in ROLES}
    assert told["problems"] == []
