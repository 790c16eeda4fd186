"""Nothing that somebody plants in the folder of a Wan runs, asks or reaches a hub; what is spoilt is named."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.weights import locate
from ex4d_core.errors import Ex4dError, InvalidInput
from tests.helpers.planted import DAMAGES, Evil, change, plant, watched

PARTS = ("transformer", "vae", "text_encoder", "image_encoder")


@pytest.fixture
def tiny(tiny_wan, tmp_path) -> Path:
    """A tiny Wan to spoil."""
    return Path(shutil.copytree(tiny_wan, tmp_path / "wan"))


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Load a folder that is refused in one sentence which names it, and return the sentence."""

    def refuse(folder, part, **given):
        with watched(monkeypatch, tmp_path / "mark"), pytest.raises(Ex4dError, match=str(folder)) as caught:
            load_part(folder, part, **given)
        assert "\n" not in str(caught.value)
        assert "ex4d-weights-" not in str(caught.value)
        return str(caught.value)

    return refuse


def load_part(folder, part, **given):
    from ex4d_backbone_wan.weights import loading

    options = WanOptions(**{"model": str(folder), "adapter": str(folder / "ex4d.safetensors"), **given})
    options.fingerprint()
    return getattr(loading, f"load_{part}")(locate(options), device=torch.device("cpu"), dtype=torch.float32)


def network_of(loaded):
    return getattr(loaded, "model", loaded)


def test_what_is_planted_beside_the_weights_changes_nothing(tiny_wan, tiny, tmp_path, monkeypatch):
    from ex4d_backbone_wan.text_embeddings import embed

    plant(tiny, tmp_path / "mark")
    for part in (*PARTS, "camera_encoder"):
        expected = load_part(tiny_wan, part)
        with watched(monkeypatch, tmp_path / "mark"):
            found = load_part(tiny, part)
        ours, theirs = network_of(found).state_dict(), network_of(expected).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        if part == "text_encoder":
            both = [embed(encoder, "a red ball", device=torch.device("cpu")) for encoder in (found, expected)]
            assert torch.equal(*both)


@pytest.mark.parametrize("known", ["PreTrainedTokenizerFast", "Evil", "os.system", None])
def test_code_of_a_tokenizer_neither_runs_nor_asks(tiny, tmp_path, monkeypatch, known):
    plant(tiny, tmp_path / "mark")
    told = {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, "tokenizer_class": known}
    change(tiny / "tokenizer" / "tokenizer_config.json", **told)
    (tiny / "tokenizer" / "config.json").write_text(json.dumps({"model_type": "evil", **told}))
    with watched(monkeypatch, tmp_path / "mark"):
        encoder = load_part(tiny, "text_encoder")
    assert type(encoder.tokenizer).__module__.startswith("transformers.")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", PARTS)
def test_a_spoilt_configuration_is_named(tiny, refused, part, damage):
    DAMAGES[damage](tiny / part / "config.json")
    refused(tiny, part)


@pytest.mark.parametrize("damage", ["empty", "list", "deep", "latin", "folder", "pipe", "loop", "device"])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_spoilt_tokenizer_is_named(tiny, refused, name, damage):
    DAMAGES[damage](tiny / "tokenizer" / name)
    refused(tiny, "text_encoder")


@pytest.mark.parametrize("told", [{"pad_token": None}, {"extra_special_tokens": 3}], ids=str)
def test_a_tokenizer_that_cannot_take_prompts_is_refused_before_the_run(tiny, refused, told):
    change(tiny / "tokenizer" / "tokenizer_config.json", **told)
    refused(tiny, "text_encoder")


@pytest.mark.parametrize(
    ("part", "entries"),
    [
        ("transformer", {"eps": "small"}),
        ("transformer", {"num_layers": "two"}),
        ("transformer", {"num_attention_heads": 10**5}),
        ("vae", {"patch_size": 2}),
        ("vae", {"latents_mean": "zero"}),
        ("text_encoder", {"dense_act_fn": "evil"}),
        ("image_encoder", {"hidden_act": "evil"}),
    ],
    ids=str,
)
def test_an_entry_that_cannot_be_is_refused_before_the_run(tiny, refused, part, entries):
    change(tiny / part / "config.json", **entries)
    refused(tiny, part)


@pytest.mark.parametrize("mean", ["red", [1, 2], [1, 2, None], {"r": 1}, [1, 2, True]], ids=str)
def test_the_colors_of_the_image_encoder_are_numbers(tiny, refused, mean):
    (tiny / "image_processor").mkdir()
    (tiny / "image_processor" / "preprocessor_config.json").write_text(json.dumps({"image_mean": mean}))
    assert "preprocessor_config.json gives image_mean as " in refused(tiny, "image_encoder")


