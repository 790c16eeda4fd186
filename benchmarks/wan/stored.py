"""Time and memory of Wan's transformer with weights in 8 bits or GGUF, in real sizes with random values.

python -m benchmarks.wan.stored [--kinds bf16 fp8 Q8_0 Q4_0 Q4_K] [--sizes 14B] [--clip 49x512x512] [--runs 3]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.wan.measure import GIBI, Bench, free, say, show
from benchmarks.wan.networks import SIZES, Setting, inputs, random_transformer
from ex4d_backbone_wan.compute import acceleration
from ex4d_backbone_wan.compute.blocks import wan_blocks
from ex4d_backbone_wan.weights.stored import StoredLinear, StoredWeight

SCALE = 0.01
GGUF = {"Q8_0": (32, 34, (0,)), "Q4_0": (32, 18, (0,)), "Q4_K": (256, 144, (0, 2)), "Q6_K": (256, 210, (208,))}
"""Values and bytes of a block, and where it has scales in half precision."""


def gguf_bytes(kind: str, rows: int, columns: int, device: torch.device) -> Tensor:
    """Return random bytes of a kind of quantization, with small scales."""
    values, size, scales = GGUF[kind]
    blocks = torch.randint(0, 256, (rows, columns // values, size), dtype=torch.uint8, device=device)
    scale = torch.tensor([SCALE], dtype=torch.float16).view(torch.uint8).to(device)
    for start in scales:
        blocks[..., start : start + 2] = scale
    return blocks.flatten(1)


def stored(linear: nn.Linear, kind: str) -> StoredWeight:
    weight = linear.weight
    if kind == "fp8":
        return StoredWeight(data=weight.to(torch.float8_e4m3fn), scale=torch.ones(1, 1, device=weight.device))
    from gguf import GGMLQuantizationType

    return StoredWeight(data=gguf_bytes(kind, *weight.shape, weight.device), kind=GGMLQuantizationType[kind])


def transformer_of(setting: Setting, kind: str) -> Any:
    transformer = random_transformer(setting)
    if kind == "bf16":
        return transformer
    for name, block in wan_blocks(transformer):
        for inner, linear in list(block.named_modules()):
            if isinstance(linear, nn.Linear):
                layer = StoredLinear(linear, stored(linear, kind), dtype=setting.dtype)
                transformer.set_submodule(f"{name}.{inner}", layer)
    return transformer


def call_of(transformer: Any, setting: Setting) -> Callable[[], Tensor]:
    cache = acceleration.prepare(transformer)
    given = inputs(setting)

    def call() -> Tensor:
        with torch.no_grad(), transformer.cache_context("positive"), cache.prompt("positive"):
            return transformer(**given)[0]  # type: ignore[no-any-return]

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=["bf16", "fp8", "Q8_0", "Q4_0", "Q4_K"])
    parser.add_argument("--sizes", choices=SIZES, default="14B")
    parser.add_argument("--clip", type=lambda text: tuple(map(int, text.split("x"))), default=(49, 512, 512))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda:0"))
    args = parser.parse_args()
    setting = Setting(args.device, args.clip, args.sizes)
    bench = Bench(setting=setting, runs=args.runs, steps=0, budgets=(), gpus=(), step_cache=0)
    for kind in args.kinds:
        transformer = transformer_of(setting, kind)
        call = call_of(transformer, setting)
        free()
        tensors = (*transformer.parameters(), *transformer.buffers())
        say(f"forward, {kind}", f"weights {sum(each.nbytes for each in tensors) / GIBI:.1f} GiB")
        bench.measure(f"forward, {kind}", call)
        del transformer, call
        free()
    show(bench.figures)


if __name__ == "__main__":
    main()
