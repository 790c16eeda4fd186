"""Speed and memory of `da3` and `vda` with random weights of the real sizes.

    python -m benchmarks.depth.anything3 --model da3-base --num-frames 49 --size 1280x720 --device cuda
    python -m benchmarks.depth.anything3 --model da3-base --device cuda --released ../Depth-Anything-3

Figures are the median of `--repeats` clips after a warm-up, from frames to depth in the size of the clip, and of the
network alone. The default size of the model input is that of the options: 504 pixels along the longer side for `da3`,
518 along the shorter side for `vda`. `--released` is a checkout of ByteDance-Seed/Depth-Anything-3: its network is
timed on the same input with the same weights, and its depth compared; it needs addict, einops and omegaconf.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ex4d_core.pipeline.measure import measure as measuring
from ex4d_core.progress import silent
from ex4d_core.types import Video
from ex4d_depth_anything3.backbone import BackboneConfig
from ex4d_depth_anything3.estimator import DepthAnything3Estimator
from ex4d_depth_anything3.heads import HeadConfig
from ex4d_depth_anything3.network import PREFIX, DepthAnything3
from ex4d_depth_anything3.options import Da3Options
from ex4d_depth_anything3.precision import autocast
from ex4d_depth_anything3.preprocessing import pictures
from ex4d_depth_anything3.video import preprocessing as video_preprocessing
from ex4d_depth_anything3.video.estimator import VideoDepthAnythingEstimator
from ex4d_depth_anything3.video.network import VideoConfig, VideoDepthAnything
from ex4d_depth_anything3.video.options import VdaOptions

SIZES = {  # channels of the transformer, features and stages of the head
    "small": (384, 64, (48, 96, 192, 384)),
    "base": (768, 128, (96, 192, 384, 768)),
}
MODELS = tuple(f"{kind}-{size}" for kind in ("da3", "vda") for size in SIZES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["da3-base"], choices=MODELS)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--num-frames", type=int, default=49)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--released", type=Path, help="a checkout of Depth-Anything-3, to compare with")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (arguments.num_frames, height, width, 3), generator=generator, dtype=torch.uint8)
    for model in arguments.model:
        with tempfile.TemporaryDirectory() as folder:
            measure(model, Path(folder), Video(frames=frames, fps=Fraction(24)), arguments)


def measure(model: str, folder: Path, video: Video, arguments: argparse.Namespace) -> None:
    device = torch.device(arguments.device)
    kind, size = model.split("-")
    if kind == "da3":
        random_da3(size, folder)
        options = Da3Options(model=str(folder), dtype=arguments.dtype)
        component = DepthAnything3Estimator(options, device=device)
        prepared = pictures(video.frames[: options.chunk], options.max_side)
    else:
        random_vda(size, folder)
        options = VdaOptions(model=str(folder), dtype=arguments.dtype)
        component = VideoDepthAnythingEstimator(options, device=device)
        prepared = video_preprocessing.pictures(video.frames[:32], options.short_side)
    report(f"{model}, whole clip", lambda: component.estimate(video, progress=silent), video.num_frames, arguments)
    prepared = prepared.to(device)
    what = f"network alone, {len(prepared)} frames of {prepared.shape[3]}x{prepared.shape[2]}"
    fast = "bfloat16" if kind == "da3" else "float16"

    def forward(network: Callable) -> object:
        with torch.inference_mode(), autocast(device, arguments.dtype, fast=fast):
            return network(prepared)

    report(f"{model}, {what}", lambda: forward(component.network), len(prepared), arguments)
    if arguments.released and kind == "da3":
        released = released_network(model, arguments.released, component.network).to(device)
        report(f"{model} as released, {what}", lambda: forward(lambda x: released(x[None])), len(prepared), arguments)
        ours, theirs = forward(component.network).depth, forward(lambda x: released(x[None]))["depth"][0]
        print(f"largest relative difference of depth: {float(((ours - theirs) / theirs).abs().max()):.1e}")


def report(what: str, run: Callable[[], object], frames: int, arguments: argparse.Namespace) -> None:
    cuda = arguments.device.startswith("cuda")
    run()
    seconds, processor = [], time.process_time()
    with measuring() as cost:
        for _ in range(arguments.repeats):
            started = time.perf_counter()
            run()
            if cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
    middle, processor = statistics.median(seconds), (time.process_time() - processor) / arguments.repeats
    print(
        f"{what}: {1000 * middle / frames:.1f} ms a frame, {middle:.3f} s ({min(seconds):.3f} - {max(seconds):.3f}), "
        f"{processor:.2f} s of CPU time, {cost.peak_gpu_bytes / 2**30:.2f} GiB on the GPU",
        flush=True,
    )


def random_da3(size: str, folder: Path) -> None:
    channels, features, stages = SIZES[size]
    backbone = BackboneConfig(
        channels=channels,
        blocks=12,
        grid=37,
        outputs=(5, 7, 9, 11),
        across_views=4,
        normalized=4,
        rotary=4,
        concatenated=True,
    )
    torch.manual_seed(0)
    network = DepthAnything3(
        backbone, HeadConfig(channels=2 * channels, features=features, stages=stages, confidence=True)
    )
    nn.init.zeros_(network.cam_dec.fc_fov[0].weight)
    nn.init.ones_(network.cam_dec.fc_fov[0].bias)  # radians, always
    tensors = {f"{PREFIX}{name}": value for name, value in network.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    starts = dict.fromkeys(("alt_start", "qknorm_start", "rope_start"), 4)
    net = {"name": f"vit{size[0]}", "out_layers": [5, 7, 9, 11], "cat_token": True, **starts}
    config = {"net": net, "head": {"__object__": {"name": "DualDPT"}}}
    (folder / "config.json").write_text(json.dumps({"model_name": f"da3-{size}", "config": config}))


def random_vda(size: str, folder: Path) -> None:
    channels, features, stages = SIZES[size]
    backbone = BackboneConfig(
        channels=channels,
        blocks=12,
        grid=37,
        outputs=(2, 5, 8, 11),
        across_views=-1,
        normalized=-1,
        rotary=-1,
        concatenated=False,
    )
    torch.manual_seed(0)
    network = VideoDepthAnything(VideoConfig(backbone=backbone, stages=stages, features=features, frames=32))
    nn.init.ones_(network.head.scratch.output_conv2[-1].bias)  # or half of the output would be cut off at 0
    torch.save(network.state_dict(), folder / "random.pth")


def released_network(model: str, checkout: Path, ours: DepthAnything3) -> nn.Module:
    sys.path.insert(0, str(checkout / "src"))
    from depth_anything_3.cfg import create_object, load_config

    made = create_object(load_config(str(checkout / f"src/depth_anything_3/configs/{model}.yaml")))
    result = made.load_state_dict(ours.state_dict(), strict=False)
    assert not result.unexpected_keys, result.unexpected_keys
    return made.eval()


if __name__ == "__main__":
    main()
