"""Time and memory of Wan on GPUs: forward passes, denoising, the VAE, whole calls, budgets, several GPUs.

    python -m benchmarks.wan.speed [--cases forward denoise ...] [--clip 49x512x512] [--runs 3] [--steps 25]
        [--memory 26 24 12 8] [--gpus 2 4] [--step-cache 0.1] [--json FILE]

The networks have the real sizes and random values, created on the GPU. Figures are of the runs after a warm-up, except
for the cases that denoise, which run once.

- forward: diffusers' pass and ours, exact and fast, and the differences of the results
- compiled: diffusers' pass, compiled; profile: time per kernel of one of our passes
- graph: our pass, launched kernel by kernel and as one CUDA graph
- denoise, denoise-fast: all steps with guidance. Random weights do not show how many steps real ones skip
- vae: encoding a clip and decoding it; call: from guidance to frames with all networks loaded
- memory, gpus: a few steps with budgets, which the allocator enforces, and on several GPUs
- call-memory: from guidance to frames with each budget, all networks included, without loading; turbo a second time
- reference: differences of the latents from those of $EX4D_REFERENCE_DATA/golden/wan, on the CPU
"""

from __future__ import annotations

import os

os.environ.setdefault(  # as the command does
    "PYTORCH_ALLOC_CONF",
    "expandable_segments:True,pinned_use_cuda_host_register:True,pinned_num_register_threads:8",
)

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.wan.measure import GIBI, Bench, apart, free, limited, say, show
from benchmarks.wan.networks import (
    SIZES,
    RandomNetworks,
    RandomSource,
    Setting,
    conditioning,
    guidance,
    inputs,
    random_transformer,
    random_vae,
)
from benchmarks.wan.reference import original_layout
from ex4d_backbone_wan.backbone import WanBackbone
from ex4d_backbone_wan.compute import acceleration, memory
from ex4d_backbone_wan.compute.attention import flash_attention
from ex4d_backbone_wan.compute.engine import Engine, EngineConfig
from ex4d_backbone_wan.compute.step_cache import StepCache
from ex4d_backbone_wan.denoiser import Conditioning, Denoiser, LocalDenoiser, Schedule
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.parallel.denoiser import ParallelDenoiser
from ex4d_backbone_wan.weights import locate
from ex4d_backbone_wan.weights.loading import load_transformer
from ex4d_core.progress import silent

CPU = torch.device("cpu")
FEW_STEPS = 4
"""Steps of cases that measure the time of a step."""


def prepared(bench: Bench, how: str) -> tuple[Any, StepCache]:
    """Return an accelerated transformer and the cache of its blocks."""
    transformer = random_transformer(bench.setting)
    cache = acceleration.prepare(transformer, speed=how)
    free()
    return transformer, cache


def calls(transformer: Any, bench: Bench, *, batch: int = 1, cache: StepCache | None = None) -> Callable[[], Tensor]:
    """Return a function that calls the transformer with cached keys and values, as in all steps after the first."""
    given, name, cache = inputs(bench.setting, batch), f"batch of {batch}", cache or StepCache()

    def call() -> Tensor:
        with torch.no_grad(), transformer.cache_context(name), cache.prompt(name):
            return transformer(**given)[0]

    return call


def forward(bench: Bench) -> None:
    transformer = random_transformer(bench.setting)
    say("transformer", f"{sum(each.numel() for each in transformer.parameters()) / 1e9:.2f} billion values")
    expected = bench.measure("forward, diffusers'", calls(transformer, bench))
    say("attention", "torch's" if flash_attention(bench.setting.device) is None else "FlashAttention's")
    del transformer
    for how in ("exact", "fast"):
        free()
        transformer, cache = prepared(bench, how)
        with cache.run():
            made = bench.measure(f"forward, {how}", calls(transformer, bench, cache=cache))
        say(f"forward, {how}", f"{apart(made, expected)} from diffusers'")
        with cache.run():
            bench.measure(f"forward, {how}, batch of two", calls(transformer, bench, batch=2, cache=cache))
        del transformer, cache


def compiled(bench: Bench) -> None:
    transformer = random_transformer(bench.setting)
    transformer.set_attention_backend("_native_cudnn")
    transformer.compile_repeated_blocks(fullgraph=True)
    bench.measure("forward, diffusers' compiled, cuDNN", calls(transformer, bench))


