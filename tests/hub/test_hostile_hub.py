"""A hub that lies: whatever it answers, nothing outside of the cache is touched and one sentence says what is wrong."""

import copy
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ex4d_core.errors import DownloadFailed, Ex4dError, OutputFailed
from ex4d_core.hub.download import download, look_up
from ex4d_core.hub.listing import MOST_SIZE
from ex4d_core.hub.local import HubRepo, find_in_cache
from ex4d_core.progress import silent
from tests.helpers.hub_server import COMMIT, FILES, LARGE, REPO, ask_only, blob_id, sha256

hub = pytest.importorskip("huggingface_hub")

ALL = HubRepo(repo=REPO, revision="main", patterns=("config.json", "net/*"))
SMALL = "config.json"


@pytest.fixture
def cache(server, tmp_path, monkeypatch):
    """An empty cache for the hub's client, in a folder that has nothing else, and a file that nobody may change."""
    (tmp_path / "victim.txt").write_text("mine")
    folder = tmp_path / "home" / "hub"
    folder.parent.mkdir()
    ask_only(server, folder, monkeypatch)
    yield folder
    hub.close_session()


def fetch(cache: Path) -> Path:
    (folder,) = download(look_up([ALL], cache), silent)
    return folder


def states(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def changed(listing, name, **more):
    entry = next(each for each in listing["siblings"] if each["rfilename"] == name)
    for key, value in more.items():
        (entry["lfs"] if key in ("sha256",) or (key == "size" and "lfs" in entry) else entry)[key] = value


VICTIMS = ("{victim}", "../../../../victim.txt", "..", "a/b", "", "A" * 64, "0" * 63, " " + "0" * 64, 3, None, ["a"])
"""What a server may say in place of a hash; the first are names of a file of the user."""


@pytest.mark.parametrize("odd", VICTIMS, ids=ascii)
@pytest.mark.parametrize(("name", "key"), [(LARGE, "sha256"), (SMALL, "blobId")])
def test_what_should_be_a_hash_is_one_before_it_is_a_path(cache, server, tmp_path, name, key, odd):
    odd = odd.format(victim=tmp_path / "victim.txt") if isinstance(odd, str) else odd
    server.lies = lambda listing: changed(listing, name, **{key: odd})
    before = states(tmp_path)
    with pytest.raises(DownloadFailed, match=rf"does not answer like a hub for lab/net: the {key} of '.*' is not a"):
        fetch(cache)
    assert states(tmp_path) == before
    assert not cache.exists()


@pytest.mark.parametrize("odd", ["../../x", COMMIT[:39], COMMIT.upper(), f"{COMMIT}\n", None, 7, {}], ids=ascii)
def test_the_commit_is_a_hash_before_it_is_a_path(cache, server, odd):
    server.lies = lambda listing: listing.update(sha=odd)
    with pytest.raises(DownloadFailed, match="the commit is not a hash"):
        fetch(cache)


@pytest.mark.parametrize(
    "name",
    [
        *("net/../../../../victim.txt", "net//a", "net/", "net/.", "net/a\\..\\b", "net/a\0b", "net/\x1b[31m"),
        *("net/aux.txt", "net/" + "x" * 300, "net/" + "y/" * 600 + "z", "net/\ud800"),
    ],
    ids=ascii,
)
def test_a_name_that_is_not_one_inside_a_folder_is_refused(cache, server, tmp_path, name):
    server.lies = lambda listing: changed(listing, LARGE, rfilename=name)
    before = states(tmp_path)
    with pytest.raises(DownloadFailed, match="is not a valid file name") as caught:
        fetch(cache)
    assert "\x1b" not in str(caught.value)
    assert states(tmp_path) == before


@pytest.mark.parametrize("name", ["../../../x", "/etc/passwd", "a\0b", "aux.txt"])
def test_a_file_that_is_not_wanted_may_have_any_name(cache, server, name):
    server.lies = lambda listing: changed(listing, "other/model.safetensors", rfilename=name, size=None)
    assert (fetch(cache) / LARGE).read_bytes() == FILES[LARGE]


@pytest.mark.parametrize("size", [None, "7", -1, 1.5, True, MOST_SIZE + 1, 10**30, []], ids=ascii)
@pytest.mark.parametrize("name", [LARGE, SMALL])
def test_a_size_is_a_number_of_bytes(cache, server, name, size):
    server.lies = lambda listing: changed(listing, name, size=size)
    with pytest.raises(DownloadFailed, match=rf"the size of '{name}' is not a number of bytes"):
        fetch(cache)


@pytest.mark.parametrize(
    "answer",
    [
        *(b"<html>log in</html>", b"{}", b"[]", b"3", b"null", b'{"sha": "', b"\xff\xfe", b"[" * 100_000),
        *(b'{"sha": ' + b"9" * 9000 + b"}", b'{"sha": NaN}', b'{"siblings": 3}', b'{"siblings": [1]}'),
        *(b'{"siblings": [{}]}', b'{"siblings": [{"rfilename": ["a"]}]}', b'{"siblings": {"a": 1}}'),
    ],
    ids=lambda answer: ascii(answer[:20]),
)
def test_an_answer_that_is_not_a_list_of_files_names_the_next_step(cache, server, answer):
    server.answer = answer
    with pytest.raises(DownloadFailed, match=r"does not answer like a hub for lab/net: .*; check HF_ENDPOINT, and"):
        fetch(cache)


def test_a_list_without_an_end_is_given_up(cache, server, monkeypatch):
    monkeypatch.setattr("ex4d_core.hub.listing.MOST_TEXT", 1000)
    server.answer = b"[" + b" " * 10_000 + b"]"
    with pytest.raises(DownloadFailed, match="the list of files of lab/net does not end"):
        fetch(cache)


def test_a_file_that_is_in_the_list_twice_must_be_the_same(cache, server):
    server.lies = lambda listing: listing["siblings"].extend(copy.deepcopy(listing["siblings"]))
    assert (fetch(cache) / SMALL).read_bytes() == b"{}"
    server.lies = lambda listing: listing["siblings"].append({"rfilename": SMALL, "size": 5, "blobId": "0" * 40})
    with pytest.raises(DownloadFailed, match=r"config\.json is in the list twice"):
        fetch(cache)


def test_a_file_is_not_a_folder_too(cache, server):
    listed = {"rfilename": f"{LARGE}/more", "size": 5, "blobId": "0" * 40}
    server.lies = lambda listing: listing["siblings"].append(listed)
    with pytest.raises(DownloadFailed, match="is a file and a folder"):
        fetch(cache)


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.slow
def test_any_change_of_an_answer_ends_in_the_files_or_in_one_sentence(cache, server, tmp_path, data):
    odd = st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers(), max_size=2)),
        st.sampled_from([str(tmp_path / "victim.txt"), "../../../../victim.txt", "", "0" * 64, "0" * 40, {}, 2**70]),
    )

    def lie(listing):
        for _ in range(data.draw(st.integers(1, 3))):
            place = listing
            while True:
                key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
                if not place[key] or not isinstance(place[key], dict | list) or data.draw(st.booleans()):
                    break
                place = place[key]
            place[key] = data.draw(odd)
            if not listing["siblings"] or not isinstance(listing["siblings"], list):
                return

    listing = {"sha": COMMIT, "siblings": [listed(name) for name in FILES]}
    lie(listing)
    server.answer = json.dumps(listing).encode()
    try:
        assert (fetch(cache) / LARGE).read_bytes() == FILES[LARGE]
        said = ""
    except Ex4dError as error:
        said = str(error)
    assert "\n" not in said
    assert {path.name for path in tmp_path.iterdir()} == {"victim.txt", "home"}
    assert (tmp_path / "victim.txt").read_text() == "mine"
    assert {path.name for path in cache.parent.iterdir()} <= {"hub"}


