"""How long Wan takes on one GPU, and how much memory: forward passes, denoising, the VAE, budgets of memory.

    python benchmarks/wan.py [--cases forward denoise vae ...] [--clip 49x512x512] [--runs 3] [--steps 25]
                             [--memory 26 24 12 8] [--gpus 2 4] [--step-cache 0.1] [--sizes 14B] [--json FILE]

The networks have the real sizes and random values, made on the GPU. A first call warms up; figures are of those
after it. `forward` compares diffusers' own forward with ours, exact and fast, and says how far the results are apart;
`profile` says which kernels one of ours spends its time in; `compiled` adds diffusers' forward, compiled; `memory` and
`gpus` take few steps; `reference` says how far our ways move the latents of $EX4D_REFERENCE_DATA/golden/wan.
"""

from __future__ import annotations

import os

os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # as the command does

import argparse
import gc
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from torch import Tensor, nn
from wan_reference import original_layout

from ex4d_backbone_wan import memory, speed
from ex4d_backbone_wan.denoiser import Conditioning, Denoiser, LocalDenoiser, Schedule
from ex4d_backbone_wan.engine import Engine, Recipe
from ex4d_backbone_wan.loading import load_transformer
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.parallel import ParallelDenoiser
from ex4d_backbone_wan.weights import locate

CUDA = torch.device("cuda")
GIBI = 2**30
SIZES = {
    "14B": {
        "num_attention_heads": 40,
        "ffn_dim": 13824,
        "num_layers": 40,
        "in_channels": 36,
        "text_dim": 4096,
        "image_dim": 1280,
        "added_kv_proj_dim": 5120,
    },
    "1.3B": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30, "in_channels": 16, "text_dim": 4096},
    "tiny": {"num_attention_heads": 4, "attention_head_dim": 24, "ffn_dim": 192, "num_layers": 4, "in_channels": 36,
             "text_dim": 32, "image_dim": 64, "added_kv_proj_dim": 96},
}  # fmt: skip
SPATIAL, TEMPORAL = 8, 4
"""Pixels and frames to a latent one."""
STEPS = 4
"""What cases take that only need the time of a step."""
KEPT_IN_FLOAT = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
"""What diffusers keeps in float32 when it loads Wan."""


@attrs.frozen(kw_only=True)
class Figure:
    """What was measured of one case."""

    case: str
    seconds: tuple[float, ...]
    peak_gib: float
    """Of the GPU, in tensors, while it ran."""
    note: str = ""


@attrs.define
class Bench:
    """What the cases share."""

    device: torch.device
    clip: tuple[int, int, int]
    sizes: str
    runs: int
    steps: int
    budgets: tuple[float, ...]
    gpus: tuple[int, ...]
    step_cache: float
    figures: list[Figure] = attrs.field(factory=list)
    expected: Tensor | None = None
    """What diffusers' own forward makes of `inputs`."""

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.device.type == "cuda" else torch.float32

    @property
    def latent_size(self) -> tuple[int, int, int]:
        frames, height, width = self.clip
        return 1 + (frames - 1) // TEMPORAL, height // SPATIAL, width // SPATIAL

    def measure(self, case: str, work: Callable[[], Any], *, runs: int | None = None, note: str = "") -> Any:
        """Time some work after a first time that is not counted (`runs=0`: only that first time); print and keep it."""
        seconds = []
        made = None
        wanted = self.runs if runs is None else runs
        for turn in range(1 + wanted):
            made = None
            if turn == min(1, wanted):
                self._reset_peak()
            self.wait()
            started = time.perf_counter()
            made = work()
            self.wait()
            seconds.append(time.perf_counter() - started)
        peak = torch.cuda.max_memory_allocated() / GIBI if self.device.type == "cuda" else 0.0
        counted = seconds[1:] or seconds
        self.figures.append(Figure(case=case, seconds=tuple(counted), peak_gib=peak, note=note))
        text = " ".join(f"{each:.3f}" for each in counted)
        print(f"{case:44} {text} s (first {seconds[0]:.2f})  peak {peak:.1f} GiB  {note}", flush=True)
        return made

    def compare(self, case: str, made: Tensor) -> None:
        """Print how far a result is from that of diffusers' own forward."""
        if self.expected is not None:
            off = (made.float() - self.expected.float()).norm() / self.expected.float().norm()
            print(f"{case:44} differs from diffusers' own by {off.item():.2e} of its norm", flush=True)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _reset_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()