@pytest.mark.parametrize("place", ["../../../../etc/passwd", "/etc/passwd", "", 3, ["a"], "gone.safetensors"], ids=str)
def test_an_index_names_files_beside_it(tiny, refused, place):
    index = tiny / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": place}}))
    refused(tiny, "transformer")


@pytest.mark.parametrize("part", PARTS)
def test_a_pipe_in_place_of_weights_is_not_waited_for(tiny, refused, part):
    path = next((tiny / part).glob("*.safetensors"))
    path.unlink()
    os.mkfifo(path)
    assert "is a named pipe, not a regular file" in refused(tiny, part)


@pytest.mark.parametrize("option", ["adapter", "loras"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "device"])
def test_an_adapter_is_a_regular_file(tiny, refused, option, kind):
    path = tiny / "other.safetensors"
    path.write_text("{}")
    DAMAGES[kind](path)
    refused(tiny, "transformer", **{option: str(path)})


PICKLES = {
    "planted": lambda mark: {"a": Evil(mark)},
    "state": lambda mark: {"state_dict": 3},
    "numbers for names": lambda mark: {4: torch.zeros(2)},
    "nowhere": lambda mark: {"a": torch.zeros(2, device="meta")},
    "sparse": lambda mark: {"a": torch.zeros(2).to_sparse()},
    "rows without bytes": lambda mark: {"a": torch.zeros(1).expand(10**6, 10**6)},
    "list": lambda mark: [torch.zeros(2)],
}


@pytest.mark.parametrize("content", PICKLES)
def test_a_pickle_gives_plain_tensors_by_name_or_is_refused(tiny, refused, tmp_path, content):
    path = tiny / "other.pth"
    torch.save(PICKLES[content](tmp_path / "mark"), path)
    refused(tiny, "transformer", loras=str(path))


@pytest.mark.filterwarnings("error")
def test_a_pickle_of_another_program_is_refused_without_a_remark(tiny, refused, tmp_path):
    path = tiny / "other.ckpt"
    path.write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    refused(tiny, "transformer", loras=str(path))


@pytest.mark.parametrize(
    "head",
    [
        *("{", "[" * 9999, '{"r": NaN}', json.dumps({"r": -1}), json.dumps({"lora_alpha": "much"})),
        *(json.dumps({"rank_pattern": {"(a+)+$": 4}}), json.dumps({"alpha_pattern": [4]})),
    ],
    ids=lambda head: head[:30],
)
def test_the_head_of_a_lora_is_checked(tiny, refused, wan, head):
    path = tiny / "other.safetensors"
    tensors = {f"blocks.0.attn1.to_q.lora_{side}.weight": torch.zeros(*shape) for side, shape in _PAIR.items()}
    save_file(tensors, path, metadata={"lora_adapter_metadata": head})
    refused(tiny, "transformer", loras=str(path))


def test_the_head_of_a_lora_cannot_choose_how_it_begins(tiny, tmp_path, monkeypatch):
    """Some ways read other files, or take a library apart."""
    path = tiny / "other.safetensors"
    tensors = {f"blocks.0.attn1.to_q.lora_{side}.weight": torch.zeros(*shape) for side, shape in _PAIR.items()}
    head = {"r": 4, "lora_alpha": 8, "init_lora_weights": "eva", "target_modules": "(.*)*x", "modules_to_save": ["a"]}
    save_file(tensors, path, metadata={"lora_adapter_metadata": json.dumps(head)})
    with watched(monkeypatch, tmp_path / "mark"):
        load_part(tiny, "transformer", loras=str(path))


_PAIR = {"A": (4, 24), "B": (24, 4)}


def test_a_camera_encoder_of_whole_numbers_is_refused(tiny, refused):
    path = tiny / "ex4d.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "latent_encoder.2.bias": tensors["latent_encoder.2.bias"].int()}, path)
    assert "latent_encoder.2.bias in torch.int32" in refused(tiny, "camera_encoder")


def test_a_tokenizer_of_another_text_encoder_is_told(tiny):
    from ex4d_backbone_wan.text_embeddings import embed

    encoder = load_part(tiny, "text_encoder")
    encoder.model.config.vocab_size = 4
    with pytest.raises(InvalidInput, match="the tokenizer has a larger vocabulary"):
        embed(encoder, "a red ball", device=torch.device("cpu"))
