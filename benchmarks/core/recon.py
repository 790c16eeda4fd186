"""Time and memory per frame from depth to guidance.

    python -m benchmarks.core.recon [--size 512x512 ...] [--frames 49] [--renderer zbuffer] [--device cpu] [--json FILE]
        [--no-triton] [--whole]

A room with depth discontinuities is generated frame by frame and rendered from a camera that orbits it by 90 degrees.
Results are medians over the frames after a warm-up. Memory is the increase during the run, without the collected
guidance, and must not depend on `--frames`. `--whole` also times the path from decoded frames and depth to written
guidance, several times.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does; torch reads it when it is imported

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import attrs
import psutil
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ex4d_core.geometry.projective import look_at, ray_slopes
from ex4d_core.geometry.refine_depth import refine_depth
from ex4d_core.geometry.refine_options import RefineOptions
from ex4d_core.pipeline.codecs import save_guidance
from ex4d_core.pipeline.measure import measure as measuring
from ex4d_core.pipeline.stages import frames_at_once, render_guidance
from ex4d_core.plugins.registry import Registry
from ex4d_core.roles import MeshBuilder, Renderer
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Scene, Video
from ex4d_core.video_io import write_mask, write_video

WARM_UP = 3
WHOLE_RUNS = 6
ARC = 90
RADIUS = 3.15
MEBI = 2**20
Result = TypeVar("Result")


@attrs.frozen(kw_only=True)
class Figures:
    """What was measured at one size."""

    size: str
    renderer: str
    frames: int
    faces: int
    mesh_ms: float
    render_ms: float
    refine_ms: float
    """Refinement of depth, of one frame at a time."""
    both_ms: float
    """Refinement, mesh and rendering one after the other, waiting for the GPU at the end only."""
    slowest_ms: float
    """The same, of the slowest frame."""
    encode_ms: float
    """Color and mask as FFV1, a frame."""
    whole_s: tuple[float, ...]
    """From decoded frames and depth to written guidance, each run; the first one warms up."""
    guidance_mib: float
    memory_mib: float
    """Peak beyond the start and the guidance."""
    peak_mib: float


def room(intrinsics: Intrinsics, frame: int) -> tuple[Tensor, Tensor]:
    """Return a frame uint8 [H, W, 3] of a room in which a disc moves in front of a post, and its depth [H, W]."""
    x, y = ray_slopes(intrinsics, 0.5, torch.device("cpu"))
    x, y = torch.broadcast_tensors(x, y[:, None])
    depth = torch.minimum(4 / x.abs(), 2 / y.abs()).clamp(max=14)
    depth[(x > 0.2) & (x < 0.3) & (depth > 5)] = 5
    depth[(x - 0.2 * float(torch.tensor(frame / 8).sin())) ** 2 + y**2 < 0.2**2] = 3
    waves = [torch.sin(40 * x + y), torch.cos(31 * y - 7 * x), torch.sin(9 * depth)]
    return (128 + 100 * torch.stack(waves, dim=-1)).to(torch.uint8), depth


def pose(share: float) -> Tensor:
    """Return the pose at a share of the arc, 0 at the source camera."""
    angle = torch.deg2rad(torch.tensor(ARC * share, dtype=torch.float64))
    eye = RADIUS * torch.stack([angle.sin(), angle * 0, 1 - angle.cos()])
    return look_at(eye, torch.tensor([0.0, 0.0, RADIUS]))


def timed(work: Callable[[], Result], milliseconds: list[float]) -> Result:
    """Return what `work` returns, and note how long it took, the GPU's part too."""
    started = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    milliseconds.append((time.perf_counter() - started) * 1000)
    return result


def component(role: str, name: str, device: torch.device, **options: Any) -> Any:
    """Return a component with its default options but for those given."""
    registry = Registry()
    offer = registry.find(role, name)
    return registry.make(offer, offer.spec.options(**options), device=device)


