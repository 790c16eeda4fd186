"""Facts about how the depth models of transformers are offered and run."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import attrs
import pytest

import typer_cli
from ex4d_core.config.run_config import make_options
from ex4d_core.errors import InvalidConfig
from ex4d_core.video_io.write import write_video
from ex4d_depth_transformers.model_aliases import DEFAULT, MODELS
from ex4d_depth_transformers.options import TransformersOptions
from ex4d_depth_transformers.plugin import ex4d_depth_estimators
from tests.helpers.hub_server import HubServer, ask_only


def ex4d(*words):
    with pytest.raises(SystemExit) as exit_:
        typer_cli.main([str(word) for word in words])
    return exit_.value.code or 0


def test_it_is_offered_by_name_with_the_licenses_of_the_weights():
    (provider,) = ex4d_depth_estimators()
    assert provider.name == "transformers"
    assert "small Apache-2.0, base and large CC-BY-NC-4.0" in provider.license
    assert provider.requires == ("transformers",)


def test_the_entry_point_is_declared():
    (found,) = entry_points(group="ex4d", name="transformers")
    assert found.value == "ex4d_depth_transformers.plugin"


def test_the_default_is_free_and_every_short_name_is_in_the_help():
    assert MODELS[DEFAULT].license == "Apache-2.0"
    (model,) = [field for field in attrs.fields(TransformersOptions) if field.name == "model"]
    assert all(name in model.metadata["help"] for name in MODELS)


@pytest.mark.parametrize(
    ("model", "usage_terms"),
    [
        (DEFAULT, ""),
        ("zoedepth", ""),
        ("depth-anything-v2-large", "read the license of depth-anything-v2-large first: CC-BY-NC-4.0"),
        ("depth-pro", "apple-amlr, for research"),
        ("lab/net", "read the license of lab/net first"),
    ],
)
def test_a_run_says_which_weights_are_not_for_any_use(model, usage_terms):
    (provider,) = ex4d_depth_estimators()
    said = provider.usage_terms_for(TransformersOptions(model=model))
    assert usage_terms in said
    assert bool(usage_terms) is bool(said)


def test_weights_of_ones_own_need_no_notice(tmp_path):
    assert TransformersOptions(model=str(tmp_path)).usage_terms() == ""


def test_listing_and_making_options_imports_neither_torch_nor_transformers():
    code = (
        "import sys, ex4d_depth_transformers.plugin as p, ex4d_depth_transformers.weights as w\n"
        "[w.hub_files(provider.options()) for provider in p.ex4d_depth_estimators()]\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "transformers", "huggingface_hub"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": 0}, "depth.batch must be >= 1, not 0"),
        ({"max_side": 8}, "depth.max_side must be >= 32"),
        ({"unchanged": 0}, "depth.unchanged must be > 0"),
        ({"cut": 2}, "depth.cut must be <= 1"),
        ({"kind": "disparity"}, "must be one of auto, metric, relative, inverse"),
        ({"far": 1.0}, r"far must be more than near \(2.5641\), not 1"),
        ({"percentile": 50}, "percentile must be at least 0 and less than 50, not 50"),
        ({"dtype": "int8"}, "must be one of auto, float32, float16, bfloat16"),
    ],
)
def test_options_that_have_no_meaning_are_refused(given, message):
    with pytest.raises(InvalidConfig, match=message):
        make_options(TransformersOptions, given, "depth")


@pytest.mark.parametrize("model_type", ["depth_anything", "depth_pro"])
@pytest.mark.slow
def test_a_run_goes_all_the_way_and_another_path_reuses_the_depth(checkpoint, clip, tmp_path, model_type):
    pytest.importorskip("transformers")
    write_video(clip(3, width=64, height=48), tmp_path / "clip.mp4")
    asked = ["run", tmp_path / "clip.mp4", "--depth", "transformers", "--set", f"depth.model={checkpoint(model_type)}"]
    assert ex4d(*asked, "--cam", "10", "-o", tmp_path / "out") == 0
    assert ex4d(*asked, "--cam", "-10", "-o", tmp_path / "out") == 0
    (facts,) = (tmp_path / "out").rglob("run.json")
    assert (facts.parent / "result_-10.mp4").is_file()
    assert "transformers" in json.dumps(json.loads(facts.read_text()))


def test_a_folder_that_is_no_checkpoint_is_said_in_one_sentence(clip, tmp_path, capsys):
    pytest.importorskip("transformers")
    write_video(clip(1), tmp_path / "clip.mp4")
    model = f"depth.model={tmp_path}"
    code = ex4d("run", tmp_path / "clip.mp4", "--depth", "transformers", "--set", model, "-o", tmp_path / "out")
    assert code != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "has no config.json" in said


def test_the_small_model_is_offered_for_download_as_it_is():
    (provider,) = ex4d_depth_estimators()
    assert str(provider.offer_download) == "Depth Anything V2 Small, Apache-2.0, 99 MB"
    assert (DEFAULT, MODELS[DEFAULT].license) == ("depth-anything-v2-small", "Apache-2.0")


@pytest.mark.slow
def test_a_run_downloads_the_small_model_and_uses_it(checkpoint, clip, tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers")
    server = HubServer({path.name: path.read_bytes() for path in checkpoint().iterdir()})
    server.repo = MODELS[DEFAULT].repo
    ask_only(server, tmp_path / "hub", monkeypatch)
    write_video(clip(2, width=64, height=48), tmp_path / "clip.mp4")
    try:
        run = ("run", tmp_path / "clip.mp4", "--cam", "10", "--device", "cpu", "--yes", "-o", tmp_path / "out")
        assert ex4d(*run) == 0
    finally:
        server.close()
    err = capsys.readouterr().err
    assert "depth: transformers (" in err
    assert "its weights are on this machine" in err
