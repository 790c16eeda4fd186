"""Visibility of seams between the windows of a long static clip.

    python -m benchmarks.wan.seams

requires no weights: it uses an ideal model of static clips with normally distributed latents. It prints the mean
difference between the last latent frame of one window and the first new one of the next, in standard deviations of the
latents; 0 is no seam.

    python -m benchmarks.wan.seams --model FOLDER --adapter FILE [--frames 89] [--window 49] [--overlap 1,5,9,13]
        [--size 512x512] [--steps 25] [--device cuda]

uses one image as a clip, with its right third hidden after the first frame, and prints for each overlap the mean change
between neighboring frames in levels of 255: inside windows, at the start of the blending, and after its end; and the
difference of the two windows in their shared frames. Only trained weights show how visible a seam is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from unittest import mock

import attrs
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ex4d_backbone_wan import backbone
from ex4d_backbone_wan.backbone import WanBackbone
from ex4d_backbone_wan.denoiser import Schedule, integrate
from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.windows import Window, cut_windows, latent_length, noise_of
from ex4d_core.progress import silent
from ex4d_core.types import Guidance
from ex4d_core.video_io import read_video

PICTURE = Path(__file__).parents[2] / "examples" / "room" / "clip.mp4"


@attrs.frozen(kw_only=True)
class Seams:
    """Mean differences of neighboring frames in levels of 255."""

    overlap: int
    windows: int
    inside: float
    """Median inside a window."""
    largest_inside: float
    faded_in: float
    """Maximum at the start of a blending."""
    alone: float
    """Maximum after the last shared frame."""
    apart: float
    """Difference of two windows in shared frames, before blending."""


def static_guidance(num_frames: int, size: tuple[int, int]) -> Guidance:
    """Return an image as a clip whose right third is hidden after the first frame."""
    picture = read_video(PICTURE, num_frames=1, size=size).frames[0]
    mask = torch.ones(num_frames, *picture.shape[:2], dtype=torch.bool)
    mask[1:, :, 2 * picture.shape[1] // 3 :] = False
    color = picture.expand(num_frames, -1, -1, -1) * mask[..., None]
    return Guidance(color=color, mask=mask, fps=Fraction(24))


def measure(options: WanOptions, guidance: Guidance, device: torch.device) -> Seams:
    """Return the seams between the windows of one clip."""
    shared: list[float] = []
    real = backbone.joined

    def joined(frames: Tensor, made: Tensor, window: Window) -> Tensor:
        before = frames[window.start : window.start + window.taken_over]
        shared.append(float(changes(before, made[: window.taken_over]).mean()))
        return real(frames, made, window)

    with mock.patch.object(backbone, "joined", joined):
        wan = WanBackbone(options, device=device)
        video = wan.generate(guidance, None, prompt="", seed=0, progress=silent)
    steps = changes(video.frames[:-1], video.frames[1:])
    windows = cut_windows(guidance.num_frames, window=options.num_frames, overlap=options.overlap)
    begins = [window.start - 1 for window in windows[1:]]
    ends = [window.start + window.taken_over - 1 for window in windows[1:]]
    touched = {at for begin, end in zip(begins, ends, strict=True) for at in range(begin, end + 1)}
    inside = steps[[at for at in range(len(steps)) if at not in touched]]
    return Seams(
        overlap=options.overlap,
        windows=len(windows),
        inside=float(inside.median()),
        largest_inside=float(inside.max()),
        faded_in=float(steps[begins].max()),
        alone=float(steps[ends].max()),
        apart=max(shared),
    )


def changes(before: Tensor, after: Tensor) -> Tensor:
    """Return the mean difference of each pair of frames uint8 [n, H, W, 3], float32 [n]."""
    return (after.float() - before.float()).abs().mean(dim=(1, 2, 3))


def toy_seams(overlap: int, *, window: int, steps: int) -> dict[str, float]:
    """Return the seam of an ideal model of static clips, depending on the data shared by the windows."""
    schedule = Schedule(steps, 5.0)
    generator = torch.Generator().manual_seed(0)
    shape = (1, 16, latent_length(window), 64, 64)
    shared, own = (torch.randn(shape, generator=generator) for _ in range(2))
    second = cut_windows(2 * window - overlap, window=window, overlap=overlap)[1]
    count = latent_length(second.taken_over)

    def run(start: Tensor, anchor: Tensor | None = None) -> Tensor:
        return integrate(
            static_clips(schedule), start, schedule=schedule, anchor=anchor, after_step=lambda step, latents: None
        )

    first = run(shared)

    def seam(made: Tensor) -> float:
        return float((made[:, :, count] - first[:, :, -1]).abs().mean() / first.std())

    anchor = first[:, :, -count:]
    return {
        "nothing": seam(run(own)),
        "latents": seam(run(own, anchor)),
        "latents and noise": seam(run(noise_of(second, shared), anchor)),
    }


def static_clips(schedule: Schedule) -> Callable[[Tensor, int], Tensor]:
    """Return the velocity of an ideal model of static clips.

    Given T frames x = (1 - s) clean + s noise, the posterior mean of `clean` is (1 - s) sum(x) / (s^2 + T (1 - s)^2).
    """

    def velocity(latents: Tensor, step: int) -> Tensor:
        sigma = float(schedule.sigmas[step])
        keep, frames = 1 - sigma, latents.shape[2]
        clean = keep * latents.sum(dim=2, keepdim=True) / (sigma**2 + frames * keep**2)
        return (latents - clean) / sigma

    return velocity


def toy_table(given: argparse.Namespace) -> Table:
    table = Table(title=f"an ideal model of static clips, windows of {given.window} frames: seam by what is shared")
    overlaps = [int(overlap) for overlap in given.overlap.split(",")]
    found = {overlap: toy_seams(overlap, window=given.window, steps=given.steps) for overlap in overlaps}
    table.add_column("overlap")
    for name in found[overlaps[0]]:
        table.add_column(name)
    for overlap, seams in found.items():
        table.add_row(str(overlap), *(f"{seam:.3f}" for seam in seams.values()))
    return table


def rows(given: argparse.Namespace) -> Iterator[Seams]:
    width, height = map(int, given.size.split("x"))
    guidance = static_guidance(given.frames, (width, height))
    for overlap in map(int, given.overlap.split(",")):
        options = WanOptions(
            model=given.model,
            adapter=given.adapter,
            size=given.size,
            steps=given.steps,
            num_frames=given.window,
            overlap=overlap,
        )
        yield measure(options, guidance, given.device)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or a name on the hub; left out, an ideal model is followed")
    parser.add_argument("--adapter", default="none")
    parser.add_argument("--frames", type=int, default=89)
    parser.add_argument("--window", type=int, default=49)
    parser.add_argument("--overlap", default="1,5,9,13")
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    given = parser.parse_args(arguments)
    if given.model is None:
        Console().print(toy_table(given))
        return
    table = Table(title=f"{given.frames} frames in windows of {given.window}, levels of 255")
    for field in attrs.fields(Seams):
        table.add_column(field.name.replace("_", " "))
    for seams in rows(given):
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in attrs.astuple(seams)))
    Console().print(table)


if __name__ == "__main__":
    main()
