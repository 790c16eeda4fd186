"""Libraries that load weights of others see checked files only, ask nothing, reach no hub, and fail in one sentence."""

import builtins
import json
import logging
import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from ex4d_core.errors import Ex4dError, InputNotFound, InvalidInput
from ex4d_core.hub.untrusted_weights import (
    check_kinds,
    check_parameters,
    loading,
    loading_offline,
    numbers,
    only_weights,
    read_config,
)
from tests.helpers.planted import DAMAGES, EVIL, NAMES, plant

TENSORS = ("config.json", "*.safetensors", "*.safetensors.index.json")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of weights, with much planted in it."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"hidden_size": 8, "inner": {"depths": [1, 2]}}))
    save_file({"a": torch.arange(4.0)}, folder / "model.safetensors")
    return plant(folder, tmp_path / "mark")


def test_a_library_sees_the_files_that_it_may_and_nothing_else(folder):
    with only_weights(folder, TENSORS, what="net") as clean:
        assert sorted(path.name for path in clean.iterdir()) == ["config.json", "model.safetensors"]
        assert json.loads((clean / "config.json").read_text()) == {"hidden_size": 8, "inner": {"depths": [1, 2]}}
        assert (clean / "model.safetensors").samefile(folder / "model.safetensors")
    assert not clean.exists()


def test_names_of_code_and_other_weights_are_taken_out_at_any_depth(folder):
    path = folder / "config.json"
    path.write_text(json.dumps({"a": [{"b": {**NAMES, "kept": 1}}], **NAMES}))
    assert read_config(path) == {"a": [{"b": {"kept": 1}}]}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_configuration_that_cannot_be_one_is_named(folder, damage):
    DAMAGES[damage](folder / "config.json")
    with pytest.raises(Ex4dError, match=r"weights/config\.json"), only_weights(folder, TENSORS, what="net"):
        pass


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["evil/repo", 2**40]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*NAMES, "backbone", "num_layers", "size"]) | st.text(), inner, max_size=3
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_configuration_without_such_names_or_an_error(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_text(json.dumps(value))
    try:
        found = json.dumps(read_config(path))
    except InvalidInput as error:
        assert str(path) in str(error)  # noqa: PT017  # either is right
    else:
        assert not any(f'"{name}": ' in found for name in NAMES)


def test_the_hub_and_standard_input_are_out_of_reach(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    stdin = sys.stdin
    before = logging.getLogger("transformers").level
    with loading_offline(), loading_offline():
        assert hub.is_offline_mode()
        with pytest.raises(hub.errors.OfflineModeIsEnabled):
            hub.HfApi(endpoint="http://127.0.0.1:1").repo_info(EVIL)
        with pytest.raises(EOFError):
            builtins.input("Do you wish to run the custom code? [y/N] ")
        assert not logging.getLogger("transformers").isEnabledFor(logging.ERROR)
    assert not hub.is_offline_mode()
    assert (sys.stdin, logging.getLogger("transformers").level) == (stdin, before)


def test_progress_bars_of_loaded_libraries_are_off_while_weights_are_loaded():
    bars = pytest.importorskip("transformers").utils.logging
    before = bars.is_progress_bar_enabled()
    bars.enable_progress_bar()
    try:
        with loading_offline(), loading_offline():
            assert not bars.is_progress_bar_enabled()
        assert bars.is_progress_bar_enabled()
    finally:
        if not before:
            bars.disable_progress_bar()


def test_the_limits_end_with_the_last_block_whatever_is_raised():
    stdin = sys.stdin
    outer, inner = loading_offline(), loading_offline()
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)  # as where two threads load
    assert sys.stdin is not stdin
    assert not inner.__exit__(KeyError, KeyError("a"), None)
    assert sys.stdin is stdin


def test_what_a_library_raises_is_one_sentence_that_names_the_folder(folder):
    def fail():
        with only_weights(folder, TENSORS, what="net") as clean:
            raise ZeroDivisionError(f"in {clean}\nand more {'x ' * 900}")

    with pytest.raises(InvalidInput, match=rf"^{folder} cannot be loaded as a net: ZeroDivisionError: in {folder} and"):
        fail()


def test_the_machine_is_not_blamed_on_the_weights(folder):
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), KeyboardInterrupt()):
        with pytest.raises(type(error)), loading(folder, "net"):
            raise error


