"""Flicker of frame-wise depth, without and with the temporal alignment of `transformers`, and of `vda`.

    python -m benchmarks.depth.flicker [--num-frames 49] [--size 256]
    python -m benchmarks.depth.flicker --clip CLIP [--model NAME_OR_FOLDER] [--video-model NAME_OR_FOLDER]

Flicker is the mean change of depth from frame to frame relative to the clip's median depth, on pixels whose true
depth does not change. The room's true depth gets a random scale (and shift) for each frame, and noise; `random network`
is a tiny Depth Anything with random weights on the still room with two levels of noise, and `random video network` a
tiny Video Depth Anything, whose random weights say nothing about the trained ones. `--clip` measures trained models on
a clip of a static scene with a static camera: one of `transformers`, and one of `vda`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import attrs
import numpy as np
import torch
from torch import Tensor

from ex4d_core.progress import silent
from ex4d_core.roles import DepthEstimator
from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Scene, Video
from ex4d_core.video_io import read_video
from ex4d_depth_anything3.backbone import BackboneConfig
from ex4d_depth_anything3.video.estimator import VideoDepthAnythingEstimator
from ex4d_depth_anything3.video.network import VideoConfig, VideoDepthAnything
from ex4d_depth_anything3.video.options import VdaOptions
from ex4d_depth_transformers.depth_kind import OutputKind
from ex4d_depth_transformers.estimator import TransformersDepth
from ex4d_depth_transformers.networks import Network
from ex4d_depth_transformers.options import TransformersOptions
from ex4d_depth_transformers.temporal_alignment import FrameAligner

CPU = torch.device("cpu")
TINY = {
    "backbone_config": {
        "model_type": "dinov2",
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "out_indices": [1, 2, 3, 4],
        "image_size": 518,
        "patch_size": 14,
        "reshape_hidden_states": False,
    },
    "reassemble_hidden_size": 32,
    "neck_hidden_sizes": (16, 16, 16, 16),
    "fusion_hidden_size": 16,
    "head_hidden_size": 16,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-frames", type=int, default=49)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--model", help="measure this model of transformers on --clip")
    parser.add_argument("--video-model", help="measure this model of vda on --clip")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    print(f"{'clip':8} {'depth':22} flicker as it comes  steadied  (times less)  noise alone")
    for name in ("still", "movers"):
        scene = make_scene(name, arguments.num_frames, arguments.size)
        for what, reading in (("inverse, scale + shift", OutputKind.INVERSE), ("metric, scale", OutputKind.METRIC)):
            report(name, what, guessed(scene, reading), scene, noise_alone=guessed(scene, reading, jitter=0.0))
    still = make_scene("still", arguments.num_frames, arguments.size)
    with tempfile.TemporaryDirectory() as folder:
        options = TransformersOptions(model=str(random_network(Path(folder))))
        report("still", "random network", TransformersDepth(options, device=CPU), noisy(still))
    with tempfile.TemporaryDirectory() as folder:
        options = VdaOptions(model=str(random_video_network(Path(folder))), short_side=126)
        report_video("still", "random video network", VideoDepthAnythingEstimator(options, device=CPU), noisy(still))
    device = torch.device(arguments.device)
    if arguments.model and arguments.clip:
        component = TransformersDepth(TransformersOptions(model=arguments.model), device=device)
        report(arguments.clip.name, arguments.model, component, read_video(arguments.clip))
    if arguments.video_model and arguments.clip:
        component = VideoDepthAnythingEstimator(VdaOptions(model=arguments.video_model), device=device)
        report_video(arguments.clip.name, arguments.video_model, component, read_video(arguments.clip))
    print(f"steadying takes {1000 * seconds_a_frame(still):.2f} ms a frame")


def make_scene(name: str, num_frames: int, size: int) -> Scene:
    room = room_scene() if name == "movers" else room_scene().frozen_at(0.0)
    return room.clip(num_frames=num_frames, width=size, height=size)


@attrs.define
class Guesser:
    """Replaces a model: true depth of the next frames, each with its own scale and shift, and noise."""

    truth: Tensor
    scale: float
    shift: float
    frame: int = 0
    generator: torch.Generator = attrs.field(factory=lambda: torch.Generator().manual_seed(0))
    config = SimpleNamespace()

    def __call__(self, pixel_values: Tensor) -> SimpleNamespace:
        maps = []
        for _ in range(len(pixel_values)):
            truth = self.truth[self.frame % len(self.truth)]
            noise = 1 + 0.005 * torch.randn(truth.shape, generator=self.generator)
            scale, shift = torch.randn(2, generator=self.generator)
            maps.append(truth * noise * (self.scale * scale).exp() + self.shift * shift)
            self.frame += 1
        return SimpleNamespace(predicted_depth=torch.stack(maps))


def guessed(scene: Scene, reading: OutputKind, *, jitter: float = 1.0) -> TransformersDepth:
    depth = scene.depth.depth
    inverse = reading is OutputKind.INVERSE
    guesser = Guesser(1 / depth, 0.2 * jitter, 0.03 * jitter) if inverse else Guesser(depth, 0.05 * jitter, 0.0)
    component = TransformersDepth(TransformersOptions(), device=CPU)
    component.network = Network(
        model=guesser, model_type="dpt", output_kind=reading, processor={}, device=CPU, dtype=torch.float32
    )
    return component


def random_network(folder: Path) -> Path:
    import json

    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    torch.manual_seed(0)
    model = DepthAnythingForDepthEstimation(DepthAnythingConfig(**TINY))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.head.conv3.bias.data.fill_(2.0)
    model.save_pretrained(folder)
    processor = {"size": {"height": 252, "width": 252}, "ensure_multiple_of": 14, "keep_aspect_ratio": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def random_video_network(folder: Path) -> Path:
    torch.manual_seed(0)
    network = VideoDepthAnything(
        VideoConfig(
            backbone=BackboneConfig(
                channels=64,
                blocks=4,
                grid=37,
                outputs=(0, 1, 2, 3),
                across_views=-1,
                normalized=-1,
                rotary=-1,
                concatenated=False,
            ),
            stages=(32, 32, 32, 32),
            features=32,
            frames=32,
        )
    )
    network.head.scratch.output_conv2[-1].bias.data.fill_(1.0)  # or half of the output would be cut off at 0
    torch.save(network.state_dict(), folder / "random.pth")
    return folder


def noisy(scene: Scene) -> Scene:
    noise = torch.randn(scene.video.frames.shape, generator=torch.Generator().manual_seed(0)) * 2
    frames = (scene.video.frames + noise).round().clamp(0, 255).to(torch.uint8)
    return attrs.evolve(scene, video=Video(frames=frames, fps=Fraction(24)))


def report(
    name: str,
    what: str,
    component: TransformersDepth,
    clip: Scene | Video,
    *,
    noise_alone: TransformersDepth | None = None,
):
    plain, steadied = (flicker(component, clip, steady=steady) for steady in (False, True))
    least = "" if noise_alone is None else f"{100 * flicker(noise_alone, clip, steady=False):12.3f} %"
    print(f"{name:8} {what:22} {100 * plain:17.3f} % {100 * steadied:7.3f} %  {plain / steadied:12.1f} {least}")


def report_video(name: str, what: str, component: VideoDepthAnythingEstimator, clip: Scene | Video):
    print(f"{name:8} {what:22} {100 * change(component, clip):17.3f} %")


def flicker(component: TransformersDepth, clip: Scene | Video, *, steady: bool) -> float:
    component._options = attrs.evolve(component._options, steady=steady)
    return change(component, clip)


def change(component: DepthEstimator, clip: Scene | Video) -> float:
    video = clip.video if isinstance(clip, Scene) else clip
    still = torch.ones(video.frames.shape[:3], dtype=torch.bool)[1:]
    if isinstance(clip, Scene):
        still = clip.depth.depth[1:] == clip.depth.depth[:-1]
    depth = component.estimate(video, progress=silent).depth
    return float((depth[1:] - depth[:-1]).abs()[still].mean() / depth.median())


def seconds_a_frame(scene: Scene) -> float:
    small = torch.nn.functional.adaptive_avg_pool2d
    values = small(1 / scene.depth.depth[:1], (64, 64))[0].double().numpy()
    picture = np.moveaxis(small(scene.video.frames[0].movedim(-1, 0).double(), (64, 64)).numpy(), 0, -1)
    aligner = FrameAligner(unchanged=8.0, cut=0.5, fit_scale=True)
    started = time.perf_counter()
    for frame in range(100):
        aligner.add(values * (1 + 0.01 * (frame % 7)), picture)
    return (time.perf_counter() - started) / 100


if __name__ == "__main__":
    main()