def listed(name: str) -> dict[str, object]:
    data = FILES[name]
    entry: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob_id(data)}
    return {**entry, "lfs": {"sha256": sha256(data), "size": len(data)}} if name.endswith("safetensors") else entry


def blob(cache: Path, name: str) -> Path:
    return cache / "models--lab--net" / "blobs" / (blob_id if name == SMALL else sha256)(FILES[name])


@pytest.mark.parametrize("name", [LARGE, SMALL])
@pytest.mark.parametrize("marked", [True, False])
def test_a_file_of_the_right_length_with_other_bytes_is_fetched_again(cache, name, marked):
    folder = fetch(cache)
    blob(cache, name).write_bytes(bytes(len(FILES[name])))
    if not marked:  # as where another program put it there
        blob(cache, name).with_name(f"{blob(cache, name).name}.ex4d.checked").unlink()
    plan = look_up([ALL], cache)
    assert (plan.missing, plan.unchecked) == (0, len(FILES[name]))
    told = []
    download(plan, lambda done, total: told.append((done, total)))
    assert told[-1] == (2 * len(FILES[name]), 2 * len(FILES[name]))
    assert (folder / name).read_bytes() == FILES[name]


def test_hashes_are_compared_once(cache, server):
    fetch(cache)
    assert look_up([ALL], cache).unchecked == 0
    for mark in (cache / "models--lab--net" / "blobs").glob("*.checked"):
        mark.unlink()
    assert look_up([ALL], cache).unchecked > 2**20
    server.asked.clear()
    fetch(cache)
    assert look_up([ALL], cache).unchecked == 0
    assert server.asked == []


