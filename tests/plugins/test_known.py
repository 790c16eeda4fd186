"""The table of known plugins is that of the repository, and a name in it is answered with an install command."""

import importlib.metadata
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from ex4d_core.errors import ComponentNotFound
from ex4d_core.plugins import known
from ex4d_core.plugins.discovery import find_plugins
from ex4d_core.plugins.known import KNOWN_PLUGINS, where_to_get
from ex4d_core.plugins.registry import Registry

ROOT = Path(__file__).parents[2]
INSTALL = f"-m pip install -c {ROOT}/requirements-dev.txt {ROOT}/plugins"


@pytest.fixture
def without(monkeypatch, tmp_path):
    """Make an environment without a plugin, which is not activated and seen from another folder."""

    def make(plugin):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", "")
        found, metadata = find_plugins(disabled=[plugin]), importlib.metadata.distribution

        def distribution(name):
            if name == plugin:
                raise importlib.metadata.PackageNotFoundError(name)
            return metadata(name)

        monkeypatch.setattr(known.importlib.metadata, "distribution", distribution)
        for module in ("plugins.registry", "plugins.discovery", "jobs.executors"):
            monkeypatch.setattr(f"ex4d_core.{module}.find_plugins", lambda: found)
        return Registry(found)

    return make


def test_the_table_is_that_of_the_repository():
    projects = {
        tomllib.loads(file.read_text())["project"]["name"]: str(file.parent.relative_to(ROOT))
        for file in ROOT.glob("plugins/*/pyproject.toml")
    }
    offered, plugins = defaultdict(set), find_plugins(disabled=())
    for offer in (*plugins.offers, *plugins.commands, *plugins.executors):
        if offer.source.distribution in projects:
            offered[offer.source.distribution, offer.kind].add(offer.name)
    memory = {offer.source.distribution: offer.spec.gpu_memory for offer in plugins.offers}
    assert [p.names for p in KNOWN_PLUGINS if p.gpu_memory != memory.get(p.distribution, 0)] == []
    table = {(plugin.distribution, plugin.kind): set(plugin.names) for plugin in KNOWN_PLUGINS}
    assert table == offered
    assert {plugin.distribution: plugin.folder for plugin in KNOWN_PLUGINS} == projects


@pytest.mark.parametrize(
    ("words", "name", "distribution", "folder"),
    [
        (("train",), "train", "ex4d-training", "training"),
        (("batch", "run", "m.csv", "--ray", "local"), "ray", "ex4d-cluster-ray", "cluster_ray"),
        (("data", "prepare"), "data", "ex4d-training", "training"),
        (("view", "outputs/clip"), "view", "ex4d-viewer", "viewer"),
        (("app",), "app", "ex4d-web", "web"),
        (("fetch", "wan"), "wan", "ex4d-backbone-wan", "backbone_wan"),
        (("plugins", "show", "train"), "train", "ex4d-training", "training"),
        (("run", "CLIP", "--depth", "depthcrafter"), "depthcrafter", "ex4d-depth-depthcrafter", "depth_depthcrafter"),
        (("run", "CLIP", "--backbone", "wan"), "wan", "ex4d-backbone-wan", "backbone_wan"),
        (("run", "CLIP", "--renderer", "nvdiffrast"), "nvdiffrast", "ex4d-render-nvdiffrast", "render_nvdiffrast"),
        (("run", "CLIP", "--cam", "orbit:yaw=20"), "orbit", "ex4d-trajectories", "trajectories"),
        (("run", "CLIP", "--cam", "-30"), "-30", "ex4d-trajectories", "trajectories"),
        (("run", "CLIP", "--cam", "-90..90"), "-90..90", "ex4d-trajectories", "trajectories"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_known_plugin_is_answered_with_its_install_command(
    ex4d, without, small_clip, words, name, distribution, folder
):
    without(distribution)
    depth = ("--depth-file", small_clip.depth) if "CLIP" in words and "--depth" not in words else ()
    code, _, err = ex4d(*(small_clip.video if word == "CLIP" else word for word in words), *depth)
    assert code == 2
    sentence = f"`{name}` is in {distribution}, which is not installed; type: {sys.executable} {INSTALL}/{folder}\n"
    assert sentence in err


def test_a_misspelled_name_suggests_a_known_one(without):
    with pytest.raises(ComponentNotFound, match="unknown depth estimator 'depthcrofter'; did you mean 'depthcrafter'"):
        without("ex4d-depth-depthcrafter").find("depth", "depthcrofter")


def test_without_a_checkout_the_plugin_is_installed_by_name(without, monkeypatch, tmp_path):
    without("ex4d-viewer")
    monkeypatch.setattr(known, "_CHECKOUT", tmp_path)
    assert where_to_get("view", "command").endswith(f"; type: {sys.executable} -m pip install ex4d-viewer")


def test_the_commands_are_short_in_the_checkout_with_its_environment_activated(without, monkeypatch):
    without("ex4d-viewer")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("shutil.which", lambda name: str(Path(sys.executable).parent / name))
    command = "pip install -c ./requirements-dev.txt ./plugins/viewer"
    assert where_to_get("view", "command") == f"`view` is in ex4d-viewer, which is not installed; type: {command}"


def test_a_disabled_plugin_is_said_to_be_disabled(monkeypatch):
    monkeypatch.setenv("EX4D_DISABLE_PLUGINS", "other, viewer")
    sentence = "`view` is in ex4d-viewer, which the variable EX4D_DISABLE_PLUGINS disables"
    assert where_to_get("view", "command") == sentence
    assert where_to_get("train", "command") == ""
    assert where_to_get("view", "depth") == ""
