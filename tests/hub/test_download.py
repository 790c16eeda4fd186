"""Weights come from the hub whole, go on where they stopped, and what goes wrong is said with the next step."""

import errno
import os
import shutil

import attrs
import pytest

from ex4d_core.cli.fetch_tables import plan_tables
from ex4d_core.errors import Cancelled, ComponentNotFound, DownloadFailed, InvalidConfig, InvalidInput, OutputFailed
from ex4d_core.hub.download import download
from ex4d_core.hub.local import HubRepo, WebFile, find_in_cache
from ex4d_core.plugins.discovery import Plugins
from ex4d_core.plugins.offers import CommandOffer, Offer, Source
from ex4d_core.plugins.registry import Registry
from ex4d_core.plugins.weights import make_plan, plan_for
from ex4d_core.progress import silent
from ex4d_core.provider import Command, Provider
from tests.helpers.hub_server import COMMIT, FILES, LARGE, REPO, ask_only, sha256

hub = pytest.importorskip("huggingface_hub")

WANTED = sum(len(data) for name, data in FILES.items() if not name.startswith("other"))


@attrs.frozen
class Options:
    repo: str = REPO
    revision: str = "main"
    patterns: tuple[str, ...] = ("config.json", "net/*")


def weights(options: Options) -> list[HubRepo]:
    return [HubRepo(repo=options.repo, revision=options.revision, patterns=options.patterns)]


def offer(
    role: str = "depth", name: str = "mine", weights: str = f"{__name__}:weights", options: type = Options
) -> Offer:
    provider = Provider(
        name=name, summary="s", license="MIT", component="nowhere:Class", options=options, weights=weights
    )
    source = Source(plugin=name, module="", distribution="mine-dist", version="1.0")
    return Offer(role=role, spec=provider, source=source)


@pytest.fixture
def cache(server, tmp_path, monkeypatch):
    """An empty cache for the hub's client, which talks to the server."""
    ask_only(server, tmp_path / "hub", monkeypatch)
    yield tmp_path / "hub"
    hub.close_session()


def fetch(progress=silent, **options):
    return download(make_plan(offer(), Options(**options)), progress)


def large_part(cache):
    return cache / "models--lab--net" / "blobs" / f"{sha256(FILES[LARGE])}.ex4d.incomplete"


def test_what_is_needed_arrives_and_nothing_else(cache):
    (folder,) = fetch()
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert there == {name: data for name, data in FILES.items() if not name.startswith("other")}
    assert find_in_cache(weights(Options())[0]) == folder
    assert list((cache / "models--lab--net" / "blobs").glob("*incomplete*")) == []


def test_the_plan_says_how_much_is_to_come(cache):
    plan = make_plan(offer(), Options())
    assert (plan.missing, plan.checkpoints[0].size, plan.checkpoints[0].commit) == (WANTED, WANTED, COMMIT)
    assert plan.free > 0
    assert not cache.exists()
    fetch()
    assert make_plan(offer(), Options()).missing == 0


def test_what_is_here_is_not_asked_for_again(cache, server):
    fetch()
    server.asked.clear()
    assert fetch() == [cache / "models--lab--net" / "snapshots" / COMMIT]
    assert server.asked == []


def test_progress_counts_the_bytes_that_are_missing(cache):
    told = []
    fetch(progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, WANTED)
    assert told[-1] == (WANTED, WANTED)
    assert told == sorted(told)


def test_a_cut_connection_is_taken_up_where_it_broke(cache, server):
    server.cut_after = [2**20, 2**20]
    (folder,) = fetch(patterns=(LARGE,))
    assert (folder / LARGE).read_bytes() == FILES[LARGE]
    assert server.asked == ["", f"bytes={2**20}-", f"bytes={2**21}-"]


def test_a_later_command_goes_on_in_the_middle_of_a_file(cache, server):
    large_part(cache).parent.mkdir(parents=True)
    large_part(cache).write_bytes(FILES[LARGE][: 2**21])
    assert make_plan(offer(), Options()).missing == WANTED - 2**21
    (folder,) = fetch(patterns=(LARGE,))
    assert (folder / LARGE).read_bytes() == FILES[LARGE]
    assert server.asked == [f"bytes={2**21}-"]


def test_a_server_that_sends_no_parts_sends_the_whole_again(cache, server):
    server.ranges = False
    large_part(cache).parent.mkdir(parents=True)
    large_part(cache).write_bytes(FILES[LARGE][: 2**21])
    told = []
    (folder,) = fetch(patterns=(LARGE,), progress=lambda done, total: told.append(done))
    assert (folder / LARGE).read_bytes() == FILES[LARGE]
    assert told[-1] == len(FILES[LARGE]) - 2**21


