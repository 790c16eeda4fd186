"""Facts about networks that are loaded: from either layout the same, whole, in the precision that is asked for."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file, save_file

from ex4d_core.errors import InputNotFound, InvalidInput

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("peft")

CPU = torch.device("cpu")
VAE_FILE = "Wan2.1_VAE.pth"
CLIP_FILE = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
TEXT_FILE = "models_t5_umt5-xxl-enc-bf16.pth"


def network(loaded):
    return getattr(loaded, "model", loaded)


def same(ours, theirs):
    ours, theirs = network(ours).state_dict(), network(theirs).state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder", "image_encoder"])
def test_both_layouts_give_the_same_network(original, diffusers_folder, load, part):
    ours, theirs = load(original, part), load(diffusers_folder, part)
    assert type(network(ours)) is type(network(theirs))
    assert same(ours, theirs)


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_diffusers_itself_loads_the_same(diffusers_folder, load, part):
    import diffusers

    classes = {"transformer": diffusers.WanTransformer3DModel, "vae": diffusers.AutoencoderKLWan}
    theirs = classes[part].from_pretrained(str(diffusers_folder / part), local_files_only=True)
    ours = load(diffusers_folder, part, **({"adapters": ()} if part == "transformer" else {}))
    assert same(ours, theirs)


@pytest.mark.parametrize("part", ["text_encoder", "image_encoder"])
def test_transformers_itself_loads_the_same(diffusers_folder, load, part):
    import transformers

    classes = {"text_encoder": transformers.UMT5EncoderModel, "image_encoder": transformers.CLIPVisionModel}
    theirs = classes[part].from_pretrained(str(diffusers_folder / part), local_files_only=True)
    assert same(load(diffusers_folder, part), theirs)


def test_sizes_of_the_original_files_are_told_by_their_shapes(original, load, wan):
    config = load(original, "transformer").config
    assert (config.num_layers, config.num_attention_heads, config.attention_head_dim) == (wan.layers, 2, wan.width // 2)
    assert (config.in_channels, config.out_channels, config.image_dim) == (36, 16, 20)
    assert load(original, "vae").config.base_dim == 2
    assert load(original, "image_encoder").size == 28
    assert load(original, "text_encoder").model.config.vocab_size == 42


@pytest.mark.parametrize(("width", "heads"), [(5120, 40), (1536, 12), (3072, 24)])
def test_heads_of_every_released_wan_are_told_by_its_width(wan, width, heads):
    from ex4d_backbone_wan.weights.layouts import original_config

    config = original_config("transformer", dict(wan.transformer(width=width)), {})
    assert (config["num_attention_heads"], config["attention_head_dim"]) == (heads, 128)
    assert config["added_kv_proj_dim"] == width


def test_a_text_to_video_wan_of_another_size_needs_no_code(tmp_path, load, find, denoise, wan):
    """No image encoder, 16 channels in, other widths, heads of 128 channels, as no config.json says otherwise."""
    save_file(
        wan.drawn(wan.transformer(width=256, image=None, channels=16), 1),
        tmp_path / "diffusion_pytorch_model.safetensors",
    )
    save_file(wan.drawn(wan.vae(base=4), 2), tmp_path / "Wan2.1_VAE.safetensors")
    torch.save(wan.drawn(wan.text(), 3), tmp_path / "models_t5_umt5-xxl-enc-bf16.pth")
    torch.save(wan.drawn(wan.adapter(width=256, hidden=12), 5), tmp_path / "ex4d.ckpt")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t2v"}))
    transformer = load(tmp_path, "transformer")
    assert (transformer.config.num_attention_heads, transformer.config.image_dim) == (2, None)
    assert torch.isfinite(denoise(transformer)).all()
    assert load(tmp_path, "camera_encoder").width == 256
    assert "image_encoder" not in find(tmp_path).files
    with pytest.raises(InputNotFound, match="has no files of the image_encoder"):
        load(tmp_path, "image_encoder")


def test_a_wan_of_another_size_in_the_hubs_layout_needs_no_code(tmp_path, load, denoise):
    import diffusers

    made = diffusers.WanTransformer3DModel(
        num_attention_heads=3, attention_head_dim=12, in_channels=48, out_channels=48, text_dim=16, freq_dim=8,
        ffn_dim=20, num_layers=1,
    )  # fmt: skip
    made.save_pretrained(tmp_path / "transformer")
    for part in ("vae", "text_encoder"):
        (tmp_path / part).mkdir()
        save_file({"weight": torch.zeros(1)}, tmp_path / part / "model.safetensors")
    torch.testing.assert_close(denoise(load(tmp_path, "transformer")), denoise(made.eval()))


@pytest.mark.slow
def test_half_precision_is_taken_where_it_is_asked_for(original, load):
    tensors = load(original, "transformer", dtype=torch.bfloat16).state_dict()
    assert tensors["blocks.0.attn1.to_q.weight"].dtype == torch.bfloat16
    assert {tensors[name].dtype for name in tensors if ".norm2." in name or "scale_shift" in name} == {torch.float32}
    assert network(load(original, "text_encoder", dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert load(original, "vae", dtype=torch.bfloat16).dtype == torch.bfloat16


def test_diffusers_keeps_the_same_tensors_in_32_bits(diffusers_folder, load):
    import diffusers

    theirs = diffusers.WanTransformer3DModel.from_pretrained(
        str(diffusers_folder / "transformer"), torch_dtype=torch.bfloat16, local_files_only=True
    )
    ours = load(diffusers_folder, "transformer", dtype=torch.bfloat16, adapters=())
    assert {name: tensor.dtype for name, tensor in ours.state_dict().items()} == {
        name: tensor.dtype for name, tensor in theirs.state_dict().items()
    }


def test_weights_of_16_bits_are_widened(copy, load):
    path = copy / TEXT_FILE
    halves = torch.load(path, weights_only=True)
    assert halves["norm.weight"].dtype == torch.bfloat16
    wide = load(copy, "text_encoder").model.encoder.final_layer_norm.weight
    torch.testing.assert_close(wide, halves["norm.weight"].float(), rtol=0, atol=0)


def test_no_network_is_trained_or_left_on_no_device(original, load):
    for part in ("transformer", "vae", "text_encoder", "image_encoder", "camera_encoder"):
        loaded = network(load(original, part))
        assert not loaded.training
        assert {tensor.device for tensor in [*loaded.parameters(), *loaded.buffers()]} == {CPU}
        assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_the_words_of_the_text_encoder_are_one_tensor(original, load):
    model = load(original, "text_encoder").model
    assert model.shared.weight is model.encoder.embed_tokens.weight


def test_the_tokenizer_ends_and_pads_prompts(original, load):
    tokenizer = load(original, "text_encoder").tokenizer
    ids = tokenizer("a b", padding="max_length", max_length=6, truncation=True).input_ids
    assert ids == [3, 4, 3, 5, 1, 0]


def test_pictures_are_prepared_as_the_folder_says_else_as_for_clip(original, diffusers_folder, load):
    assert load(diffusers_folder, "image_encoder").mean == (0.5, 0.4, 0.3)
    assert load(original, "image_encoder").mean == (0.48145466, 0.4578275, 0.40821073)


def test_only_one_file_is_open_at_a_time(original, load, monkeypatch):
    from ex4d_backbone_wan.weights import lazy_loading

    is_open, most, opened = [], [], lazy_loading.open_network

    @contextmanager
    def watched(path):
        with opened(path) as file:
            is_open.append(path)
            most.append(len(is_open))
            yield file
            is_open.remove(path)

    monkeypatch.setattr(lazy_loading, "open_network", watched)
    load(original, "transformer")
    assert set(most) == {1}


def test_no_tensor_is_made_before_its_own_is_read(original, load, monkeypatch):
    """Else the network would be in memory twice."""
    from ex4d_backbone_wan.weights import lazy_loading

    made, read, seen = lazy_loading._made, lazy_loading._read, []
    monkeypatch.setattr(lazy_loading, "_made", lambda *given: seen.append(made(*given)) or seen[0])
    devices = []

    def watched(*given):
        devices.append({parameter.device.type for parameter in seen[0].parameters()})
        return read(*given)

    monkeypatch.setattr(lazy_loading, "_read", watched)
    load(original, "transformer")
    assert devices[0] == {"meta"}


def test_the_files_stay_as_they_are_when_weights_change(original, load):
    """Weights of the right precision are used where the file is mapped, and a LoRA is merged into them."""
    before = {path: path.read_bytes() for path in original.glob("*.safetensors")}
    merged = load(original, "transformer")
    with torch.no_grad():
        merged.proj_out.weight.zero_()
    assert {path: path.read_bytes() for path in original.glob("*.safetensors")} == before


def test_a_single_file_does_in_place_of_shards(copy, load, wan, original):
    for path in copy.glob("diffusion_pytorch_model*"):
        path.unlink()
    save_file(wan.drawn(wan.transformer(), 1), copy / "diffusion_pytorch_model.safetensors")
    assert same(load(copy, "transformer"), load(original, "transformer"))


def test_shards_without_an_index_are_all_read(copy, load, original):
    (copy / "diffusion_pytorch_model.safetensors.index.json").unlink()
    assert same(load(copy, "transformer"), load(original, "transformer"))


@pytest.mark.slow
def test_safetensors_do_in_place_of_pickles(copy, load, original):
    for name in (VAE_FILE, TEXT_FILE, CLIP_FILE, "ex4d.ckpt"):
        path = copy / name
        save_file(torch.load(path, weights_only=True), path.with_suffix(".safetensors"))
        path.unlink()
    for part in ("vae", "text_encoder", "image_encoder", "camera_encoder", "transformer"):
        assert same(load(copy, part), load(original, part))


def test_weights_beside_a_trainers_state_are_found(copy, load, original):
    tensors = torch.load(copy / VAE_FILE, weights_only=True)
    torch.save({"state_dict": tensors, "step": 7}, copy / VAE_FILE)
    assert same(load(copy, "vae"), load(original, "vae"))


def test_a_pickle_of_an_old_torch_loads(copy, load, original):
    tensors = torch.load(copy / VAE_FILE, weights_only=True)
    torch.save(tensors, copy / VAE_FILE, _use_new_zipfile_serialization=False)
    assert same(load(copy, "vae"), load(original, "vae"))


def test_an_image_encoder_saved_by_an_older_transformers_loads(hub_copy, load, diffusers_folder):
    path = hub_copy / "image_encoder" / "model.safetensors"
    old = {f"vision_model.{name}": tensor for name, tensor in load_file(path).items()}
    old["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    save_file(old, path)
    assert same(load(hub_copy, "image_encoder"), load(diffusers_folder, "image_encoder"))


def test_a_text_encoder_whose_words_are_there_twice_loads(hub_copy, load, diffusers_folder):
    path = hub_copy / "text_encoder" / "model.safetensors"
    twice = load_file(path)
    twice["encoder.embed_tokens.weight"] = twice["shared.weight"].clone()
    save_file(twice, path)
    assert same(load(hub_copy, "text_encoder"), load(diffusers_folder, "text_encoder"))


@pytest.mark.parametrize(
    ("part", "file", "key", "listed"),
    [
        ("vae", VAE_FILE, "decoder.head.2.bias", r"decoder\.conv_out\.bias"),
        ("text_encoder", TEXT_FILE, "blocks.1.ffn.gate.0.weight", r"encoder\.block\.1\.layer\.1\.DenseReluDense\.wi_0"),
        ("image_encoder", CLIP_FILE, "visual.transformer.1.attn.to_qkv.bias", r"layers\.1\.self_attn\.q_proj\.bias"),
    ],
)
def test_a_missing_tensor_is_named(copy, load, change, part, file, key, listed):
    change(copy / file, {key: None})
    with pytest.raises(InvalidInput, match=rf"{file} lacks the tensors .*{listed}.*"):
        load(copy, part)


def test_missing_foreign_and_misshapen_tensors_are_all_listed(copy, load, wan):
    tensors = wan.drawn(wan.transformer(), 1)
    for number in range(wan.layers):
        del tensors[f"blocks.{number}.norm3.bias"]
    tensors |= {"control.weight": torch.zeros(2), "head.head.bias": torch.zeros(5), "log_scale": torch.zeros(())}
    for path in copy.glob("diffusion_pytorch_model*"):
        path.unlink()
    save_file(tensors, copy / "diffusion_pytorch_model.safetensors")
    with pytest.raises(
        InvalidInput,
        match=r"lacks the tensors blocks\.\{0\.\.2\}\.norm2\.bias; it has unexpected tensors: control\.weight, "
        r"log_scale; it has tensors of another shape: proj_out\.bias;",
    ):
        load(copy, "transformer")


def test_a_file_of_another_model_is_refused(copy, load):
    shutil.copy(copy / TEXT_FILE, copy / VAE_FILE)
    with pytest.raises(InvalidInput, match=r"original files of the vae have no tensor encoder\.conv1\.weight"):
        load(copy, "vae")


def test_tensors_of_odd_shapes_are_refused(copy, load, change):
    change(copy / CLIP_FILE, {"visual.patch_embedding.weight": torch.zeros(20)})
    with pytest.raises(InvalidInput, match="files of the image_encoder have unexpected shapes"):
        load(copy, "image_encoder")


def test_weights_that_are_there_twice_are_refused(hub_copy, load):
    path = hub_copy / "vae" / "diffusion_pytorch_model.safetensors"
    shutil.copy(path, path.with_name("diffusion_pytorch_model.fp16.safetensors"))
    with pytest.raises(InvalidInput, match=r"both have .*; keep one set of files"):
        load(hub_copy, "vae")


def test_a_damaged_file_is_named(copy, load):
    (copy / VAE_FILE).write_bytes(b"half of a downlo")
    with pytest.raises(InvalidInput, match=r"Wan2\.1_VAE\.pth .*download it again"):
        load(copy, "vae")
    next(copy.glob("*-00002-of-00003.safetensors")).write_bytes(b"half of a downlo")
    with pytest.raises(InvalidInput, match=r"00002-of-00003\.safetensors is not a readable safetensors file"):
        load(copy, "transformer")


def test_a_pickle_that_could_run_code_is_not_loaded(copy, load):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"conv1.weight": Evil()}, copy / VAE_FILE)
    with pytest.raises(InvalidInput, match="contains other objects than tensors"):
        load(copy, "vae")


def test_a_pickle_without_tensors_is_refused(copy, load):
    torch.save({"step": 7}, copy / VAE_FILE)
    with pytest.raises(InvalidInput, match="contains no named tensors"):
        load(copy, "vae")


def test_a_configuration_that_makes_no_network_is_refused(hub_copy, load):
    path = hub_copy / "transformer" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "patch_size": 2}))
    with pytest.raises(InvalidInput, match=r"hub_copy/transformer cannot be loaded as a transformer of Wan: .*; check"):
        load(hub_copy, "transformer")


def test_a_folder_without_a_tokenizer_says_so(copy, load):
    shutil.rmtree(copy / "google")
    with pytest.raises(InputNotFound, match=r"google/umt5-xxl has no tokenizer"):
        load(copy, "text_encoder")


def test_loading_says_nothing(original, diffusers_folder, load, capfd):
    for folder in (original, diffusers_folder):
        for part in ("transformer", "vae", "text_encoder", "image_encoder", "camera_encoder"):
            load(folder, part)
    assert capfd.readouterr() == ("", "")
