"""Time and memory of a training step of the adapter, on one GPU and on several.

    python -m benchmarks.training.step [--cases step compiled] [--clip 49x512x512] [--batch 1] [--runs 5]
        [--limit 40] [--gpus 2 4] [--json FILE]

The networks have the real sizes and random weights: Wan2.1 I2V 14B frozen in bfloat16, the LoRA of rank 16 and the
camera encoder of EX-4D trained with float32 weights, AdamW and EMA. The first two steps are warm-up.

- step: with gradient checkpointing, as in `ex4d train`; compiled: with compiled blocks too
- kept: without checkpointing, which needs several times the memory; prints the error if it does not fit
- sharded: with the frozen weights sharded over the GPUs of `--gpus`, one all-gather per block
- limit: prints the error if a step does not fit into `--limit` GiB

Utilization counts the products of the model: forward, and backward without gradients of frozen weights. Operations that
checkpointing repeats are excluded, and listed separately. The peak is that of the data sheet, dense bfloat16.
"""

from __future__ import annotations

import os

os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # as the command does

import argparse
import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import attrs
import torch

from benchmarks.wan.networks import CAMERA_HIDDEN, SIZES, Setting, random_transformer
from ex4d_training.distributed import Team, shard_weights
from ex4d_training.memory import OutOfMemory, explaining_memory
from ex4d_training.optimizer import Optimizer, Pace
from ex4d_training.step import prepare, train_step
from ex4d_training.velocity import Sample, WanVelocity, attach_adapter, trained_parameters

GIBI, TERA = 2**30, 1e12
PEAK = 989.4
"""TFLOP/s of an H100 or H200 SXM in dense bfloat16, by their data sheet."""
WARM_UP = 2
CASES = ("step", "compiled", "kept", "sharded", "limit")


@attrs.frozen(kw_only=True)
class Work:
    """Floating-point operations of one clip, two for each product of an element."""

    linear: float
    """Products with weights, forward pass."""
    attention: float
    """Products of queries, keys and values, forward pass."""

    @classmethod
    def of(cls, setting: Setting) -> Work:
        """Count the operations; embedders and the output, less than a thousandth, are omitted."""
        sizes, tokens, width = setting.sizes, setting.tokens, setting.width
        text, image = 512, 257
        square = 2 * width * width
        attended = 4 * tokens * (tokens + text + image) * width
        linear = square * (6 * tokens + 2 * text + 2 * image) + 4 * tokens * width * sizes["ffn_dim"]
        return cls(linear=sizes["num_layers"] * linear, attention=sizes["num_layers"] * attended)

    @property
    def forward(self) -> float:
        return self.linear + self.attention

    @property
    def step(self) -> float:
        """Forward and backward: gradients of inputs, not of weights; two products for each of attention's."""
        return 2 * self.linear + 3 * self.attention


@attrs.frozen(kw_only=True)
class StepMeasurement:
    """Measurements of one case."""

    case: str
    gpus: int
    card: str
    batch: int
    seconds: tuple[float, ...]
    """Seconds of each step."""
    forward: float
    """Median seconds of its first half, the loss included."""
    peak_gib: float
    """Peak memory of tensors, maximum over GPUs."""
    reserved_gib: float
    losses: tuple[float, ...]
    utilization: float
    """Fraction of the peak performance, without recomputed operations."""
    with_recomputing: float

    def line(self) -> str:
        each = " ".join(f"{value:.3f}" for value in self.seconds)
        return (
            f"{self.case:10} {self.gpus} x {self.card}, batch {self.batch} each: {each} s a step, {self.forward:.3f} s "
            f"of it forward; peak {self.peak_gib:.1f} GiB (reserved {self.reserved_gib:.1f}); utilization "
            f"{self.utilization:.1%}, {self.with_recomputing:.1%} with what is computed twice; "
            f"{self.gpus * self.batch / median(self.seconds):.3f} clips/s; losses "
            + " ".join(f"{value:.4f}" for value in self.losses)
        )


def sample(setting: Setting, batch: int, *, rank: int) -> Sample:
    """Return random latents and embeddings."""
    sizes, seed = setting.sizes, 1000 + 100 * rank

    def noise(*shape: int, number: int) -> torch.Tensor:
        return setting.noise(batch, *shape, seed=seed + number)

    latents = {name: noise(16, *setting.latent_size, number=n) for n, name in enumerate(("latents", "color", "mask"))}
    return {
        **latents,
        "y": noise(20, *setting.latent_size, number=3),
        "text": noise(512, sizes["text_dim"], number=4),
        "image": noise(257, sizes["image_dim"], number=5),
    }


def network(setting: Setting, case: str, team: Team) -> tuple[WanVelocity, Optimizer]:
    """Return the model, ready for training."""
    transformer = random_transformer(setting)
    model = attach_adapter(transformer, rank=16, hidden=CAMERA_HIDDEN, channels=32, seed=0)
    trained = trained_parameters(model)
    prepare(transformer, checkpointing=case != "kept", compiled=case == "compiled")
    if case == "sharded":
        shard_weights(model, device=team.device)
        free()
    return model, Optimizer(trained, pace=Pace(learning_rate=3e-5), team=team)