@pytest.mark.parametrize("start", [b"wrong" * 1000, b"x" * (len(FILES[LARGE]) + 1)], ids=["other bytes", "too long"])
def test_the_remains_of_something_else_do_no_harm_twice(cache, start):
    large_part(cache).parent.mkdir(parents=True)
    large_part(cache).write_bytes(start)
    if len(start) < len(FILES[LARGE]):
        with pytest.raises(DownloadFailed, match=r"model-1\.safetensors of lab/net arrived damaged"):
            fetch(patterns=(LARGE,))
    (folder,) = fetch(patterns=(LARGE,))
    assert (folder / LARGE).read_bytes() == FILES[LARGE]


def test_a_file_that_arrives_damaged_is_named_and_not_kept(cache, server):
    server.changed = {LARGE: bytes(len(FILES[LARGE]))}
    with pytest.raises(DownloadFailed, match=r"net/model-1\.safetensors of lab/net arrived damaged"):
        fetch()
    assert find_in_cache(weights(Options())[0]) is None
    server.changed = {}
    assert (fetch()[0] / LARGE).read_bytes() == FILES[LARGE]


@pytest.mark.parametrize("length", [1000, len(FILES[LARGE]) + 1])
def test_a_file_of_another_length_is_named_with_both(cache, server, length, monkeypatch):
    server.changed = {LARGE: bytes(length)}
    with pytest.raises(DownloadFailed, match=rf"model-1.safetensors of lab/net has {length} bytes instead of 3145"):
        fetch()


def test_a_small_file_of_another_length_is_named_too(cache, server):
    server.changed = {"config.json": b"{ }"}
    with pytest.raises(DownloadFailed, match=r"config.json of lab/net has 3 bytes instead of 2"):
        fetch()
    server.changed = {}
    assert (fetch()[0] / "config.json").read_bytes() == b"{}"


def test_a_damaged_file_in_the_cache_is_brought_again(cache):
    (folder,) = fetch()
    (folder / LARGE).resolve().write_bytes(b"half")
    assert make_plan(offer(), Options()).missing == len(FILES[LARGE])
    assert (fetch()[0] / LARGE).read_bytes() == FILES[LARGE]


def test_a_gated_repository_says_where_to_accept_its_terms(cache, server):
    server.gated = True
    with pytest.raises(DownloadFailed, match=rf"accept its terms at {server.url}/lab/net, run `hf auth login`"):
        fetch()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repo": "lab/nut"}, "lab/nut was not found, or access is restricted; check the name"),
        ({"revision": "v9"}, "lab/net has no revision 'v9'; use one of its commits, tags or branches"),
        ({"patterns": ("config.json", "vae/*")}, r"lab/net \(main\) has no file vae/\* on the hub"),
    ],
)
def test_names_that_the_hub_does_not_know_are_said(cache, options, message):
    with pytest.raises(DownloadFailed, match=message):
        fetch(**options)


def test_without_a_network_it_says_so(cache, server, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DownloadFailed, match=r"the hub .http://127.0.0.1:1. cannot be reached for lab/net: .*refused"):
        fetch()


def test_offline_mode_is_named(cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadFailed, match="because HF_HUB_OFFLINE is set; unset it"):
        fetch()


def test_a_disk_with_too_little_room_is_refused_before_the_start(cache, server, monkeypatch):
    usage = shutil.disk_usage(cache.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputFailed, match=r"0.0 GB free; .* HF_HOME=/another/disk ex4d fetch mine"):
        fetch()
    assert server.asked == []


