"""Time and memory for loading Wan's transformer and merging the EX-4D LoRA.

    python -m benchmarks.wan.loading FOLDER [--layers 40] [--stored bfloat16] [--device cuda] [--runs 2] [--memory 24 8]

writes a transformer with random values and the sizes of Wan2.1-I2V-14B to FOLDER, unless it exists (33 GB in bfloat16,
66 GB in float32; preferably a separate folder in memory, such as /dev/shm), with an adapter of rank 16, and loads it in
bfloat16. The first run may read from the disk, later ones from the page cache. The values repeat one random block,
which does not affect loading. --memory also measures the time until the transformer is ready with budgets in GiB, its
weights in pinned main memory. Requires the plugin ex4d-backbone-wan.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ex4d_backbone_wan.compute.engine import CheckpointSource, Engine, EngineConfig
from ex4d_backbone_wan.weights import WanCheckpoint
from ex4d_backbone_wan.weights.loading import load_transformer

SIZES = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
"""Sizes of Wan2.1-I2V-14B that differ from the defaults of the class."""

LATENT = (13, 64, 64)
"""Tokens of 49 frames of 512x512."""

SHARD = 5 << 30
RANK = 16


def write_checkpoint(folder: Path, *, layers: int, stored: torch.dtype) -> WanCheckpoint:
    """Write a transformer in diffusers' layout and an adapter for it, unless they exist."""
    home = folder / f"{layers}-{str(stored).removeprefix('torch.')}"
    adapter = home / "ex4d.safetensors"
    if not adapter.is_file():
        write_transformer(home / "transformer", layers=layers, stored=stored)
        save_file(dict(adapter_tensors(layers)), adapter)
    files = tuple(sorted((home / "transformer").glob("*.safetensors")))
    return WanCheckpoint(folder=home, layout="diffusers", files={"transformer": files}, adapter=adapter)


def write_transformer(folder: Path, *, layers: int, stored: torch.dtype) -> None:
    from diffusers import WanTransformer3DModel

    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        model = WanTransformer3DModel(**SIZES, num_layers=layers)
    (folder / "config.json").write_text(json.dumps(dict(model.config)))
    shard: dict[str, Tensor] = {}
    shards = 0
    for name, tensor in model.state_dict().items():
        shard[name] = filled(tensor.shape, stored)
        if sum(value.nbytes for value in shard.values()) > SHARD:
            save_file(shard, folder / f"diffusion_pytorch_model-{shards:05}.safetensors")
            shard, shards = {}, shards + 1
    save_file(shard, folder / f"diffusion_pytorch_model-{shards:05}.safetensors")


def filled(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return small values: a block of random ones, repeated."""
    values = torch.empty(shape, dtype=dtype)
    flat = values.view(-1)
    block = (torch.randn(min(flat.numel(), 1 << 20), generator=torch.Generator().manual_seed(0)) * 0.02).to(dtype)
    for start in range(0, flat.numel(), block.numel()):
        flat[start : start + block.numel()].copy_(block[: flat.numel() - start])
    return values


def adapter_tensors(layers: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the matrices of EX-4D's LoRA."""
    attention = [f"{kind}.{name}" for kind in ("attn1", "attn2") for name in ("to_q", "to_k", "to_v", "to_out.0")]
    sizes = dict.fromkeys(attention, (5120, 5120)) | {"ffn.net.0.proj": (13824, 5120), "ffn.net.2": (5120, 13824)}
    for block in range(layers):
        for name, (outputs, inputs) in sizes.items():
            yield f"blocks.{block}.{name}.lora_A.weight", filled((RANK, inputs), torch.float32)
            yield f"blocks.{block}.{name}.lora_B.weight", filled((outputs, RANK), torch.float32)


def measure(checkpoint: WanCheckpoint, device: torch.device, *, merge: bool) -> str:
    """Load once and return the measurements."""
    is_gpu = device.type == "cuda"
    if is_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    model = load_transformer(
        checkpoint, device=device, dtype=torch.bfloat16, adapters=None if merge else (), merge=merge
    )
    if is_gpu:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    size = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    peak = (
        torch.cuda.max_memory_allocated(device) if is_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    )
    what = "of the GPU" if is_gpu else "of the process, mapped files included"
    return f"{seconds:6.2f} s; network {size / 2**30:.1f} GiB, peak {what} {peak / 2**30:.1f} GiB"


def measure_budget(checkpoint: WanCheckpoint, device: torch.device, budget: str) -> str:
    """Prepare a transformer with a memory budget once and return the time."""
    config = EngineConfig(source=CheckpointSource(checkpoint, device), dtype=torch.bfloat16, memory=budget)
    engine = Engine(config, device=device)
    start = time.perf_counter()
    engine.load()
    loaded = time.perf_counter()
    engine._settle(torch.empty(1, 16, *LATENT, device="meta"), guided=True)
    torch.cuda.synchronize(device)
    text = f"{time.perf_counter() - start:6.2f} s, {loaded - start:.2f} s of it until it was in main memory"
    return f"{text}; {engine._place and engine._place.value}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time loading Wan's transformer.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=40, help="of the transformer; the real one has 40 (default)")
    parser.add_argument("--stored", choices=("bfloat16", "float32"), default="bfloat16", help="precision of the files")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--memory", nargs="*", default=[], help="budgets in GiB")
    given = parser.parse_args()
    start = time.perf_counter()
    checkpoint = write_checkpoint(given.folder, layers=given.layers, stored=getattr(torch, given.stored))
    total = sum(file.stat().st_size for file in checkpoint.files["transformer"])
    print(
        f"{total / 2**30:.1f} GiB of {given.stored} in files, {time.perf_counter() - start:.1f} s to write", flush=True
    )
    import diffusers  # noqa: F401  # seconds that are not loading
    import peft  # noqa: F401

    for merge in (False, True):
        for run in range(given.runs):
            name = "with the LoRA merged" if merge else "plain"
            print(f"{name}, run {run}: {measure(checkpoint, given.device, merge=merge)}", flush=True)
    for budget in given.memory:
        for run in range(given.runs):
            gc.collect()
            print(f"--memory {budget}, run {run}: {measure_budget(checkpoint, given.device, budget)}", flush=True)


if __name__ == "__main__":
    main()