def random_transformer(bench: Bench) -> Any:
    """Return Wan's transformer with random values, made where they stay."""
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        transformer = WanTransformer3DModel(**SIZES[bench.sizes]).eval().requires_grad_(False)
    rope = type(transformer.rope)(
        transformer.config.attention_head_dim, transformer.config.patch_size, transformer.config.rope_max_seq_len
    )
    generator = torch.Generator(bench.device).manual_seed(0)
    for name, parameter in list(transformer.named_parameters()):
        kept = any(part in name.split(".") for part in KEPT_IN_FLOAT)
        value = torch.empty(parameter.shape, device=bench.device, dtype=torch.float32 if kept else bench.dtype)
        if parameter.ndim == 1:
            value.fill_(1.0 if name.endswith("weight") else 0.0)
        else:
            value.normal_(0, 0.5 * parameter[0].numel() ** -0.5, generator=generator)
        owner, _, leaf = name.rpartition(".")
        setattr(transformer.get_submodule(owner), leaf, nn.Parameter(value, requires_grad=False))
    transformer.rope = rope.to(bench.device)
    return transformer


def inputs(bench: Bench, batch: int) -> dict[str, Any]:
    """Return what one call of the transformer takes; the same of every batch member."""
    generator = torch.Generator(bench.device).manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, device=bench.device, dtype=bench.dtype, generator=generator)

    sizes = SIZES[bench.sizes]
    latents, text = noise(1, sizes["in_channels"], *bench.latent_size), noise(1, 512, sizes["text_dim"])
    image = noise(1, 257, sizes["image_dim"]).repeat(batch, 1, 1) if "image_dim" in sizes else None
    return {
        "hidden_states": latents.repeat(batch, 1, 1, 1, 1),
        "timestep": torch.full((batch,), 900.0, device=bench.device),
        "encoder_hidden_states": text.repeat(batch, 1, 1),
        "encoder_hidden_states_image": image,
        "return_dict": False,
    }


def calls(transformer: Any, bench: Bench, batch: int = 1) -> Callable[[], Tensor]:
    """Return a function that calls the transformer."""
    given = inputs(bench, batch)

    def call() -> Tensor:
        with torch.no_grad(), transformer.cache_context("cond"):
            return transformer(**given)[0]

    return call


def forward(bench: Bench) -> None:
    """One forward pass: diffusers' own, ours, ours with a batch of two, ours in 8 bits."""
    transformer = random_transformer(bench)
    print(f"{sum(each.numel() for each in transformer.parameters()) / 1e9:.2f} billion values", flush=True)
    bench.expected = bench.measure("forward, diffusers'", calls(transformer, bench))
    speed.prepare(transformer)
    bench.compare("forward, exact", bench.measure("forward, exact", calls(transformer, bench)))
    bench.measure("forward, exact, batch of two", calls(transformer, bench, 2))
    del transformer
    transformer = fast_transformer(bench)
    bench.compare("forward, fast", bench.measure("forward, fast", calls(transformer, bench)))
    bench.measure("forward, fast, batch of two", calls(transformer, bench, 2))


def fast_transformer(bench: Bench) -> Any:
    free()
    transformer = random_transformer(bench)
    speed.prepare(transformer, speed="fast")
    free()
    return transformer


def compiled(bench: Bench) -> None:
    """Time diffusers' own forward with cuDNN's attention and compiled blocks."""
    transformer = random_transformer(bench)
    transformer.set_attention_backend("_native_cudnn")
    transformer.compile_repeated_blocks(fullgraph=True)
    bench.measure("forward, diffusers' compiled, cuDNN", calls(transformer, bench))


