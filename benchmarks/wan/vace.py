"""Time and memory of VACE: from guidance to frames, in real sizes with random values.

    python -m benchmarks.wan.vace [--sizes 1.3B 14B] [--speeds exact fast turbo] [--clip 49x512x512] [--steps 4]
        [--memory 8] [--device cuda:0] [--json FILE]

All networks but the text encoder are created on the device. Each case runs once with 1 step, then once with all steps;
figures are of the second run: encoding, the median of a step, decoding with compositing, and the whole run extrapolated
to the default number of steps. The latents of the gray video are cached then, as for further windows and paths.
`fast` skips no steps, because random weights do not show how many real ones skip. Turbo takes 4 steps with the 14B and
8 with the 1.3B. With --memory, the allocator enforces the budget in GiB.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import torch
from torch import Tensor

from benchmarks.wan.measure import GIBI, free, limited
from benchmarks.wan.networks import Setting, guidance, prompt, random_vae, with_random_values
from ex4d_backbone_vace.backbone import VaceBackbone
from ex4d_backbone_vace.networks import VaceNetworks
from ex4d_backbone_vace.options import VaceOptions
from ex4d_backbone_vace.transformer import in_layers
from ex4d_backbone_wan.compute.engine import EngineConfig
from ex4d_backbone_wan.denoiser import Denoiser
from ex4d_backbone_wan.networks import make_denoiser

SIZES: dict[str, dict[str, Any]] = {
    "1.3B": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30, "vace_layers": list(range(0, 30, 2))},
    "14B": {},
    "tiny": {
        "num_attention_heads": 4,
        "attention_head_dim": 24,
        "ffn_dim": 192,
        "num_layers": 4,
        "text_dim": 32,
        "vace_layers": [0, 2],
    },
}
TURBO_STEPS = {"1.3B": 8, "14B": 4, "tiny": 4}


@attrs.frozen
class VaceSetting(Setting):
    """Sizes of VACE."""

    @property
    def sizes(self) -> dict[str, Any]:
        return {"text_dim": 4096, **SIZES[self.name]}


@attrs.frozen
class RandomSource:
    """Creates a transformer of random values, equal in each process."""

    setting: VaceSetting

    def load(self, *, device: torch.device, dtype: torch.dtype) -> Any:
        """See `TransformerSource`; the dtype is that of the setting."""
        from diffusers import WanVACETransformer3DModel

        with torch.device("meta"):
            vace = WanVACETransformer3DModel(**self.setting.sizes).eval().requires_grad_(False)
        return in_layers(with_random_values(vace, self.setting)).to(device)


class RandomNetworks(VaceNetworks):
    """All networks of VACE, with cached embeddings of prompts."""

    def __init__(self, options: VaceOptions, setting: VaceSetting) -> None:
        super().__init__(options, device=setting.device)
        self._setting = setting

    @cached_property
    def vae(self) -> Any:
        return random_vae(self._setting)

    @cached_property
    def denoiser(self) -> Denoiser:
        config = EngineConfig.of(self._options, RandomSource(self._setting), dtype=self.dtype)
        guided = self._options.sampling_guidance > 1
        return make_denoiser(config, device=self.device, gpus=self._options.gpus, guided=guided)

    def texts(self, prompts: Sequence[str], *, folder: Path | None = None) -> list[Tensor]:
        return [prompt(self._setting, seed=seed).cpu() for seed, _ in enumerate(prompts)]


@attrs.frozen(kw_only=True)
class Figure:
    """Measurements of one case, in seconds and GiB."""

    case: str
    encode: float
    step: float
    decode: float
    steps: int
    """Of a run with default options."""
    peak: float
    """Of GPU memory in tensors."""

    @property
    def whole(self) -> float:
        return self.encode + self.steps * self.step + self.decode

    def __str__(self) -> str:
        return (
            f"{self.case:32} encode {self.encode:.2f} s, {self.step:.3f} s a step, decode {self.decode:.2f} s; "
            f"{self.steps} steps {self.whole:.1f} s; peak {self.peak:.1f} GiB"
        )


def measured(setting: VaceSetting, *, speed: str, steps: int, memory: str) -> Figure:
    frames, height, width = setting.clip
    options = VaceOptions(
        size=f"{width}x{height}",
        num_frames=frames,
        overlap=1,
        speed=speed,
        step_cache=0.0,
        memory=memory,
        turbo_steps=TURBO_STEPS[setting.name],
        turbo_lora="none.safetensors",
    )
    networks, known = RandomNetworks(options, setting), guidance(setting)
    networks.denoiser.load()  # draws its values on the GPU, outside of a budget
    on_gpu = setting.device.type == "cuda"
    with nullcontext() if memory == "none" else limited(float(memory)):
        for count in (1, steps):
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            times = run(attrs.evolve(options, steps=count), networks, known)
    peak = torch.cuda.max_memory_allocated() / GIBI if on_gpu else 0.0
    encode, *each, decode = [after - before for before, after in pairwise(times)]
    wanted = options.sampling_steps
    name = f"{setting.name}, {speed}" + ("" if memory == "none" else f", {memory} GiB")
    return Figure(case=name, encode=encode, step=median(each), decode=decode, steps=wanted, peak=peak)


def run(options: VaceOptions, networks: RandomNetworks, known: Any) -> list[float]:
    """Return the times before encoding, after it, after each step and at the end."""
    backbone = VaceBackbone(options, device=networks.device)
    backbone.__dict__["networks"] = networks
    times: list[float] = []
    backbone.generate(known, None, prompt="", seed=0, progress=lambda done, total: times.append(time.perf_counter()))
    times[-1] = time.perf_counter()  # with compositing
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["1.3B", "14B"])
    parser.add_argument("--speeds", nargs="+", choices=("exact", "fast", "turbo"), default=["exact", "fast", "turbo"])
    parser.add_argument("--clip", type=lambda text: tuple(map(int, text.split("x"))), default=(49, 512, 512))
    parser.add_argument("--steps", type=int, default=4, help="steps to measure")
    parser.add_argument("--memory", default="none", help="budget in GiB")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda:0"))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    figures = []
    for size in args.sizes:
        for speed in args.speeds:
            setting = VaceSetting(args.device, args.clip, size)
            figures.append(measured(setting, speed=speed, steps=args.steps, memory=args.memory))
            print(figures[-1], flush=True)
            free()
    if args.json:
        args.json.write_text(json.dumps([{**attrs.asdict(each), "whole": each.whole} for each in figures], indent=2))


if __name__ == "__main__":
    main()