def profile(bench: Bench) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    for how in ("exact", "fast"):
        transformer, cache = prepared(bench, how)
        call = calls(transformer, bench, cache=cache)
        call()
        with profiled(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            call()
            bench.wait()
        key = "self_device_time_total" if bench.on_gpu else "self_cpu_time_total"
        say(how, seen.key_averages().table(sort_by=key, row_limit=18, max_name_column_width=70))
        del transformer, cache, call
        free()


def graph(bench: Bench) -> None:
    for how in ("exact", "fast"):
        transformer, cache = prepared(bench, how)
        call = calls(transformer, bench, cache=cache)
        with cache.run():
            expected = bench.measure(f"forward, {how}, kernel by kernel", call)
            recorded = torch.cuda.CUDAGraph()
            with torch.cuda.graph(recorded):
                made = call()
            bench.measure(f"forward, {how}, as a CUDA graph", recorded.replay)
        say(f"forward, {how}", f"{apart(made, expected)} between the two")
        del transformer, cache, call, recorded, made, expected
        free()


def denoised(bench: Bench, case: str, denoiser: Denoiser, *, steps: int = FEW_STEPS) -> Tensor:
    """Time all steps once; report the time of a step after the first."""
    conditions, latents, times = conditioning(bench.setting), inputs(bench.setting)["hidden_states"][:, :16].float(), []

    def after_step(*_: Any) -> None:
        bench.wait()
        times.append(time.perf_counter())

    def work() -> Tensor:
        times[:] = [time.perf_counter()]
        return denoiser.denoise(conditions, latents, schedule=Schedule(steps, 5.0), guidance=5.0, after_step=after_step)

    made = bench.measure(f"{case}, {steps} steps", work, runs=0)
    each = [after - before for before, after in pairwise(times)]
    say(case, f"first step {each[0]:.3f} s, then {median(each[1:] or each):.3f} s a step")
    return made


def engine(bench: Bench, how: str, *, step_cache: float = 0.0) -> Engine:
    """Return a denoiser with a loaded transformer."""
    source = RandomSource(bench.setting)
    made = Engine(
        EngineConfig(source=source, dtype=bench.setting.dtype, speed=how, step_cache=step_cache),
        device=bench.setting.device,
    )
    made.load()
    free()
    return made


def denoise(bench: Bench) -> None:
    denoised(bench, "denoise, exact", engine(bench, "exact"), steps=bench.steps)


def denoise_fast(bench: Bench) -> None:
    plain = denoised(bench, "denoise, fast, no step skipped", engine(bench, "fast"), steps=bench.steps)
    free()
    skipping, computed = engine(bench, "fast", step_cache=bench.step_cache), []
    skipping._transformer.blocks[1].attn1.to_q.register_forward_hook(lambda *_: computed.append(1))
    made = denoised(bench, "denoise, fast", skipping, steps=bench.steps)
    say(
        "denoise, fast",
        f"computed {len(computed)} of {2 * bench.steps} calls, {apart(made, plain)} from no step skipped",
    )


def vae(bench: Bench) -> None:
    network = random_vae(bench.setting)
    frames, height, width = bench.setting.clip
    video = bench.setting.noise(1, 3, frames, height, width, seed=6).clamp(-1, 1)
    with torch.no_grad():
        latents = bench.measure("vae, encode a clip", lambda: network.encode(video).latent_dist.mode())
        bench.measure("vae, decode", lambda: network.decode(latents, return_dict=False)[0])
        network.enable_tiling()
        bench.measure("vae, decode in tiles", lambda: network.decode(latents, return_dict=False)[0])


def call(bench: Bench) -> None:
    frames, height, width = bench.setting.clip
    known = guidance(bench.setting)
    for how in ("exact", "fast", "turbo"):
        options = WanOptions(
            size=f"{width}x{height}",
            num_frames=frames,
            overlap=1,
            speed=how,
            step_cache=bench.step_cache,
        )
        networks = RandomNetworks(options, bench.setting)
        # The first call loads; another has nothing kept of its first frame, which other paths of a clip share.
        for steps, runs in ((4, bench.runs),) if how == "turbo" else ((1, 1), (bench.steps, 0)):
            backbone = WanBackbone(attrs.evolve(options, steps=steps), device=bench.setting.device)
            backbone.__dict__["networks"] = networks
            work = partial(backbone.generate, known, None, prompt="", seed=0, progress=silent)
            networks._first_picture = None
            bench.measure(f"call, {how}, {steps} steps", work, runs=runs)
        del networks, backbone, work
        free()


def memory_budgets(bench: Bench) -> None:
    resident = engine(bench, "exact")
    expected = denoised(bench, "memory, all on the GPU", resident)
    needs = memory.needs(resident._transformer, tokens=bench.setting.tokens)
    del resident
    for place in (memory.Placement.CONTEXT_APART, memory.Placement.STREAMED):
        free()
        transformer, cache = prepared(bench, "exact")
        started = time.perf_counter()
        memory.place(transformer, place, device=bench.setting.device)
        free()
        say(place.value, f"there after {time.perf_counter() - started:.1f} s")
        for budget in bench.budgets:
            if memory.choose(needs, budget * GIBI) is place:
                batched = place is memory.Placement.STREAMED
                denoiser = LocalDenoiser(
                    transformer,
                    device=bench.setting.device,
                    dtype=bench.setting.dtype,
                    batch_guidance=batched,
                    cache=cache,
                )
                with limited(budget):
                    made = denoised(bench, f"memory, {budget:g} GiB", denoiser)
                say(f"memory, {budget:g} GiB", f"latents {apart(made, expected)} from those before")
        del transformer


def call_memory(bench: Bench) -> None:
    frames, height, width = bench.setting.clip
    known = guidance(bench.setting)
    for budget, how in product(bench.budgets, ("exact", "turbo")):
        options = WanOptions(
            size=f"{width}x{height}", num_frames=frames, overlap=1, steps=bench.steps, memory=f"{budget:g}", speed=how
        )
        backbone = WanBackbone(options, device=bench.setting.device)
        backbone.__dict__["networks"] = networks = RandomNetworks(options, bench.setting)
        networks.denoiser.load()  # draws its values on the GPU
        with limited(budget):
            times: list[float] = []

            def work(backbone: WanBackbone = backbone, times: list[float] = times) -> None:
                times[:] = [time.perf_counter()]
                backbone.generate(known, None, prompt="", seed=0, progress=lambda *_: times.append(time.perf_counter()))

            case = f"call, {how}, {budget:g} GiB, {options.sampling_steps} steps"
            bench.measure(case, work, runs=1 if how == "turbo" else 0)
            encoding, first, *steps, decoding = [after - before for before, after in pairwise(times[1:])]
            each = f"first step {first:.2f} s, then {median(steps):.2f} s, decoding {decoding:.2f} s"
            say(case, f"encoding {encoding:.2f} s, {each}")
        del backbone, networks, work
        free()


def gpus(bench: Bench) -> None:
    config = EngineConfig(source=RandomSource(bench.setting), dtype=bench.setting.dtype)
    alone = engine(bench, "exact")
    expected = denoised(bench, "1 GPU", alone)
    del alone
    free()
    for count in bench.gpus:
        team = ParallelDenoiser(config, gpus=count, guided=True, kind=bench.setting.device.type)
        made = denoised(bench, f"{count} GPUs", team)
        say(f"{count} GPUs", f"latents {apart(made, expected)} from those of one")
        team.close()


def reference(bench: Bench) -> None:
    run = Path(os.environ["EX4D_REFERENCE_DATA"]) / "golden" / "wan"
    golden, config = load_file(run / "golden.safetensors"), json.loads((run / "config.json").read_text())
    told = Conditioning(
        text=golden["text.positive.embedding"],
        negative_text=golden["text.negative.embedding"],
        image=golden["image.clip_feature"],
        y=golden["image.y"],
        camera=golden["camera.tokens_5d"].flatten(2).transpose(1, 2),
    )
    given = {"schedule": Schedule(config["steps"], config["shift"]), "guidance": config["cfg_scale"]}
    with tempfile.TemporaryDirectory() as temporary:
        folder = original_layout(run, Path(temporary) / "original")
        checkpoint = locate(WanOptions(model=str(folder), adapter=str(run / "ex4d.safetensors")))
        for how, threshold in (("exact", 0.0), ("fast", 0.0), ("fast", 0.05), ("fast", 0.1), ("fast", 0.2)):
            transformer = load_transformer(checkpoint, device=CPU, dtype=torch.float32)
            cache = acceleration.prepare(transformer, speed=how)
            around = (
                partial(acceleration.skipping_steps, transformer, threshold=threshold) if threshold else nullcontext
            )
            denoiser = LocalDenoiser(transformer, device=CPU, dtype=torch.float32, cache=cache, around=around)
            made = denoiser.denoise(told, golden["noise"], after_step=lambda *_: None, **given)
            moved = apart(made, golden["final_latents"])
            say(f"reference, {how}, step cache {threshold:g}", f"latents moved by {moved}")


CASES = {
    "forward": forward,
    "compiled": compiled,
    "profile": profile,
    "graph": graph,
    "denoise": denoise,
    "denoise-fast": denoise_fast,
    "vae": vae,
    "call": call,
    "memory": memory_budgets,
    "call-memory": call_memory,
    "gpus": gpus,
    "reference": reference,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["forward", "denoise", "denoise-fast", "vae"])
    parser.add_argument("--clip", type=lambda text: tuple(map(int, text.split("x"))), default=(49, 512, 512))
    parser.add_argument("--sizes", choices=SIZES, default="14B")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--memory", type=float, nargs="+", default=[26, 24, 12, 8], help="budgets in GiB")
    parser.add_argument("--gpus", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--step-cache", type=float, default=0.1, help="threshold, where speed is fast")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda:0"))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    bench = Bench(
        setting=Setting(args.device, args.clip, args.sizes),
        runs=args.runs,
        steps=args.steps,
        budgets=tuple(args.memory),
        gpus=tuple(args.gpus),
        step_cache=args.step_cache,
    )
    for name in args.cases:
        started = time.perf_counter()
        CASES[name](bench)
        free()
        say(f"({name})", f"{time.perf_counter() - started:.0f} s in all")
        if args.json:
            args.json.write_text(json.dumps([attrs.asdict(each) for each in bench.figures], indent=2))
    show(bench.figures)


if __name__ == "__main__":
    main()