def profile(bench: Bench) -> None:
    """Print where the time of one forward pass goes, exact and fast."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    for name in ("exact", "fast"):
        transformer = random_transformer(bench)
        speed.prepare(transformer, speed=name)
        call = calls(transformer, bench)
        call()
        with profiled(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            call()
            bench.wait()
        key = "self_device_time_total" if bench.device.type == "cuda" else "self_cpu_time_total"
        print(name, seen.key_averages().table(sort_by=key, row_limit=18, max_name_column_width=70), flush=True)
        del transformer, call
        free()


def denoise(bench: Bench) -> None:
    """All steps with guidance, exact."""
    transformer = random_transformer(bench)
    speed.prepare(transformer)
    denoised(bench, "denoise, exact", local(bench, transformer))


def denoise_fast(bench: Bench) -> None:
    """All steps with guidance, in 8 bits; then with steps skipped too."""
    transformer = fast_transformer(bench)
    plain = denoised(bench, "denoise, fast, no step skipped", local(bench, transformer))
    computed: list[int] = []
    transformer.blocks[1].attn1.to_qkv.register_forward_hook(lambda *_: computed.append(1))
    skipping = partial(speed.skipping_steps, transformer, threshold=bench.step_cache)
    made = denoised(bench, "denoise, fast", local(bench, transformer, around=skipping))
    print(f"computed {len(computed)} of {2 * bench.steps} calls; latents moved by {apart(made, plain):.2e}", flush=True)


def local(bench: Bench, transformer: Any, **given: Any) -> LocalDenoiser:
    return LocalDenoiser(transformer, device=bench.device, dtype=bench.dtype, **given)


def apart(made: Tensor, expected: Tensor) -> float:
    """Return how far two results are apart, as a share of their norm."""
    made, expected = made.float().cpu(), expected.float().cpu()
    return ((made - expected).norm() / expected.norm()).item()


def denoised(bench: Bench, case: str, denoiser: Denoiser, *, steps: int | None = None) -> Tensor:
    """Time all steps, once; print what a step takes after the first."""
    wanted = bench.steps if steps is None else steps
    given, times = inputs(bench, 1), []
    told, latents = conditioning(bench, given), given["hidden_states"][:, :16].float()

    def after_step(*_: Any) -> None:
        bench.wait()
        times.append(time.perf_counter())

    def work() -> Tensor:
        times[:] = [time.perf_counter()]
        return denoiser.denoise(told, latents, schedule=Schedule(wanted, 5.0), guidance=5.0, after_step=after_step)

    made = bench.measure(f"{case}, {wanted} steps", work, runs=0)
    each = [after - before for before, after in pairwise(times)]
    print(f"{case:44} first step {each[0]:.3f} s, then {median(each[1:] or each):.3f} s a step", flush=True)
    return made


def conditioning(bench: Bench, given: dict[str, Any]) -> Any:
    """Return what a clip would give, of random values."""
    sizes = SIZES[bench.sizes]
    frames, height, width = bench.latent_size
    channels = sizes["num_attention_heads"] * sizes.get("attention_head_dim", 128)
    text, shape = given["encoder_hidden_states"], (1, frames * height * width // 4, channels)
    generator = torch.Generator(bench.device).manual_seed(2)
    camera = 0.1 * torch.randn(shape, device=bench.device, dtype=bench.dtype, generator=generator)
    return Conditioning(
        text=text,
        negative_text=text.flip(1),
        image=given["encoder_hidden_states_image"],
        y=given["hidden_states"][:, 16:] if sizes["in_channels"] > 16 else None,
        camera=camera,
    )


def vae(bench: Bench) -> None:
    """Time encoding a clip and decoding it."""
    from diffusers import AutoencoderKLWan

    with torch.device(bench.device):
        network = AutoencoderKLWan(**({"base_dim": 8} if bench.sizes == "tiny" else {})).eval().to(bench.dtype)
    frames, height, width = bench.clip
    with torch.no_grad():
        video = torch.rand(1, 3, frames, height, width, device=bench.device, dtype=bench.dtype)
        latents = bench.measure("vae, encode a clip", lambda: network.encode(video).latent_dist.mode())
        bench.measure("vae, decode", lambda: network.decode(latents, return_dict=False)[0])
        network.enable_tiling()
        bench.measure("vae, decode in tiles", lambda: network.decode(latents, return_dict=False)[0])


def memory_budgets(bench: Bench) -> None:
    """A few steps with guidance under budgets of memory, which the allocator enforces; and without one."""
    transformer = random_transformer(bench)
    speed.prepare(transformer)
    expected = denoised(bench, "memory, all on the GPU", local(bench, transformer), steps=STEPS)
    needs = memory.needs(transformer, tokens=math.prod(bench.latent_size) // 4)
    del transformer
    for place in (memory.Place.CONTEXT_APART, memory.Place.STREAMED):
        free()
        transformer = random_transformer(bench)
        speed.prepare(transformer)
        started = time.perf_counter()
        memory.place(transformer, place, device=bench.device)
        free()
        print(f"{place.value}: there after {time.perf_counter() - started:.1f} s", flush=True)
        batched = place is memory.Place.STREAMED
        fitting = [budget for budget in bench.budgets if memory.choose(needs, budget * GIBI) is place]
        for budget in fitting:
            with limited(budget):
                denoiser = local(bench, transformer, batch_guidance=batched)
                made = denoised(bench, f"memory, {budget:g} GiB", denoiser, steps=STEPS)
            print(f"latents are {apart(made, expected):.2e} from those before", flush=True)
        del transformer


@attrs.frozen
class RandomSource:
    """Random values, the same in each process."""

    bench: Bench

    def load(self, *, device: torch.device, dtype: torch.dtype) -> Any:
        """See `Source`."""
        del dtype
        return random_transformer(attrs.evolve(self.bench, device=device))


def gpus(bench: Bench) -> None:
    """A few steps with guidance on one GPU and on several."""
    recipe = Recipe(source=RandomSource(attrs.evolve(bench, figures=[], expected=None)), dtype=bench.dtype)
    alone = Engine(recipe, device=bench.device)
    expected = denoised(bench, "1 GPU", alone, steps=STEPS)
    expected = denoised(bench, "1 GPU, again", alone, steps=STEPS)
    del alone
    free()
    for count in bench.gpus:
        team = ParallelDenoiser(recipe, gpus=count, guided=True, kind=bench.device.type)
        for turn in ("", ", again"):
            made = denoised(bench, f"{count} GPUs{turn}", team, steps=STEPS)
            print(f"latents are {apart(made, expected):.2e} from those of one GPU", flush=True)
        team.close()


def reference(bench: Bench) -> None:
    """How far our ways move the latents of a run of EX-4D's, in float32 on the CPU; no timing."""
    run = Path(os.environ["EX4D_REFERENCE_DATA"]) / "golden" / "wan"
    golden, config = load_file(run / "golden.safetensors"), json.loads((run / "config.json").read_text())
    told = Conditioning(
        text=golden["text.positive.embedding"],
        negative_text=golden["text.negative.embedding"],
        image=golden["image.clip_feature"],
        y=golden["image.y"],
        camera=golden["camera.tokens_5d"].flatten(2).transpose(1, 2),
    )
    schedule = Schedule(config["steps"], config["shift"])
    cpu = attrs.evolve(bench, device=torch.device("cpu"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = original_layout(run, Path(temporary) / "original")
        checkpoint = locate(WanOptions(model=str(folder), adapter=str(run / "ex4d.safetensors")))
        for name, threshold in (("exact", 0.0), ("fast", 0.0), ("fast", 0.05), ("fast", 0.1), ("fast", 0.2)):
            transformer = load_transformer(checkpoint, device=cpu.device, dtype=torch.float32)
            speed.prepare(transformer, speed=name)
            skipping = partial(speed.skipping_steps, transformer, threshold=threshold)
            denoiser = LocalDenoiser(
                transformer,
                device=cpu.device,
                dtype=torch.float32,
                around=skipping if threshold else nullcontext,
            )
            made = denoiser.denoise(
                told, golden["noise"], schedule=schedule, guidance=config["cfg_scale"], after_step=lambda *_: None
            )
            moved = apart(made, golden["final_latents"])
            print(f"reference run, {name}, step cache {threshold:g}: latents moved by {moved:.2e}", flush=True)


@contextmanager
def limited(gib: float) -> Iterator[None]:
    """Forbid the allocator more than this."""
    free()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(gib * GIBI / whole)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def free() -> None:
    """Give back what is not used any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


CASES = {
    "forward": forward,
    "compiled": compiled,
    "profile": profile,
    "denoise": denoise,
    "denoise-fast": denoise_fast,
    "vae": vae,
    "memory": memory_budgets,
    "gpus": gpus,
    "reference": reference,
}


def clip_size(text: str) -> tuple[int, int, int]:
    """Read FRAMESxHEIGHTxWIDTH."""
    frames, height, width = map(int, text.split("x"))
    return frames, height, width


def show(figures: list[Figure]) -> None:
    """Print a line for each case."""
    table = Table("case", "seconds", "GPU, GiB", "")
    for figure in figures:
        seconds = " ".join(f"{each:.3f}" for each in figure.seconds)
        table.add_row(figure.case, seconds, f"{figure.peak_gib:.1f}", figure.note)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["forward", "denoise", "denoise-fast", "vae"])
    parser.add_argument("--clip", type=clip_size, default=(49, 512, 512))
    parser.add_argument("--sizes", choices=SIZES, default="14B")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument(
        "--memory", type=float, nargs="+", default=[26, 24, 12, 8], help="budgets in GiB, of case memory"
    )
    parser.add_argument("--gpus", type=int, nargs="+", default=[2, 4], help="of case gpus")
    parser.add_argument("--step-cache", type=float, default=0.1, help="threshold, of case denoise-fast")
    parser.add_argument("--device", type=torch.device, default=CUDA)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    bench = Bench(
        args.device, args.clip, args.sizes, args.runs, args.steps, tuple(args.memory), tuple(args.gpus), args.step_cache
    )
    for name in args.cases:
        started = time.perf_counter()
        with torch.cuda.device(args.device) if args.device.type == "cuda" else nullcontext():
            CASES[name](bench)
        free()
        print(f"({name}: {time.perf_counter() - started:.0f} s in all)", flush=True)
        if args.json:
            args.json.write_text(json.dumps([attrs.asdict(each) for each in bench.figures], indent=2))
    show(bench.figures)


if __name__ == "__main__":
    main()
