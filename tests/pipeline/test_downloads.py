"""Sessions in Python download only on request; an interrupted download is one warning."""

import attrs
import pytest

import ex4d_core as ex4d
from ex4d_core.errors import Ex4dError
from ex4d_core.pipeline.downloads import download_weights
from ex4d_core.plugins.registry import Registry
from ex4d_core.progress import SilentReporter
from tests.helpers.estimators import FLAT, NET, NetOptions, with_estimators
from tests.helpers.hub_server import FILES, LARGE, ask_only, sha256

pytest.importorskip("huggingface_hub")


class Listener(SilentReporter):
    """Remembers warnings; progress can stop the work."""

    def __init__(self, stop=None):
        self.warnings, self._stop = [], stop

    def warn(self, text):
        self.warnings.append(text)

    def transfer(self, name):
        return _Stopping(self._stop)


@attrs.frozen
class _Stopping:
    stop: BaseException | None

    def __enter__(self):
        return self._progress

    def __exit__(self, *_):
        return None

    def _progress(self, done, total):
        if self.stop is not None and done > 2**20:
            raise self.stop


@pytest.fixture(autouse=True)
def hub(server, tmp_path, monkeypatch):
    ask_only(server, tmp_path / "hub", monkeypatch)
    server.slow = 1e-4  # answers arrive in parts
    return server


@pytest.fixture
def chosen():
    """Return the depth estimator that a session selects."""

    def choose(registry=None, **settings):
        session = ex4d.Session(device="cpu", registry=registry or Registry(with_estimators(FLAT, NET)), **settings)
        return session.choose("depth").offer.name

    return choose


def net():
    return Registry(with_estimators(NET)).find("depth", "net")


def test_a_session_downloads_nothing_by_itself(chosen, hub):
    assert chosen() == "flat"
    assert not hub.asked


def test_a_session_downloads_on_request(chosen):
    assert chosen(download="yes") == "net"
    assert chosen() == "net"  # its weights are here now


@pytest.mark.parametrize(("answer", "name"), [(True, "net"), (False, "flat")])
def test_a_program_can_ask_in_its_own_way(chosen, answer, name):
    asked = []
    assert chosen(consent=lambda offer: asked.append(offer.name) or answer) == name
    assert asked == ["net"]


@pytest.mark.parametrize("changed", [{"offer_download": None}, {"requires": ("no_such_module_anywhere",)}])
def test_only_a_declared_download_of_an_installed_component_is_offered(chosen, changed):
    registry = Registry(with_estimators(FLAT, attrs.evolve(NET, **changed)))
    assert chosen(registry, consent=lambda offer: pytest.fail("asked")) == "flat"


def test_other_weights_than_the_declared_ones_are_not_offered():
    registry = Registry(with_estimators(attrs.evolve(NET, auto=1)))
    session = ex4d.Session(device="cpu", registry=registry, depth={"model": "lab/large"}, download="yes")
    with pytest.raises(Ex4dError, match="lab/large"):
        session.choose("depth").identity()


def test_an_interrupted_download_is_one_warning_and_is_resumed(hub, tmp_path):
    listener = Listener(stop=KeyboardInterrupt())
    assert not download_weights(net(), NetOptions(), listener)
    assert listener.warnings == ["the download was interrupted; `ex4d fetch net` resumes it"]
    part = tmp_path / "hub" / "models--lab--net" / "blobs" / f"{sha256(FILES[LARGE])}.ex4d.incomplete"
    assert 0 < part.stat().st_size < len(FILES[LARGE])
    before = len(hub.asked)
    assert download_weights(net(), NetOptions(), Listener())
    assert any(asked.startswith("bytes=") for asked in hub.asked[before:])  # files arrive in any order


def test_a_signal_that_ends_the_program_does_so_during_a_download():
    from ex4d_core.command_exit import Stopped

    with pytest.raises(Stopped):
        download_weights(net(), NetOptions(), Listener(stop=Stopped(15)))