def test_a_disk_that_fills_up_is_said(cache, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ex4d_core.hub.resume._Written.add", full)
    with pytest.raises(OutputFailed, match=r"the disk of .*hub is full; .*resumes the download"):
        fetch(patterns=(LARGE,))


def test_a_cache_that_cannot_be_written_is_named(cache):
    cache.mkdir()
    (cache / "models--lab--net").write_text("in the way")
    with pytest.raises(OutputFailed, match=r"models--lab--net.* cannot be written: "):
        fetch(patterns=(LARGE,))


def test_stopping_keeps_what_has_arrived(cache, server):
    server.slow = 0.01

    def stop(done, total):
        if done > 2**20:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        fetch(progress=stop)
    assert 2**19 < large_part(cache).stat().st_size < 2**21


def test_a_file_that_fails_stops_those_that_are_on_their_way(cache, server):
    server.slow = 0.1
    server.files["net/refused.safetensors"] = b"short"
    server.changed = {"net/refused.safetensors": b"other"}
    with pytest.raises(DownloadFailed, match=r"refused\.safetensors of lab/net arrived damaged"):
        fetch()
    assert large_part(cache).stat().st_size < len(FILES[LARGE])


@pytest.mark.parametrize(("role", "name"), [("renderer", "zbuffer"), ("depth", "file")])
def test_a_component_without_weights_says_so(role, name):
    with pytest.raises(InvalidInput, match=f"the {role} '{name}' has no weights to download"):
        plan_for(name)


def test_an_option_of_another_role_is_refused(cache):
    registry = Registry(Plugins(offers=(offer(),), problems=()))
    with pytest.raises(InvalidConfig, match="unknown option backbone; known: depth"):
        plan_for("mine", ["backbone.repo=lab/other"], registry=registry)


def test_terms_of_the_weights_that_were_chosen_are_in_the_plan(cache):
    @attrs.frozen
    class WithTerms(Options):
        def usage_terms(self) -> str:
            return f"read the license of {self.repo}"

    assert make_plan(offer(options=WithTerms), WithTerms()).usage_terms == "read the license of lab/net"
    assert make_plan(offer(), Options()).usage_terms == ""


def test_an_unknown_component_names_the_nearest():
    with pytest.raises(ComponentNotFound, match="unknown component 'zbufer'; did you mean 'zbuffer'"):
        plan_for("zbufer")


def test_a_name_that_two_roles_have_is_told_apart(cache):
    registry = Registry(Plugins(offers=(offer("depth"), offer("backbone")), problems=()))
    with pytest.raises(InvalidConfig, match=r"several roles have a component 'mine'; use .*depth\.mine"):
        plan_for("mine", registry=registry)
    assert plan_for("backbone.mine", registry=registry).offer.role == "backbone"


def test_the_users_folders_are_left_out(cache, tmp_path):
    registry = Registry(Plugins(offers=(offer(),), problems=()))
    plan = plan_for("mine", [f"depth.repo={tmp_path}"], registry=registry)
    assert plan.checkpoints == ()
    assert list(plan_tables(plan)) == ["depth mine: all weights are local folders; nothing to download"]


def on_the_web(server):
    """Files that the same server has, as if it was any other."""
    data = FILES[LARGE]
    file = WebFile(path="net.pth", url=f"{server.url}/{REPO}/resolve/main/{LARGE}", size=len(data), sha256=sha256(data))
    return HubRepo(repo="example.org/net", revision="v1", patterns=("net.pth",), web=(file,))


@pytest.fixture
def command(monkeypatch, server):
    """A command with weights that are not on the hub."""
    monkeypatch.setattr(f"{__name__}.web_weights", lambda: [on_the_web(server)], raising=False)
    spec = Command(name="judge", summary="s", app="nowhere:app", license="MIT", weights=f"{__name__}:web_weights")
    offered = CommandOffer(spec=spec, source=Source(plugin="judge", module="", distribution="d", version="1"))
    return Registry(Plugins(offers=(), commands=(offered,), problems=()))


def test_files_outside_of_the_hub_are_fetched_into_its_cache(cache, server, command, monkeypatch):
    sent = []
    stream = hub.get_session().stream
    monkeypatch.setattr(hub.get_session(), "stream", lambda *a, **k: sent.append(k["headers"]) or stream(*a, **k))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    plan = plan_for("judge", registry=command)
    assert (plan.missing, sent) == (len(FILES[LARGE]), [])  # no listing is asked for
    assert "license: MIT" in list(plan_tables(plan))
    (folder,) = download(plan, silent)
    assert (folder / "net.pth").read_bytes() == FILES[LARGE]
    assert find_in_cache(on_the_web(server)) == folder
    assert [list(headers) for headers in sent] == [["Accept-Encoding"]]  # and no token
    assert plan_for("judge", registry=command).missing == 0


def test_a_damaged_file_of_the_web_is_refused(cache, server, command):
    server.changed = {LARGE: FILES[LARGE][:-1] + b"?"}
    with pytest.raises(DownloadFailed, match=r"net.pth of example.org/net arrived damaged"):
        download(plan_for("judge", registry=command), silent)
    assert find_in_cache(on_the_web(server)) is None


def test_a_server_of_the_web_that_refuses_is_named(cache, server, command):
    plan = plan_for("judge", registry=command)
    del server.files[LARGE]
    with pytest.raises(DownloadFailed, match=r"127.0.0.1:\d+ answers 404; check the network, the same command resumes"):
        download(plan, silent)


def test_weights_of_a_command_have_no_options(command):
    with pytest.raises(InvalidConfig, match="the command 'judge' do not depend on options; remove --set"):
        plan_for("judge", ["depth.repo=x"], registry=command)
