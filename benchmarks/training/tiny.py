"""Small-scale test: does an adapter trained on simulated masks fill the holes of real renderings?

    python -m benchmarks.training.tiny [--seeds 0 1 2] [--out outputs/train_tiny] [--quick] [--device cuda]

1. Render small videos of random synthetic scenes from random viewpoints, and simulate masks.
2. Train a tiny Wan (class of diffusers, in pixel space) as an image-to-video model, and freeze it.
3. Train the adapter (LoRA and camera encoder) on these videos with simulated masks, once per seed, without any second
   view of a scene.
4. Render held-out scenes of a static source camera from a target camera through their mesh, and fill the holes. Compare
   hidden pixels with the true view at 30, 60 and 90 degrees, for the adapter, for the frozen model with the first frame
   only, and for the backbone `inpaint`.

Writes results.json, table.md, curve.png, views.png with results for some scenes, and the folder evaluation with all
results of the last seed, for `ex4d eval score`. `--quick` is a smoke test.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.training.tiny_clips import Size, View, kept, new_views, ordinary_clips
from benchmarks.training.tiny_evaluation import write_evaluation
from benchmarks.training.tiny_report import draw_curve, draw_views, table
from ex4d_backbone_wan.denoiser import Schedule
from ex4d_training.data import EpochSampler
from ex4d_training.distributed import Team
from ex4d_training.optimizer import Pace
from ex4d_training.step import prepare
from ex4d_training.trainer import Recipe, Trainer
from ex4d_training.validation import sampled
from ex4d_training.velocity import Sample, WanVelocity, attach_adapter

ANGLES = (30.0, 60.0, 90.0)
KEPT_IN_FLOAT = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
"""Modules that diffusers keeps in float32."""
PATCH = (1, 4, 4)


@attrs.frozen(kw_only=True)
class TinyPlan:
    """Sizes of model, data and training."""

    size: Size
    clips: int
    masks: int
    """Number per clip."""
    compiled: bool = False
    """Whether to compile the blocks: a minute more at the start, steps take half as long."""
    width: int
    layers: int
    batch: int
    base_steps: int
    adapter_steps: int
    scenes: int
    """Number of held-out scenes."""
    evaluations: int
    """Number of evaluations during training of the adapter."""
    rank: int = 16
    hidden: int = 64
    """Hidden channels of the camera encoder."""
    base_rate: float = 1e-3
    adapter_rate: float = 1e-3
    shift: float = 2.0
    """Noise shift; smaller than that of Wan, since small pictures need less noise."""
    sampling_steps: int = 20


FULL = TinyPlan(
    size=Size(frames=9, side=48),
    clips=5000,
    masks=1,
    width=256,
    layers=6,
    batch=32,
    base_steps=3500,
    adapter_steps=1500,
    scenes=32,
    evaluations=5,
)
QUICK = TinyPlan(
    size=Size(frames=5, side=16),
    clips=8,
    masks=1,
    width=24,
    layers=1,
    batch=4,
    base_steps=4,
    adapter_steps=4,
    scenes=1,
    evaluations=1,
    sampling_steps=2,
)


def tiny_wan(plan: TinyPlan, device: torch.device) -> Any:
    """Return an image-to-video Wan in pixel space: its latents are the frames themselves."""
    from diffusers import WanTransformer3DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = WanTransformer3DModel(
            patch_size=PATCH,
            num_attention_heads=max(1, plan.width // 64),
            attention_head_dim=min(64, plan.width),
            in_channels=7,  # noisy frames; which frames are given, and what they are
            out_channels=3,
            text_dim=16,
            freq_dim=64,
            ffn_dim=4 * plan.width,
            num_layers=plan.layers,
        )
    transformer.to(device)
    if device.type == "cuda":
        for name, parameter in transformer.named_parameters():
            if not any(part in name.split(".") for part in KEPT_IN_FLOAT):
                parameter.data = parameter.data.bfloat16()
    return transformer


def as_sample(frames: Tensor, mask: Tensor) -> Sample:
    """Return the conditioning of a batch of clips.

    Args:
        frames: uint8 [B, T, H, W, 3].
        mask: bool [B, T, H, W], True = known; in the ranges of EX-4D, 1 for known and -3 for hidden.
    """
    clean = frames.movedim(-1, 1).float() / 127.5 - 1
    known = mask[:, None].float()
    first = torch.zeros_like(clean[:, :1])
    first[:, :, 0] = 1
    return {
        "latents": clean,
        "color": (clean + 1) * known - 1,
        "mask": (known * 4 - 3).expand_as(clean),
        "y": torch.cat([first, clean * first], dim=1),
        "text": torch.zeros(len(frames), 8, 16, device=frames.device),
    }


def batches(frames: Tensor, masks: Tensor, *, batch: int, seed: int) -> Iterator[Sample]:
    """Yield endless batches of clips, each with one of its masks."""
    order = iter(EpochSampler(len(frames), seed=seed))
    turn = 0
    while True:
        chosen = torch.tensor([next(order) for _ in range(batch)], device=frames.device)
        yield as_sample(frames[chosen], masks[chosen, turn % masks.shape[1]])
        turn += 1


@torch.no_grad()
def fill_in(model: WanVelocity, views: Sequence[View], plan: TinyPlan, *, seed: int) -> Tensor:
    """Return the result of a model for views, uint8 [N, T, H, W, 3] on the CPU; all models get equal noise."""
    device = next(model.parameters()).device
    color, mask = (torch.from_numpy(np.stack([getattr(view, name) for view in views])) for name in ("color", "mask"))
    made = []
    for part in range(0, len(views), plan.batch):
        sample = as_sample(color[part : part + plan.batch].to(device), mask[part : part + plan.batch].to(device))
        frames = sampled(model, sample, schedule=Schedule(plan.sampling_steps, plan.shift), seed=seed + part)
        made.append(((frames.clamp(-1, 1) + 1) * 127.5).round().byte().movedim(1, -1).cpu())
    return torch.cat(made)


def psnr(made: Tensor, truth: Tensor, where: Tensor) -> float:
    """Return the peak signal-to-noise ratio over some pixels of a clip, in dB.

    Args:
        made: uint8 [T, H, W, 3].
        truth: of the same shape.
        where: bool [T, H, W].
    """
    error = (made.float() - truth.float())[where].square().mean()
    return float(10 * torch.log10(255**2 / error))


def ssim(made: Tensor, truth: Tensor, where: Tensor) -> float:
    """Return the structural similarity around some pixels, in windows of 7x7 (Wang et al. 2004, eq. 13); see `psnr`."""
    a, b = (each.movedim(-1, 1).double() / 255 for each in (made, truth))

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(functional.pad(values, (3, 3, 3, 3), mode="reflect"), 7, stride=1)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b, both = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similar = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(similar.mean(dim=1)[where].mean())


Scores = dict[str, dict[str, float]]
"""By angle: `psnr` and `ssim` on hidden pixels, means over scenes."""


def scores(made: Mapping[float, Tensor], views: Mapping[float, Sequence[View]]) -> Scores:
    """Compare results with the ground truth on hidden pixels."""
    found: Scores = {}
    for angle, of_angle in views.items():
        pairs = [(psnr(*each), ssim(*each)) for each in _compared(made[angle], of_angle)]
        means = np.mean(pairs, axis=0)
        found[f"{angle:g}"] = {"psnr": float(means[0]), "ssim": float(means[1])}
    return found


def _compared(made: Tensor, views: Sequence[View]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for frames, view in zip(made, views, strict=True):
        hidden = ~torch.from_numpy(view.mask)
        if hidden.any():
            yield frames, torch.from_numpy(view.truth), hidden


def learn(model: WanVelocity, data: Iterator[Sample], plan: TinyPlan, *, steps: int, rate: float, seed: int) -> Trainer:
    """Return a new trainer for a number of steps."""
    started = time.perf_counter()

    def report(step: int, seen: dict[str, float]) -> None:
        if step % (50 * LOOK) == 0 or step in (LOOK, steps):
            each = (time.perf_counter() - started) / step
            print(f"  step {step:5} loss {seen['loss']:.4f} norm {seen['norm']:.3f}, {1000 * each:.0f} ms", flush=True)

    prepare(model.transformer, checkpointing=False, compiled=plan.compiled)
    pace = Pace(learning_rate=rate, warmup=min(100, steps // 10), steps=steps, ema=0.995)
    recipe = Recipe(pace=pace, shift=plan.shift, seed=seed, look_every=min(LOOK, steps))
    return Trainer(model, data, recipe=recipe, team=Team(next(model.parameters()).device), report=report)


LOOK = 10


def train_base(plan: TinyPlan, frames: Tensor, device: torch.device) -> dict[str, Tensor]:
    """Train an image-to-video model on ordinary videos and return its EMA weights."""
    transformer = tiny_wan(plan, device)
    print(f"base: {sum(each.numel() for each in transformer.parameters()) / 1e6:.1f} million values", flush=True)
    data = batches(frames, torch.ones_like(frames[:, None, ..., 0], dtype=torch.bool), batch=plan.batch, seed=0)
    trainer = learn(WanVelocity(transformer), data, plan, steps=plan.base_steps, rate=plan.base_rate, seed=0)
    trainer.run(plan.base_steps)
    trainer.optimizer.load(trainer.optimizer.means)
    return {name: value.cpu().contiguous() for name, value in transformer.state_dict().items()}


def train_adapter(
    plan: TinyPlan, base: Any, frames: Tensor, masks: Tensor, views: Mapping[float, Sequence[View]], *, seed: int
) -> tuple[list[tuple[int, Scores]], dict[float, Tensor]]:
    """Train an adapter; return its metrics by step, and its results for the views at the end."""
    model = attach_adapter(copy.deepcopy(base), rank=plan.rank, hidden=plan.hidden, channels=6, seed=seed)
    model.to(frames.device)
    data = batches(frames, masks, batch=plan.batch, seed=seed + 1)
    trainer = learn(model, data, plan, steps=plan.adapter_steps, rate=plan.adapter_rate, seed=seed)
    curve = []
    for part in range(plan.evaluations + 1):
        trainer.run(plan.adapter_steps * part // plan.evaluations)
        trainer.optimizer.load(trainer.optimizer.means)
        made = {angle: fill_in(model, of_angle, plan, seed=seed) for angle, of_angle in views.items()}
        trainer.optimizer.load(trainer.optimizer.masters)
        curve.append((trainer.steps, scores(made, views)))
        print(f"  seed {seed}, step {trainer.steps}: {said(curve[-1][1])}", flush=True)
    return curve, made


def said(found: Scores) -> str:
    return ", ".join(f"{angle} degrees {each['psnr']:.2f} dB {each['ssim']:.3f}" for angle, each in found.items())


def run(
    plan: TinyPlan, *, seeds: Sequence[int], device: torch.device, workers: int, out: Path, keep: Path | None
) -> None:
    """Run the benchmark."""
    clock = StageTimer()

    def clips() -> dict[str, Tensor]:
        frames, masks = ordinary_clips(plan.size, count=plan.clips, masks=plan.masks, workers=workers)
        return {"frames": frames, "masks": masks}

    made = kept(keep and keep / "clips.safetensors", clips)
    frames, masks = (made[name].to(device) for name in ("frames", "masks"))
    clock.say(f"{len(frames)} clips, {masks.float().mean().item():.0%} of their pixels known under simulated masks")
    views = new_views(plan.size, scenes=plan.scenes, angles=ANGLES, workers=workers)
    known = {f"{angle:g}": float(np.mean([view.mask.mean() for view in of])) for angle, of in views.items()}
    clock.say("known in new views: " + ", ".join(f"{share:.0%} at {angle}" for angle, share in known.items()))
    base = tiny_wan(plan, device)
    base.load_state_dict(kept(keep and keep / "base.safetensors", partial(train_base, plan, frames, device)))
    base.eval().requires_grad_(False)
    clock.say("base trained")
    inpainted = {angle: torch.from_numpy(np.stack([view.inpainted for view in of])) for angle, of in views.items()}
    results: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "plan": attrs.asdict(plan),
        "known": known,
        "inpaint": scores(inpainted, views),
        "frozen": [],
        "curves": [],
        "seconds": clock.seconds,
    }
    for seed in seeds:
        frozen = {angle: fill_in(WanVelocity(base), of, plan, seed=seed) for angle, of in views.items()}
        results["frozen"].append(scores(frozen, views))
        curve, adapted = train_adapter(plan, base, frames, masks, views, seed=seed)
        results["curves"].append(curve)
        clock.say(f"adapter of seed {seed}")
        write(results, out)  # each time, so that an interrupted run has results
        made_by = {"frozen": frozen, "inpaint": inpainted, "adapter": adapted}
        draw_views(views, made_by, out / "views.png")
        write_evaluation(views, made_by, out / "evaluation")
    print(table(results), flush=True)


def write(results: Mapping[str, Any], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=2))
    (out / "table.md").write_text(table(results))
    draw_curve(results, out / "curve.png")


class StageTimer:
    """Prints the duration of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def say(self, what: str) -> None:
        now = time.perf_counter()
        self.seconds[what] = now - self._last
        print(f"({now - self._last:.1f} s) {what}", flush=True)
        self._last = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("outputs/train_tiny"))
    parser.add_argument(
        "--device", type=torch.device, default=torch.device("cuda" if torch.cuda.is_available() else "cpu")
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that make clips")
    parser.add_argument("--quick", action="store_true", help="all of it in seconds, too small to learn anything")
    parser.add_argument("--keep", type=Path, help="folder that keeps clips and the base for another time")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="change the plan: batch=32 width=128"
    )
    parser.add_argument("--compile", action="store_true", help="compile the blocks: minutes less on a GPU")
    args = parser.parse_args()
    plan = QUICK if args.quick else FULL
    changes = dict(each.split("=") for each in args.set)
    side = int(changes.pop("side", plan.size.side))
    length = int(changes.pop("frames", plan.size.frames))
    numbers = {name: type(getattr(plan, name))(value) for name, value in changes.items()}
    plan = attrs.evolve(plan, size=Size(frames=length, side=side), compiled=args.compile, **numbers)
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    run(plan, seeds=args.seeds, device=args.device, workers=args.workers, out=args.out, keep=args.keep)


if __name__ == "__main__":
    main()
