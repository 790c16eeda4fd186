"""Weights that are on this machine are found, and those that are not are named with the command that brings them."""

import json
import sys

import attrs
import pytest

from ex4d_core.errors import InputNotFound, InvalidInput, PluginFailed
from ex4d_core.hub.local import HubRepo, fetch_command, find_in_cache, is_hub_name, resolve_weights

COMMIT = "1" * 40
FILES = HubRepo(repo="lab/net", revision="main", patterns=("config.json", "vae/*.safetensors"))


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    """The hub's cache with the files of FILES in one snapshot; return the snapshot's folder."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--lab--net"
    folder = repo / "snapshots" / COMMIT
    (folder / "vae").mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    (folder / "config.json").write_text("{}")
    (folder / "vae" / "a.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("tencent/DepthCrafter", True),
        ("lab/net-1.0_b", True),
        ("depthcrafter", False),
        ("/weights/net", False),
        ("../weights", False),
        ("lab/a--b", False),
        ("lab/a..b", False),
        ("a/b/c", False),
    ],
)
def test_the_hub_names_its_repositories_owner_and_name(text, is_one):
    assert is_hub_name(text) is is_one


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_snapshot_is_found_by_branch_and_by_commit(snapshot, revision):
    assert find_in_cache(attrs.evolve(FILES, revision=revision)) == snapshot


@pytest.mark.parametrize("change", [{"repo": "lab/other"}, {"revision": "v2"}, {"patterns": ("*.json", "*.bin")}])
def test_what_the_cache_does_not_have_is_not_found(snapshot, change):
    assert find_in_cache(attrs.evolve(FILES, **change)) is None


def test_a_link_whose_file_is_gone_does_not_count(snapshot):
    (snapshot / "vae" / "a.safetensors").unlink()
    (snapshot / "vae" / "a.safetensors").symlink_to(snapshot / "gone")
    assert find_in_cache(FILES) is None


def test_weights_in_parts_count_when_all_that_the_index_names_are_there(snapshot):
    index = {"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}
    (snapshot / "vae" / "model.safetensors.index.json").write_text(json.dumps(index))
    files = attrs.evolve(FILES, patterns=("vae/*",))
    assert find_in_cache(files) is None
    (snapshot / "vae" / "b.safetensors").write_bytes(b"more")
    assert find_in_cache(files) == snapshot


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"weight_map": 1}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": "../a"}}', "[" * 10_000],
)
def test_an_index_that_is_damaged_does_not_count(snapshot, text):
    (snapshot / "vae" / "model.safetensors.index.json").write_text(text)
    assert find_in_cache(attrs.evolve(FILES, patterns=("vae/*",))) is None


def test_a_file_that_the_hubs_list_names_is_missed(snapshot):
    """The list of all files is written by the hub's client; of those, what the patterns leave out may be absent."""
    entry = {"size": 1, "blob_id": "0" * 40}
    listed = dict.fromkeys(("config.json", "vae/a.safetensors", "unet/net.safetensors"), entry)
    (snapshot.parent.parent / "trees").mkdir()
    trees = snapshot.parent.parent / "trees" / f"{COMMIT}.json"
    trees.write_text(json.dumps({"format_version": 1, "files": listed}))
    assert find_in_cache(FILES) == snapshot
    assert find_in_cache(attrs.evolve(FILES, patterns=("*",))) is None


def test_a_folder_of_the_users_comes_before_the_cache(snapshot, tmp_path):
    (tmp_path / "mine").mkdir()
    assert (
        resolve_weights(HubRepo(repo=str(tmp_path / "mine"), revision="main"), fetch="ex4d fetch x")
        == tmp_path / "mine"
    )
    assert resolve_weights(FILES, fetch="ex4d fetch x") == snapshot


def test_what_is_not_here_is_named_with_the_command(snapshot):
    with pytest.raises(InputNotFound, match=r"weights lab/net \(v2\) are not on this machine.*; type: ex4d fetch x"):
        resolve_weights(attrs.evolve(FILES, revision="v2"), fetch="ex4d fetch x")


def test_what_is_neither_a_folder_nor_a_name_is_said(snapshot):
    with pytest.raises(InputNotFound, match="there is no folder weights/of/mine; give a folder with weights, or OWNER"):
        resolve_weights(HubRepo(repo="weights/of/mine", revision="main"), fetch="ex4d fetch x")


def test_the_home_of_nobody_is_no_folder(snapshot):
    with pytest.raises(InputNotFound, match="there is no folder ~nobody_has_this_name/weights"):
        resolve_weights(HubRepo(repo="~nobody_has_this_name/weights", revision="main"), fetch="ex4d fetch x")


@pytest.mark.parametrize("repo", ["weights\0", "w\udcff", "~nobody\0/x", ""])
def test_a_name_that_no_folder_can_have_is_said(snapshot, repo):
    with pytest.raises(InputNotFound, match="there is no folder"):
        resolve_weights(HubRepo(repo=repo, revision="main"), fetch="ex4d fetch x")


def test_a_folder_that_cannot_be_looked_at_is_named(snapshot, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for repo in (str(tmp_path / "loop"), str(tmp_path / ("x" * 300))):
        with pytest.raises(InvalidInput, match=rf"the folder of weights {repo} cannot be read: "):
            resolve_weights(HubRepo(repo=repo, revision="main"), fetch="ex4d fetch x")


@pytest.mark.parametrize("revision", ["../../secrets", "/etc", "", "a/../b", "a\0"])
def test_a_revision_leads_nowhere_else(snapshot, revision):
    files = attrs.evolve(FILES, revision=revision)
    assert find_in_cache(files) is None
    with pytest.raises(InvalidInput, match="is not a valid revision"):
        resolve_weights(files, fetch="ex4d fetch x")


def test_a_cache_that_cannot_be_read_is_named(snapshot, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "refs")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(InvalidInput, match=r"the cache of the hub .* cannot be read: Permission denied"):
        find_in_cache(FILES)


def test_without_the_hubs_client_the_message_has_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PluginFailed, match="type: pip install huggingface_hub"):
        find_in_cache(FILES)


def test_the_command_repeats_what_the_user_set():
    @attrs.frozen
    class Options:
        net: str = "lab/net"
        revision: str = "main"
        steps: int = 5

    def command(options):
        return fetch_command("mine", options, role="depth", of=("net", "revision"))

    assert command(Options(steps=3)) == "ex4d fetch mine"
    assert command(Options(net="me/net")) == "ex4d fetch mine --set depth.net=me/net"