def measure(width: int, height: int, args: argparse.Namespace) -> Figures:
    """Build, render and encode so many frames."""
    intrinsics = Intrinsics.from_fov(width=width, height=height)
    frames, device = args.frames, args.device
    at_once = frames_at_once(torch.device(device))
    builder = component("mesh", args.mesh, device)
    renderer = component("renderer", args.renderer, device, **({"triton": False} if args.no_triton else {}))
    mesh_ms: list[float] = []
    render_ms: list[float] = []
    refine_ms: list[float] = []
    both_ms: list[float] = []
    faces = 0

    def view(frame: int) -> tuple[Tensor, Tensor]:
        nonlocal faces
        image, depth = (there.to(device) for there in room(intrinsics, frame))
        mesh = timed(lambda: builder.build(image, depth, intrinsics), mesh_ms)
        faces = len(mesh.faces)
        camera = pose(frame / frames)
        timed(lambda: renderer.render(mesh, camera, intrinsics), render_ms)
        # A run refines as many frames at once as it copies to the device.
        images, depths = image.expand(at_once, -1, -1, -1), depth.expand(at_once, -1, -1)
        timed(lambda: refine_depth(images, depths, None, RefineOptions(), kind=DepthKind.AFFINE_INVERSE), refine_ms)
        refine_ms[-1] /= at_once
        seen = timed(lambda: renderer.render(builder.build(image, depth, intrinsics), camera, intrinsics), both_ms)
        both_ms[-1] += refine_ms[-1]
        return seen.color.cpu(), seen.mask.cpu()

    for frame in range(WARM_UP):
        view(frame)
    start = psutil.Process().memory_info().rss
    for milliseconds in (mesh_ms, render_ms, refine_ms, both_ms):
        milliseconds.clear()
    with measuring() as cost:
        color = torch.zeros(frames, height, width, 3, dtype=torch.uint8)
        mask = torch.zeros(frames, height, width, dtype=torch.bool)
        for frame in range(frames):
            color[frame], mask[frame] = view(frame)
    guidance = color.nbytes + mask.nbytes
    return Figures(
        size=f"{width}x{height}",
        renderer=args.renderer + (", no Triton" if args.no_triton else ""),
        frames=frames,
        faces=faces,
        mesh_ms=statistics.median(mesh_ms),
        render_ms=statistics.median(render_ms),
        refine_ms=statistics.median(refine_ms),
        both_ms=statistics.median(both_ms),
        slowest_ms=max(both_ms),
        encode_ms=encode(color, mask) / frames,
        whole_s=whole(intrinsics, frames, builder, renderer, device) if args.whole else (),
        guidance_mib=guidance / MEBI,
        memory_mib=(cost.peak_bytes - start - guidance) / MEBI,
        peak_mib=cost.peak_bytes / MEBI,
    )


def encode(color: Tensor, mask: Tensor) -> float:
    """Write color and mask losslessly and return the milliseconds."""
    milliseconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        video = Video(frames=color, fps=Fraction(30))
        timed(lambda: write_video(video, Path(folder, "color.mkv")), milliseconds)
        timed(lambda: write_mask(mask, Path(folder, "mask.mkv"), fps=video.fps), milliseconds)
    return sum(milliseconds)


def whole(
    intrinsics: Intrinsics, frames: int, builder: MeshBuilder, renderer: Renderer, device: torch.device
) -> tuple[float, ...]:
    """Make and write guidance for a clip `WHOLE_RUNS` times and return the seconds of each."""
    images, depths = zip(*(room(intrinsics, frame) for frame in range(frames)), strict=True)
    video = Video(frames=torch.stack(images), fps=Fraction(30))
    depth = DepthVideo(depth=torch.stack(depths), kind=DepthKind.RELATIVE, intrinsics=intrinsics)
    scene = Scene(video=video, depth=depth)
    poses = torch.stack([pose(frame / frames) for frame in range(frames)])
    path = CameraPath(world_to_camera=poses, intrinsics=intrinsics)

    def once() -> None:
        with tempfile.TemporaryDirectory() as folder:
            save_guidance(Path(folder), render_guidance(scene, path, builder, renderer, device=device))

    milliseconds: list[float] = []
    for _ in range(WHOLE_RUNS):
        timed(once, milliseconds)
    return tuple(took / 1000 for took in milliseconds)


def size(text: str) -> tuple[int, int]:
    """Read WxH."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def show(rows: list[Figures]) -> None:
    """Print a table, one column a size."""
    table = Table("milliseconds a frame (median)", *(f"{row.size}, {row.renderer}" for row in rows))
    lines: dict[str, Callable[[Figures], str]] = {
        "mesh": lambda f: f"{f.mesh_ms:.2f}",
        "render": lambda f: f"{f.render_ms:.2f}",
        "refine": lambda f: f"{f.refine_ms:.2f}",
        "refine + mesh + render": lambda f: f"{f.both_ms:.2f}",
        "refine + mesh + render, slowest frame": lambda f: f"{f.slowest_ms:.1f}",
        "encode color + mask (FFV1)": lambda f: f"{f.encode_ms:.1f}",
        "all frames to written guidance, seconds": lambda f: " ".join(f"{took:.2f}" for took in f.whole_s),
        "frames": lambda f: str(f.frames),
        "faces": lambda f: f"{f.faces:,}",
        "guidance, MiB": lambda f: f"{f.guidance_mib:.0f}",
        "memory beyond start and guidance, MiB": lambda f: f"{f.memory_mib:.0f}",
        "peak of the process, MiB": lambda f: f"{f.peak_mib:.0f}",
    }
    for name, line in lines.items():
        table.add_row(name, *map(line, rows))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=size, nargs="+", default=[(512, 512), (1024, 576)], metavar="WxH")
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--renderer", default="zbuffer")
    parser.add_argument("--mesh", default="watertight")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--no-triton", action="store_true", help="renderer torch: without Triton kernels")
    parser.add_argument("--whole", action="store_true", help="also time all frames, to written guidance")
    args = parser.parse_args()
    rows = [measure(*wh, args) for wh in args.size]
    show(rows)
    if args.json:
        machine = {"cores": psutil.cpu_count(), "platform": platform.platform(), "torch": torch.__version__}
        args.json.write_text(json.dumps({"machine": machine, "figures": [attrs.asdict(row) for row in rows]}, indent=2))


if __name__ == "__main__":
    main()