def measure(setting: Setting, case: str, args: argparse.Namespace, team: Team) -> StepMeasurement | None:
    """Measure some steps of a case; return None except in the first process."""
    model, optimizer = network(setting, case, team)
    say(team, f"{sum(value.numel() for value in optimizer.masters.values()) / 1e6:.1f} million values are trained")
    batch = sample(setting, args.batch, rank=team.rank)
    seconds, losses, forwards = [], [], []
    started = 0.0
    model.register_forward_hook(lambda *_: forwards.append(clock(setting) - started))
    for turn in range(WARM_UP + args.runs):
        if turn == WARM_UP and setting.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        team.wait()
        started = clock(setting)
        with explaining_memory(f"a step of {args.batch} x {args.clip} frames", ways=WAYS[case != "kept"]):
            loss, _ = train_step(model, optimizer, [batch], shift=5.0, seed=0, rank=team.rank)
        seconds.append(clock(setting) - started)
        losses.append(loss.item())
        say(team, f"  {case}, step {turn}: {seconds[-1]:.3f} s, loss {losses[-1]:.5f}")
    work = Work.of(setting)
    typical = median(seconds[WARM_UP:])
    again = work.forward if case != "kept" else 0.0
    peaks = torch.tensor([0.0, 0.0], device=setting.device)
    if setting.device.type == "cuda":
        peaks = torch.tensor([torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()], device="cuda")
        peaks = peaks.float() / GIBI
    if team.size > 1:
        torch.distributed.all_reduce(peaks, torch.distributed.ReduceOp.MAX)
    return StepMeasurement(
        case=case,
        gpus=team.size,
        card=torch.cuda.get_device_name() if setting.device.type == "cuda" else "CPU",
        batch=args.batch,
        seconds=tuple(seconds[WARM_UP:]),
        forward=median(forwards[WARM_UP:]),
        peak_gib=peaks[0].item(),
        reserved_gib=peaks[1].item(),
        losses=tuple(losses),
        utilization=args.batch * work.step / typical / TERA / PEAK,
        with_recomputing=args.batch * (work.step + again) / typical / TERA / PEAK,
    )


WAYS = {
    True: ("a smaller --batch", "--gpus with case sharded", "a shorter or smaller --clip"),
    False: ("case step, which checkpoints", "a shorter or smaller --clip"),
}


def clock(setting: Setting) -> float:
    if setting.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def say(team: Team, text: str) -> None:
    if team.is_first:
        print(text, flush=True)


def free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def work_here(args: argparse.Namespace) -> None:
    """Measure the cases in this process."""
    team = Team(torch.device(args.device))
    setting = Setting(team.device, args.clip, args.sizes)
    figures = []
    for case in args.cases:
        if case == "limit" and setting.device.type == "cuda":
            whole = torch.cuda.get_device_properties(team.device).total_memory
            torch.cuda.set_per_process_memory_fraction(args.limit * GIBI / whole)
        try:
            figure = measure(setting, case, args, team)
        except OutOfMemory as error:
            say(team, f"{case}: {error}")
        else:
            say(team, figure.line())
            figures.append(figure)
        free()
        if case == "limit" and setting.device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
    if args.json and team.is_first:
        kept = json.loads(args.json.read_text()) if args.json.exists() else []
        args.json.write_text(json.dumps([*kept, *(attrs.asdict(each) for each in figures)], indent=2))
    team.end()


def work_on_several(args: argparse.Namespace, gpus: int) -> None:
    """Start this script again, once for each GPU."""
    cases = [case for case in args.cases if case in ("step", "compiled")] + (["sharded"] if gpus > 1 else [])
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}"]
    clip = "x".join(map(str, args.clip))
    same = ["--clip", clip, "--batch", args.batch, "--runs", args.runs, "--sizes", args.sizes, "--device", args.device]
    where = ["--json", args.json] if args.json else []
    subprocess.run(
        [*launch, "--module", "benchmarks.training.step", *map(str, (*same, *where)), "--cases", *cases], check=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["step", "compiled"])
    parser.add_argument("--clip", type=lambda text: tuple(map(int, text.split("x"))), default=(49, 512, 512))
    parser.add_argument("--sizes", choices=SIZES, default="14B")
    parser.add_argument("--batch", type=int, default=1, help="clips on each GPU")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=40, help="GiB of case limit")
    parser.add_argument("--gpus", type=int, nargs="*", default=[], help="counts of GPUs, besides the one")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="add the figures to this file")
    args = parser.parse_args()
    if not args.gpus:
        work_here(args)
    for gpus in args.gpus:
        work_on_several(args, gpus)


if __name__ == "__main__":
    main()