@pytest.mark.parametrize("kind", ["pipe", "loop", "device", "folder"])
def test_weights_are_regular_files(folder, kind):
    DAMAGES[kind](folder / "model.safetensors")
    with pytest.raises(Ex4dError, match=r"weights/model\.safetensors"), only_weights(folder, TENSORS, what="net"):
        pass


def test_a_folder_that_is_not_there_is_named(tmp_path):
    said = pytest.raises(InputNotFound, match=r"the folder of weights .*absent does not exist")
    with said, only_weights(tmp_path / "absent", TENSORS, what="net"):
        pass


def test_an_index_leads_to_no_other_folder(folder):
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    said = pytest.raises(InvalidInput, match=r"model\.safetensors\.index\.json does not list files in its folder")
    with said, only_weights(folder, TENSORS, what="net"):
        pass


def test_where_links_cannot_be_made_files_are_copied(folder, monkeypatch):
    def refuse(*_):
        raise OSError("the right is not held")

    monkeypatch.setattr(os, "symlink", refuse)
    with only_weights(folder, TENSORS, what="net") as clean:
        assert not (clean / "model.safetensors").is_symlink()
        assert (clean / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("value", ["red", [1], [1, 2, "3"], [1, 2, None], [1, 2, True], {"a": 1}, [1, 2, 1e300], 3])
def test_an_entry_of_numbers_has_as_many_as_it_should(tmp_path, value):
    with pytest.raises(InvalidInput, match=r"gives mean as .*, which is not 3 numbers"):
        numbers({"mean": value}, "mean", 3, where=tmp_path)


def test_an_entry_of_numbers_may_be_left_out_where_there_is_a_default(tmp_path):
    assert numbers({"mean": [1, 2.5, 3]}, "mean", 3, where=tmp_path) == (1.0, 2.5, 3.0)
    assert numbers({}, "mean", 3, (0.5,) * 3, where=tmp_path) == (0.5, 0.5, 0.5)
    with pytest.raises(InvalidInput, match=r"gives mean as \[\], which is not 3 numbers"):
        numbers({"mean": None}, "mean", 3, where=tmp_path)


class Net:
    def __init__(self, name="a", size=3, scale=0.5, sides=(1, 2), flag=True, other=None):
        """Take what configurations have."""


@pytest.mark.parametrize(
    "entry", [{"name": 3}, {"size": "3"}, {"scale": [1]}, {"sides": "ab"}, {"flag": "yes"}, {"size": {}}], ids=str
)
def test_an_entry_is_of_the_kind_of_its_default(entry):
    with pytest.raises(ValueError, match=f"{next(iter(entry))} is "):
        check_kinds(entry, Net)


@pytest.mark.parametrize(
    "entry", [{"size": 2.0}, {"size": [1, 2]}, {"scale": 1}, {"flag": 1.0}, {"name": None}, {"other": {}}, {"more": 1}]
)
def test_numbers_and_lists_of_them_do_in_each_others_place(entry):
    check_kinds(entry, Net)


def test_a_network_far_larger_than_its_files_is_refused(folder):
    files = [folder / "model.safetensors"]
    check_parameters(lambda: torch.nn.Linear(9, 9), files, where=folder)
    with pytest.raises(InvalidInput, match=r"describes a network of 1,000,000,000,000 parameters, .* contain 4;"):
        check_parameters(lambda: torch.nn.Linear(10**6, 10**6, bias=False), files, where=folder)
