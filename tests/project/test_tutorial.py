"""The tutorial's commands work for somebody who has wheels and a checkout, and its code is the example's."""

import re
import subprocess

import pytest

from tests.helpers.fresh_environment import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "tutorial_plugin.md").read_text()
EXAMPLE = ROOT / "examples" / "third_party_plugin"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def followed(fresh, tmp_path_factory):
    """The folder in which the tutorial was followed, and what came of it."""
    desk = tmp_path_factory.mktemp("tutorial")
    (desk / "ex4d").symlink_to(ROOT)
    commands = [line for block in blocks("sh") for line in block.splitlines() if not line.startswith("twine ")]
    script = "\n".join(["set -euo pipefail", *commands])
    done = subprocess.run(["bash", "-c", script], cwd=desk, env=fresh.variables(), capture_output=True, text=True)
    yield desk / "ex4d-depth-stereo", done
    fresh.remove("ex4d-depth-stereo")


def test_every_command_works(followed):
    _, done = followed
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_the_wheel_and_the_video_are_there(followed):
    folder, _ = followed
    assert [path.name for path in (folder / "dist").iterdir()] == ["ex4d_depth_stereo-0.1.0-py3-none-any.whl"]
    assert (folder / "outputs" / "left" / "result_20.mp4").is_file()


def test_only_publishing_is_not_run():
    assert [line for block in blocks("sh") for line in block.splitlines() if line.startswith("twine ")] == [
        "twine upload dist/*"
    ]


@pytest.mark.parametrize("block", blocks("py"))
def test_the_code_is_the_examples(block):
    assert any(block in path.read_text() for path in EXAMPLE.glob("src/*/*.py"))
