"""Simulate training pairs from ordinary videos: guidance with holes, and the video that fills them."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.masks.cotracker import tracker_of
from ex4d_core.masks.erosion import erode, sample_erosion_sizes
from ex4d_core.masks.options import Kind, MaskOptions
from ex4d_core.masks.paths import random_path, random_progress
from ex4d_core.masks.trackers import Tracker
from ex4d_core.masks.tracking import tracking_mask
from ex4d_core.pipeline.stages import CPU, render_guidance
from ex4d_core.roles import MeshBuilder, Renderer
from ex4d_core.types import Guidance, Scene, Video


def simulate_masks(
    scene: Scene | Video,
    *,
    options: MaskOptions | None = None,
    seed: int = 0,
    builder: MeshBuilder | None = None,
    renderer: Renderer | None = None,
    tracker: Tracker | None = None,
    device: torch.device = CPU,
) -> Guidance:
    """Return a clip's own frames with a mask like those of real renderings: the truth is the clip itself.

    Two kinds of mask (EX-4D, arXiv 2506.05554, on simulated masking). A rendering mask is what the renderer leaves
    unseen of the clip's meshes along a random extreme path, laid over the original frames. A tracking mask hides
    regions of the clip that move with what they are on.

    The mask is what a model is shown: already eroded, frame by frame, by what `options.erosion` says, as backbones do
    it to a rendering at inference. Nobody who encodes it may erode it again. Frame 0 stays known in full, as at
    inference.

    Args:
        scene: the clip and its depth; a clip without depth can have tracking masks only, of random regions.
        options: the defaults when None.
        seed: decides everything that is random: equal seeds give equal masks on one kind of device.
        builder: makes meshes; the depth watertight mesh when None.
        renderer: looks at them; the one on the CPU when None.
        tracker: follows points; as the options say when None.
        device: where meshes are built for rendering masks, and where CoTracker computes.

    Returns:
        `color`, the original frames, 0 where hidden; `mask`. It has no cameras: the frames are the source camera's.

    Raises:
        InvalidInput: a rendering mask of a clip without depth, or no pixel of frame 0 has a depth.
        WrongComponent: the tracker's or the renderer's answer is of another size.
    """
    options = options or MaskOptions()
    video = scene.video if isinstance(scene, Scene) else scene
    builder = builder or WatertightMesh(WatertightOptions(), device=CPU)
    renderer = renderer or ZBufferRenderer(RasterOptions(), device=CPU)
    generator = torch.Generator().manual_seed(seed)
    if kind_of(options, seed) == "rendering":
        mask = _rendering_mask(scene, options, generator, builder, renderer, device)
    else:
        mask = tracking_mask(
            scene,
            options,
            generator,
            builder=builder,
            renderer=renderer,
            tracker=tracker or tracker_of(options, device=device),
        )
    mask = erode(mask, sample_erosion_sizes(video.num_frames, options.erosion, seed=seed))
    mask[0] = True
    return Guidance(color=video.frames * mask[..., None], mask=mask, fps=video.fps)


def kind_of(options: MaskOptions, seed: int) -> Kind:
    """Return which kind of mask a seed gives: rendering or tracking."""
    if options.kind != "mixed":
        return options.kind
    # A generator of its own, so that a kind that is asked for gives the mask that 'mixed' gives for the same seed.
    draw = float(torch.rand(1, generator=torch.Generator().manual_seed(seed ^ 0x5EED)))
    return "rendering" if draw < options.rendering_share else "tracking"


def _rendering_mask(
    scene: Scene | Video,
    options: MaskOptions,
    generator: torch.Generator,
    builder: MeshBuilder,
    renderer: Renderer,
    device: torch.device,
) -> Tensor:
    if not isinstance(scene, Scene):
        raise InvalidInput(
            "a rendering mask needs the clip's depth; give a Scene, or MaskOptions(kind='tracking') for masks without"
        )
    # A path goes along with a source camera that moves, as moves do at inference: as if that stood still.
    still = attrs.evolve(scene, depth=attrs.evolve(scene.depth, cameras=None))
    progress = random_progress(scene.video.num_frames, options, generator)
    path = random_path(still.depth, progress, options, generator)
    return render_guidance(still, path, builder, renderer, device=device).mask
