"""Time and memory of DepthCrafter on one GPU, and the effect of our optimizations on its result.

    python -m benchmarks.depth.depthcrafter [--clip 49x512x512 ...] [--runs 3]
        [--set depth.offload=model ...] [--memory GIB] [--weights FOLDER] [--stock] [--json FILE]

Without `--weights` the networks have the real sizes and random values, written once to a temporary folder in the layout
of the hub and loaded like real ones. The first run is a warm-up and not counted. `--stock` also runs the unmodified
networks of diffusers and compares inverse depth in [0, 1]. `--memory` limits the memory of the GPU.
"""

from __future__ import annotations

import os

os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # as the command does

import argparse
import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from unittest import mock

import attrs
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ex4d_core.config.run_config import make_options, parse_settings
from ex4d_core.types import Video
from ex4d_depth_depthcrafter.estimator import DepthCrafter
from ex4d_depth_depthcrafter.options import DepthCrafterOptions

GIBI = 2**30
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "scaling_factor": 0.18215,
}
UNET = {"num_attention_heads": (5, 10, 20, 20)}
CLIP = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1024,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "gelu",
}
SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
}
PREPROCESSOR = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}


@attrs.frozen(kw_only=True)
class Figures:
    """Measurements of one clip."""

    clip: str
    seconds: tuple[float, ...]
    """Time of each run, from frames to depth on the CPU."""
    peak_gib: float
    """Peak of memory reserved by the allocator."""
    used_gib: float
    """Peak of memory in tensors."""
    largest_difference: float | None = None
    """Difference from the networks of diffusers, of inverse depth in [0, 1]."""
    mean_difference: float | None = None


def write_checkpoint(folder: Path) -> None:
    """Write networks of the real sizes with random values in 16 bits."""
    from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    with torch.device("cuda"):
        networks = {
            "unet": UNetSpatioTemporalConditionModel(**UNET),
            "base/vae": AutoencoderKLTemporalDecoder(**VAE),
            "base/image_encoder": CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP)),
        }
    for name, network in networks.items():
        network.half().save_pretrained(folder / name, variant="fp16")
    EulerDiscreteScheduler(**SCHEDULER).save_pretrained(folder / "base/scheduler")
    (folder / "base/feature_extractor").mkdir()
    (folder / "base/feature_extractor/preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))


def moving_waves(frames: int, width: int, height: int) -> Video:
    """Return a clip with structure, so that the encoders get realistic input."""
    time = torch.arange(frames).view(-1, 1, 1) / 8
    across, down = torch.arange(width) / width, torch.arange(height)[:, None] / height
    waves = [torch.sin(19 * across + time), torch.cos(13 * down - 7 * across + time), torch.sin(31 * across * down)]
    stacked = torch.stack([wave.expand(frames, height, width) for wave in waves], dim=-1)
    return Video(frames=(127.5 + 127 * stacked).to(torch.uint8), fps=Fraction(24))


def inverse_depth(estimator: DepthCrafter, video: Video) -> Tensor:
    """Return the output of the networks, before its conversion to depth."""
    return estimator.diffusion.inverse_depth(video.frames, progress=lambda *_: None)


def measure(clip: tuple[int, int, int], options: DepthCrafterOptions, runs: int, stock: bool) -> Figures:
    """Estimate the depth of one clip several times, after a warm-up."""
    video = moving_waves(*clip)
    estimator = DepthCrafter(options, device=torch.device("cuda"))
    seconds = []
    for _ in range(1 + runs):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        estimator.estimate(video, progress=lambda *_: None)
        seconds.append(time.perf_counter() - started)
    figures = Figures(
        clip="x".join(map(str, (clip[0], clip[2], clip[1]))),
        seconds=tuple(seconds[1:]),
        peak_gib=torch.cuda.max_memory_reserved() / GIBI,
        used_gib=torch.cuda.max_memory_allocated() / GIBI,
    )
    if not stock:
        return figures
    tuned = inverse_depth(estimator, video)
    del estimator
    with mock.patch("ex4d_depth_depthcrafter.networks.optimize"):
        plain = inverse_depth(DepthCrafter(options, device=torch.device("cuda")), video)
    off = (tuned - plain).abs()
    return attrs.evolve(figures, largest_difference=off.max().item(), mean_difference=off.mean().item())


def clip_size(text: str) -> tuple[int, int, int]:
    """Parse FRAMESxHEIGHTxWIDTH to frames, width, height."""
    frames, height, width = map(int, text.split("x"))
    return frames, width, height


def show(rows: list[Figures]) -> None:
    """Print a line for each clip."""
    table = Table("clip", "seconds, each run", "GPU, GiB reserved", "in tensors", "largest difference", "mean")
    for row in rows:
        differences = (row.largest_difference, row.mean_difference)
        table.add_row(
            row.clip,
            " ".join(f"{took:.2f}" for took in row.seconds),
            f"{row.peak_gib:.1f}",
            f"{row.used_gib:.1f}",
            *("" if value is None else f"{value:.1e}" for value in differences),
        )
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=clip_size, nargs="+", default=[(49, 512, 512), (110, 1024, 576)])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="depth.OPTION=VALUE")
    parser.add_argument("--memory", type=float, help="GiB of the GPU that may be used")
    parser.add_argument("--weights", type=Path, help="folder with unet and base; random ones are written there if new")
    parser.add_argument("--stock", action="store_true", help="compare with the networks as diffusers has them")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        weights = args.weights or Path(temporary)
        if not (weights / "unet").exists():
            write_checkpoint(weights)
            torch.cuda.empty_cache()
        if args.memory:
            torch.cuda.set_per_process_memory_fraction(
                args.memory * GIBI / torch.cuda.get_device_properties(0).total_memory
            )
        given = parse_settings(args.set).get("depth", {})
        places = {"unet": str(weights / "unet"), "base": str(weights / "base")}
        options = make_options(DepthCrafterOptions, {**places, **given}, "depth")
        rows = [measure(clip, options, args.runs, args.stock) for clip in args.clip]
    show(rows)
    if args.json:
        args.json.write_text(json.dumps([attrs.asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
