"""Things that somebody may plant in a folder of weights, and a watch over what loading it does."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

EVIL = "evil/repo"
"""A repository that no hub may be asked for."""

NAMES: dict[str, Any] = {
    "auto_map": dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForDepthEstimation"), "evil.Evil"),
    "custom_pipelines": {"depth": {"impl": "evil.Evil", "pt": ["AutoModel"]}},
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "attn_implementation": EVIL,
    "_attn_implementation": EVIL,
    "transformers_weights": "../secret.safetensors",
    "use_pretrained_backbone": True,
    "_name_or_path": EVIL,
    "use_kernels": True,
}
"""Entries of a configuration by which libraries find code, kernels and other weights."""


class Evil:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self._mark,)


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, mark: Path) -> Iterator[None]:
    """Hold that nothing in the block connects, asks, or leaves the mark of planted code."""
    asked: list[object] = []

    def refuse(*given: object, **_: object) -> None:
        asked.append(given[-1])
        raise OSError("the test has no network")

    answers = io.StringIO("y\n" * 100)
    with monkeypatch.context() as patch:
        for name in ("getaddrinfo", "create_connection"):
            patch.setattr(socket, name, refuse)
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(sys, "stdin", answers)
        yield
        assert sys.stdin is answers
    assert asked == []
    assert answers.tell() == 0
    assert not mark.exists()


def plant(folder: Path, mark: Path) -> Path:
    """Put code, pickles and names of others into a folder of weights and into each below it; return the folder."""
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        (place / "evil.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Evil: pass\n")
        for name in ("pytorch_model.bin", "diffusion_pytorch_model.bin", "model.pkl", ".metadata", "adapter_model.bin"):
            (place / name).write_bytes(pickle.dumps(Evil(mark)))
        (place / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": EVIL, "peft_type": "LORA"}))
        (place / "custom_generate").mkdir()
        shutil.copy(place / "evil.py", place / "custom_generate" / "generate.py")
        os.mkfifo(place / "model.gguf")
        (place / "loop").symlink_to(place / "loop")
    for path in folder.rglob("*config.json"):
        if path.name != "adapter_config.json":
            change(path, **NAMES)
    return folder


def change(path: Path, **entries: Any) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "list": lambda path: path.write_text("[1]"),
    "deep": lambda path: path.write_text('{"a":' * 5000 + "1" + "}" * 5000),
    "digits": lambda path: path.write_text('{"hidden_size": ' + "9" * 9000 + "}"),
    "latin": lambda path: path.write_bytes(b'{"a": "\xe9"}'),
    "layers": lambda path: change(path, num_layers=10**7, num_hidden_layers=10**7, layers_per_block=10**7),
    "huge": lambda path: change(path, hidden_size=10**9, base_dim=10**9, d_model=10**9, sample_size=10**9),
    "backbone": lambda path: change(path, backbone=EVIL, backbone_config=None, use_timm_backbone=False),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "loop": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
}
"""Ways to spoil a network's configuration, each of which is an error that names the file or its folder."""
