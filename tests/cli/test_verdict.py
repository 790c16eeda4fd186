"""The first lines of `ex4d doctor`."""

import attrs
import pytest

from ex4d_core.cli import verdict as module
from ex4d_core.cli.doctor import Machine
from ex4d_core.cli.tables import listing
from ex4d_core.cli.verdict import verdict
from ex4d_core.hub.local import HubRepo
from ex4d_core.plugins.known import KnownPlugin
from tests.helpers.backbones import STEPWISE, plugins_with

CPU, SMALL, LARGE = (
    Machine(device_type="cpu"),
    Machine(device_type="cuda", gpu_bytes=6 * 2**30),
    Machine(device_type="cuda", gpu_bytes=24 * 2**30),
)
PREVIEW = attrs.evolve(STEPWISE, name="holes", preview=True, auto=90)


def absent(options):
    return [HubRepo(repo="nobody/has-this", revision="main", size=1_460_000_000)]


def unsized(options):
    return [*absent(options), HubRepo(repo="nobody/has-that", revision="main")]


MODEL = attrs.evolve(STEPWISE, name="model", auto=100, devices=("cuda",), gpu_memory=8, weights=f"{__name__}:absent")


@pytest.fixture(autouse=True)
def all_installed(monkeypatch):
    monkeypatch.setattr(module, "KNOWN_PLUGINS", ())


def generation(*providers, machine=CPU):
    """The sentence on backbones where only these are installed."""
    names = [provider.name for provider in providers]
    plugins = plugins_with(*providers)
    offers = tuple(offer for offer in plugins.offers if offer.role != "backbone" or offer.name in names)
    (line,) = [line for line in verdict(attrs.evolve(plugins, offers=offers), machine) if line.startswith("generation")]
    return line.removeprefix("generation: ")


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        (CPU, "preview only (holes, CPU); `ex4d fetch model` needs an NVIDIA GPU of 8 GB or more"),
        (
            SMALL,
            "preview only (holes, NVIDIA GPU); `ex4d fetch model` needs an NVIDIA GPU of 8 GB or more; this one has "
            "6 GB",
        ),
        (LARGE, "preview only (holes, NVIDIA GPU); `ex4d fetch model` (1.5 GB) makes model available"),
    ],
)
def test_a_preview_names_what_would_be_better_and_what_it_needs(machine, line):
    assert generation(PREVIEW, MODEL, machine=machine) == line


def test_what_works_here_comes_without_what_needs_a_gpu():
    small = attrs.evolve(MODEL, name="small", auto=95, devices=("cpu",), gpu_memory=0)
    assert "model" not in generation(PREVIEW, MODEL, small)
    assert "`ex4d fetch small` (1.5 GB)" in generation(PREVIEW, MODEL, small)


def test_a_size_of_which_a_part_is_unknown_is_left_out():
    provider = attrs.evolve(MODEL, weights=f"{__name__}:unsized")
    assert generation(PREVIEW, provider, machine=LARGE).endswith("`ex4d fetch model` makes model available")


def test_terms_of_results_are_named_before_the_download():
    line = generation(PREVIEW, attrs.evolve(MODEL, usage_terms="for academic use only"), machine=LARGE)
    assert "`ex4d fetch model` (1.5 GB; for academic use only) makes" in line


def test_requirements_come_before_weights():
    provider = attrs.evolve(MODEL, requires=("not_there",), install_hint=("pip install this",))
    line = generation(PREVIEW, provider, machine=LARGE)
    assert line.endswith("model requires not_there: `pip install this`")


def test_a_model_that_is_here_is_ready():
    assert generation(attrs.evolve(PREVIEW, preview=False)) == "ready (holes, CPU)"


def test_a_model_that_alone_is_installed_is_fetched_first():
    alone = attrs.evolve(MODEL, devices=("cpu",), gpu_memory=0, auto=100)
    assert generation(alone) == "not ready (model, CPU); type: ex4d fetch model"


@pytest.mark.parametrize(
    ("terms", "line"),
    [
        ("", "publishing and selling results: no restriction declared by "),
        ("for academic use only", "publishing and selling results: backbone holes: for academic use only"),
    ],
)
def test_the_last_line_is_on_the_terms_of_results(terms, line):
    assert verdict(plugins_with(attrs.evolve(PREVIEW, usage_terms=terms)), CPU)[-1].startswith(line)


def test_the_list_names_components_that_restrict_results():
    plugins = plugins_with(attrs.evolve(STEPWISE, name="strict", usage_terms="for academic use only"))
    text = [str(each) for each in listing(plugins)]
    assert any(each.startswith("these restrict the use of results: ") and "strict" in each for each in text)


def test_a_plugin_that_is_not_installed_is_named(monkeypatch):
    known = KnownPlugin(
        distribution="ex4d-other", folder="plugins/other", kind="backbone", names=("other",), gpu_memory=8
    )
    monkeypatch.setattr(module, "KNOWN_PLUGINS", (known,))
    monkeypatch.setattr(module, "where_to_get", lambda name, role: f"`{name}` is elsewhere")
    assert generation(PREVIEW).endswith("other, not installed, needs an NVIDIA GPU of 8 GB or more")
    assert generation(PREVIEW, machine=LARGE).endswith("`other` is elsewhere")
