"""What `ex4d doctor` says of each GPU."""

from types import SimpleNamespace

import attrs
import pytest
import torch

from ex4d_core.cli.doctor import examine
from ex4d_core.hub.local import HubRepo
from ex4d_core.plugins.offers import CommandOffer, Source
from ex4d_core.provider import Command
from tests.helpers.backbones import STEPWISE, plugins_with

GIB = 2**30


def advise(gpu_bytes):
    return [f"--gpu-memory {gpu_bytes // GIB} fits", "a video takes 40 s"]


def stumble(gpu_bytes):
    raise KeyError("H900")


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    sizes = {0: 24 * GIB, 1: 8 * GIB}
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(name="Card", total_memory=sizes[index])
    )


def findings(*providers):
    """What is said of each GPU, and of it for the providers; components that are installed have advice of their own."""
    heads = [head for gpu in ("cuda:0", "cuda:1") for head in (gpu, *(f"{gpu} {each.name}" for each in providers))]
    return [(found.what, found.state) for found in examine(plugins_with(*providers)) if found.what in heads]


@pytest.mark.usefixtures("two_gpus")
def test_components_say_what_each_gpu_will_do_for_them():
    assert findings(attrs.evolve(STEPWISE, gpu_hints=f"{__name__}:advise")) == [
        ("cuda:0", "Card, 24 GiB"),
        ("cuda:0 stepwise", "--gpu-memory 24 fits"),
        ("cuda:0 stepwise", "a video takes 40 s"),
        ("cuda:1", "Card, 8 GiB"),
        ("cuda:1 stepwise", "--gpu-memory 8 fits"),
        ("cuda:1 stepwise", "a video takes 40 s"),
    ]


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("advice", "says"),
    [
        (f"{__name__}:stumble", "the backbone 'stepwise' has no hints for this GPU: KeyError: 'H900'"),
        ("nowhere_at_all:advise", "could not be loaded: ModuleNotFoundError"),
    ],
)
def test_advice_that_fails_is_said_and_the_rest_goes_on(advice, says):
    found = dict(findings(attrs.evolve(STEPWISE, gpu_hints=advice)))
    assert says in found["cuda:0 stepwise"]
    assert found["cuda:1"] == "Card, 8 GiB"


def wanted(options):
    return [HubRepo(repo="nobody/has-this", revision="main")]


def test_weights_that_are_not_here_are_said_with_the_command():
    plugins = plugins_with(attrs.evolve(STEPWISE, weights=f"{__name__}:wanted"))
    (found,) = [found for found in examine(plugins) if found.what == "backbone stepwise"]
    assert found.state.startswith("weights not downloaded")
    assert found.fix == "ex4d fetch stepwise"


def wanted_by_a_command():
    return [HubRepo(repo="nobody/has-this", revision="main", size=5 * 10**6)]


def test_weights_of_commands_are_said_too():
    spec = Command(
        name="judge", summary="s", app="nowhere:app", license="MIT", weights=f"{__name__}:wanted_by_a_command"
    )
    offered = CommandOffer(spec=spec, source=Source(plugin="p", module="", distribution="d", version="1"))
    (found,) = [each for each in examine(attrs.evolve(plugins_with(), commands=(offered,))) if "judge" in each.what]
    assert (found.state, found.fix) == ("weights not downloaded (5 MB); license: MIT", "ex4d fetch judge")
    assert found.level == "fine"  # the command works without


@pytest.mark.usefixtures("two_gpus")
def test_components_without_advice_say_nothing():
    assert findings(STEPWISE) == [("cuda:0", "Card, 24 GiB"), ("cuda:1", "Card, 8 GiB")]


@attrs.frozen
class MustBeSaid:
    repo: str


def stumbles(options):
    raise KeyError("model")


def test_weights_that_depend_on_options_are_said():
    plugins = plugins_with(attrs.evolve(STEPWISE, weights=f"{__name__}:wanted", options=MustBeSaid))
    (found,) = [found for found in examine(plugins) if found.what == "backbone stepwise"]
    assert found.state == "weights depend on required options: repo"
    assert found.fix == "ex4d plugins show stepwise"


def test_a_plugin_that_cannot_name_its_weights_is_told_and_the_rest_goes_on():
    plugins = plugins_with(attrs.evolve(STEPWISE, weights=f"{__name__}:stumbles"))
    (found,) = [found for found in examine(plugins) if found.what == "backbone stepwise"]
    assert found.state.startswith("the backbone 'stepwise' cannot list its weights: unexpected KeyError: 'model'")
    assert found.fix == "pip install --upgrade tests"


def test_a_disk_that_cannot_be_read_and_a_card_that_cannot_be_used_are_said(two_gpus, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    def refuse(index):
        raise RuntimeError("the driver is too old")

    monkeypatch.setattr("shutil.disk_usage", fail)
    monkeypatch.setattr(torch.cuda, "get_device_properties", refuse)
    found = {found.what: found.state for found in examine(plugins_with())}
    assert found["disk"] == "cannot read the free space: Input/output error"
    assert found["cuda:1"] == "cannot be used: RuntimeError: the driver is too old"


@pytest.mark.parametrize("exists", [True, False])
def test_libraries_without_bytecode_are_told_with_the_command(monkeypatch, tmp_path, exists):
    monkeypatch.setattr(torch.__spec__, "cached", str(bytecode := tmp_path / "torch.pyc"))
    if exists:
        bytecode.touch()
    found = [finding for finding in examine(plugins_with(), device_type="cpu") if finding.what == "bytecode"]
    assert [(each.level, each.fix.split()[-4:-1]) for each in found] == [("note", ["-m", "compileall", "-q"])] * (
        not exists
    )
