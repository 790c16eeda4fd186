"""Speed and memory of the plugin `transformers` with random weights of the real sizes.

    python -m benchmarks.depth.speed --model depth-anything-v2-small depth-pro --size 1280x720 --batch 1 8 --device cuda
    python -m benchmarks.depth.speed --model depth-anything-v2-large --weights weights/random --only-make

`--weights` stores the random checkpoints in the layout of the hub, for `--set depth.model=FOLDER/NAME`. Figures are the
median of `--repeats` clips after a warm-up, from frames to depth in the size of the clip.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import torch

from ex4d_core.pipeline.measure import measure as measuring
from ex4d_core.progress import silent
from ex4d_core.types import Video
from ex4d_depth_transformers.estimator import TransformersDepth
from ex4d_depth_transformers.options import TransformersOptions

DINO = {  # hidden size, layers, heads, layers that are read
    "small": (384, 12, 6, (3, 6, 9, 12)),
    "base": (768, 12, 12, (3, 6, 9, 12)),
    "large": (1024, 24, 16, (5, 12, 18, 24)),
}
HEAD = {  # neck, fusion
    "small": ((48, 96, 192, 384), 64),
    "base": ((96, 192, 384, 768), 128),
    "large": ((256, 512, 1024, 1024), 256),
}
MODELS = ("depth-anything-v2-small", "depth-anything-v2-base", "depth-anything-v2-large", "depth-pro")
PROCESSOR = {
    "size": {"height": 518, "width": 518},
    "ensure_multiple_of": 14,
    "keep_aspect_ratio": True,
    "resample": 3,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["depth-anything-v2-small"], choices=MODELS)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--num-frames", type=int, default=49)
    parser.add_argument("--batch", type=int, nargs="+", default=[4])
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--unsteady", action="store_true", help="leave the scales of frames as they are")
    parser.add_argument("--weights", type=Path, help="folder where the random checkpoints are kept")
    parser.add_argument("--only-make", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for model in arguments.model:
            folder = random_checkpoint(model, (arguments.weights or Path(temporary)) / model)
            if not arguments.only_make:
                measure(model, folder, arguments)


def random_checkpoint(model: str, folder: Path) -> Path:
    if (folder / "preprocessor_config.json").is_file():
        return folder
    import transformers

    torch.manual_seed(0)
    if model == "depth-pro":
        dino = {**dino_config("large"), "image_size": 384, "patch_size": 16}
        parts = {f"{part}_model_config": dino for part in ("image", "patch", "fov")}
        made = transformers.DepthProForDepthEstimation(transformers.DepthProConfig(use_fov_model=True, **parts))
        last, processor = made.head.layers[-2], {"size": {"height": 1536, "width": 1536}}
        torch.nn.init.zeros_(made.fov_model.head.layers[-1].weight)
        made.fov_model.head.layers[-1].bias.data.fill_(55.0)  # degrees, always
    else:
        made = transformers.DepthAnythingForDepthEstimation(transformers.DepthAnythingConfig(**depth_anything(model)))
        last, processor = made.head.conv3, PROCESSOR
    last.bias.data.fill_(1.0)  # or nearly all of it would be cut off at 0
    made.half().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def depth_anything(model: str) -> dict:
    size = model.rpartition("-")[2]
    hidden, _, _, read = DINO[size]
    neck, fusion = HEAD[size]
    backbone = dino_config(size) | {"out_indices": list(read), "reshape_hidden_states": False}
    return {
        "backbone_config": backbone | {"image_size": 518, "patch_size": 14},
        "reassemble_hidden_size": hidden,
        "neck_hidden_sizes": neck,
        "fusion_hidden_size": fusion,
    }


def dino_config(size: str) -> dict:
    hidden, layers, heads, _ = DINO[size]
    return {
        "model_type": "dinov2",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


def measure(model: str, folder: Path, arguments: argparse.Namespace):
    width, height = (int(side) for side in arguments.size.split("x"))
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (arguments.num_frames, height, width, 3), generator=generator, dtype=torch.uint8)
    video = Video(frames=frames, fps=Fraction(24))
    for batch in arguments.batch:
        options = TransformersOptions(
            model=str(folder), batch=batch, dtype=arguments.dtype, steady=not arguments.unsteady
        )
        component = TransformersDepth(options, device=torch.device(arguments.device))
        component.estimate(video, progress=silent)
        seconds = []
        with measuring() as cost:
            for _ in range(arguments.repeats):
                started = time.perf_counter()
                component.estimate(video, progress=silent)
                seconds.append(time.perf_counter() - started)
        middle = statistics.median(seconds)
        print(
            f"{model}, {arguments.size}, {component.network.dtype}, batch {batch}: "
            f"{1000 * middle / arguments.num_frames:.1f} ms a frame, {middle:.2f} s the clip "
            f"({min(seconds):.2f} - {max(seconds):.2f}), {cost.peak_gpu_bytes / 2**30:.2f} GiB on the GPU",
            flush=True,
        )


if __name__ == "__main__":
    main()
