"""Folders of weights that plant code, names on the hub, and nonsense."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from .camera_inputs import DEEP, DIGITS
from .places import make_places

PWNED = "pwned"
"""The file that planted code makes, in the folder of all inputs."""


class _Planted:
    """What runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> Any:
        import os

        return os.system, (self._command,)


def make_weights(folder: Path, wan: Path) -> None:
    """Make folders for each component that loads weights; `wan` is a tiny one that works."""
    folder.mkdir()
    command = f"touch {folder.parent / PWNED}"
    make_places(folder / "places", "")
    make_places(folder / "file-places", ".safetensors")
    _depth_models(folder, command)
    _wans(folder, wan, command)
    _adapters(folder, command)


def _depth_models(folder: Path, command: str) -> None:
    timm = {"use_timm_backbone": True, "use_pretrained_backbone": True, "backbone": "evil/repo"}
    backbone = {"use_pretrained_backbone": True, "backbone": "evil/repo", "backbone_config": None}
    remote = {"auto_map": {"AutoConfig": "evil.C", "AutoModelForDepthEstimation": "evil.M"}}
    configs: dict[str, Any] = {
        **{f"{kind}-hub": {"model_type": kind, **backbone} for kind in ("dpt", "zoedepth", "depth_anything")},
        **{f"{kind}-timm": {"model_type": kind, **timm} for kind in ("dpt", "depth_anything")},
        "remote": {"model_type": "dpt", **remote},
        "remote-unknown": {"model_type": "evil", **remote},
        "type-list": {"model_type": ["dpt"]},
        "type-escape": {"model_type": "\x1b[31mdpt"},
        "huge": {"model_type": "dpt", "hidden_size": 10**9, "num_hidden_layers": 4, "is_hybrid": False},
        "negative": {"model_type": "dpt", "hidden_size": -4, "is_hybrid": False},
        "text": {"model_type": "dpt", "hidden_size": "wide", "is_hybrid": False},
        "dtype": {"model_type": "dpt", "dtype": "evil", "is_hybrid": False},
        "quantized": {"model_type": "dpt", "quantization_config": {"quant_method": "evil"}, "is_hybrid": False},
        "path": {"model_type": "dpt", "_name_or_path": "evil/repo", "is_hybrid": True},
        "list": [1],
        "deep": DEEP,
        "digits": '{"model_type": ' + DIGITS + "}",
    }
    for name, config in configs.items():
        model = folder / f"depth-{name}"
        model.mkdir()
        (model / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        (model / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 56, "width": 56}}))
        (model / "evil.py").write_text(f"import os\nos.system({command!r})\nclass C: pass\nclass M: pass\n")
        save_file({"a": torch.zeros(2)}, model / "model.safetensors")
        torch.save({"a": _Planted(command)}, model / "pytorch_model.bin")
    shutil.copytree(folder / "depth-negative", folder / "depth-index")
    (folder / "depth-index" / "model.safetensors").unlink()
    index = {"weight_map": {"a": "../depth-list/model.safetensors", "b": "/etc/passwd"}}
    (folder / "depth-index" / "model.safetensors.index.json").write_text(json.dumps(index))


def _wans(folder: Path, wan: Path, command: str) -> None:
    def edited(name: str, edit: Callable[[Path], object]) -> None:
        edit(shutil.copytree(wan, folder / f"wan-{name}"))

    def planted(model: Path) -> None:
        for part in ("tokenizer", "."):
            (model / part / "evil.py").write_text(
                f"import os\nos.system({command!r})\nfrom transformers import PreTrainedTokenizerFast as T\n"
            )
        path = model / "tokenizer" / "tokenizer_config.json"
        tree = json.loads(path.read_text())
        tree |= {"auto_map": {"AutoTokenizer": ["evil.T", "evil.T"]}, "tokenizer_class": "T"}
        path.write_text(json.dumps(tree))

    def says(inside: str, text: str) -> Callable[[Path], object]:
        return lambda model: (model / inside).write_text(text)

    def changes(inside: str, **more: Any) -> Callable[[Path], object]:
        def edit(model: Path) -> None:
            path = model / inside
            path.write_text(json.dumps({**json.loads(path.read_text()), **more}))

        return edit

    def cut(model: Path) -> None:
        path = next((model / "transformer").glob("*.safetensors"))
        path.write_bytes(path.read_bytes()[:-100])

    def index(model: Path) -> None:
        tree = {"weight_map": {"a": "../../../../../../etc/passwd"}}
        (model / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(tree))

    edited("good", lambda model: None)
    edited("remote", planted)
    edited("tokenizer-deep", says("tokenizer/tokenizer.json", DEEP))
    edited("tokenizer-none", says("tokenizer/tokenizer.json", "{}"))
    edited("tokenizer-class", changes("tokenizer/tokenizer_config.json", tokenizer_class="os.system"))
    edited("tokenizer-list", says("tokenizer/tokenizer_config.json", "[1]"))
    edited("config-deep", says("transformer/config.json", DEEP))
    edited("config-list", says("transformer/config.json", "[1]"))
    edited("config-digits", says("transformer/config.json", '{"num_layers": ' + DIGITS + "}"))
    edited("layers-huge", changes("transformer/config.json", num_layers=10**7))
    edited("layers-text", changes("transformer/config.json", num_layers="two"))
    edited("heads-huge", changes("transformer/config.json", num_attention_heads=10**9))
    edited("channels", changes("transformer/config.json", in_channels=-1))
    edited("vae", changes("vae/config.json", base_dim=10**9))
    edited("text", changes("text_encoder/config.json", vocab_size=10**13))
    edited("cut", cut)
    edited("index", index)


def _adapters(folder: Path, command: str) -> None:
    adapters = folder / "adapters"
    adapters.mkdir()
    for suffix in ("ckpt", "pth", "pt", "bin"):
        torch.save({"a": _Planted(command)}, adapters / f"planted.{suffix}")
    (adapters / "old.ckpt").write_bytes(pickle.dumps(_Planted(command)))
    with zipfile.ZipFile(adapters / "zip.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Planted(command)))
        archive.writestr("archive/version", "3\n")
    torch.save([1, 2], adapters / "list.pth")
    torch.save({"a": 3, 4: torch.zeros(2)}, adapters / "mixed.pth")
    save_file({"a": torch.zeros(2)}, adapters / "other.safetensors")
    (adapters / "text.safetensors").write_text("This is a text.")
    (adapters / "head.safetensors").write_bytes(b"\xff" * 7 + b"\x00{")