def test_a_small_file_is_checked_by_its_hash_too(cache, server):
    server.changed = {SMALL: b"[]"}
    with pytest.raises(DownloadFailed, match=r"config\.json of lab/net arrived damaged"):
        fetch(cache)
    assert find_in_cache(ALL) is None


def test_no_name_is_given_before_all_files_are_here(cache, server):
    server.changed = {"net/model-2.safetensors": bytes(1000)}
    with pytest.raises(DownloadFailed, match=r"model-2\.safetensors of lab/net arrived damaged"):
        fetch(cache)
    assert not (cache / "models--lab--net" / "snapshots").exists()
    assert not (cache / "models--lab--net" / "refs").exists()


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "pipe"])
def test_an_unfinished_file_that_leads_elsewhere_is_not_written(cache, tmp_path, kind):
    part = blob(cache, LARGE).with_name(f"{blob(cache, LARGE).name}.ex4d.incomplete")
    part.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(part)
    else:
        (part.symlink_to if kind == "symlink" else part.hardlink_to)(tmp_path / "victim.txt")
    assert (fetch(cache) / LARGE).read_bytes() == FILES[LARGE]
    assert (tmp_path / "victim.txt").read_text() == "mine"


def test_a_folder_that_is_a_link_is_not_written_through(cache, tmp_path):
    snapshot = fetch(cache)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model-1.safetensors").write_text("mine")
    for path in (snapshot / "net").iterdir():
        path.unlink()
    (snapshot / "net").rmdir()
    (snapshot / "net").symlink_to(tmp_path / "mine")
    with pytest.raises(OutputFailed, match=r"snapshots/c{40}/net is a link"):
        fetch(cache)
    assert (tmp_path / "mine" / "model-1.safetensors").read_text() == "mine"


def test_cut_connections_lose_nothing(cache, server):
    server.cut_after = [1000] * 20 + [300_000] * 9
    assert (fetch(cache) / LARGE).read_bytes() == FILES[LARGE]
    starts = [int(asked.removeprefix("bytes=").rstrip("-") or 0) for asked in server.asked if asked]
    assert starts == sorted(starts)


def test_files_that_arrive_packed_are_unpacked_or_refused(cache, server):
    server.encoding = "gzip"
    assert (fetch(cache) / LARGE).read_bytes() == FILES[LARGE]


def test_a_packed_file_that_grows_without_end_is_cut(cache, server):
    server.encoding, server.changed = "gzip", {LARGE: bytes(50 * 2**20)}
    with pytest.raises(DownloadFailed, match=r"has 3145734 bytes instead of 3145733"):
        fetch(cache)
    assert sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) < 2**20


def test_files_of_a_cache_have_the_permissions_that_the_umask_leaves(cache):
    old = os.umask(0o027)
    try:
        folder = fetch(cache)
    finally:
        os.umask(old)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "net", folder / LARGE, folder / SMALL)}
    assert modes == {0o750, 0o640}
