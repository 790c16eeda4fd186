"""Simulate training pairs from ordinary videos: guidance with holes, and the video that fills them."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from ex4d_core.bounds import require
from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.errors import InvalidInput
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.masks.cotracker import tracker_of
from ex4d_core.masks.erosion import erode, sample_erosion_sizes
from ex4d_core.masks.options import Kind, MaskOptions
from ex4d_core.masks.paths import random_path, random_progress
from ex4d_core.masks.trackers import Tracker
from ex4d_core.masks.tracking import tracking_mask
from ex4d_core.pipeline.stages import render_guidance
from ex4d_core.roles import MeshBuilder, Renderer
from ex4d_core.types import Guidance, Scene, Video

CPU = torch.device("cpu")


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
    """Mask the frames of a clip as a rendering along a camera path would; the target is the clip itself.

    There are two kinds of mask (simulated masking of EX-4D, arXiv 2506.05554). A rendering mask is the mask of a
    rendering along a random extreme path, applied to the original frames. A tracking mask hides regions that move
    with the objects of the clip.

    The mask is eroded by `options.erosion`, as backbones erode renderings at inference, so it must not be eroded again.
    Frame 0 is fully visible, as at inference.

    Args:
        scene: the clip with depth, or the clip alone, for tracking masks of random regions.
        options: options of the mask; the defaults if None.
        seed: seed of all random choices; equal seeds give equal masks on one kind of device.
        builder: mesh builder; the depth watertight mesh if None.
        renderer: renderer; the CPU renderer if None.
        tracker: point tracker; the one selected by the options if None.
        device: device of mesh building for rendering masks, and of CoTracker.

    Returns:
        The original frames, 0 where hidden, with the mask and without cameras.

    Raises:
        InvalidInput: a rendering mask of a clip without depth, or frame 0 has no valid depth.
        WrongComponent: the result of the tracker or the renderer has another size.
    """
    options = MaskOptions() if options is None else options
    require(scene, Scene | Video, "simulate_masks")
    require(options, MaskOptions, "simulate_masks")
    video = scene.video if isinstance(scene, Scene) else scene
    builder = builder or WatertightMesh(WatertightOptions(), device=CPU)
    if renderer is None:
        from ex4d_core.builtin.render_zbuffer import ZBufferRenderer  # numba; every command imports this module

        renderer = ZBufferRenderer(RasterOptions(), device=CPU)
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
    """Return the kind of mask of a seed: rendering or tracking."""
    if options.kind != "mixed":
        return options.kind
    # A separate generator, so that an explicit kind gives the same mask as 'mixed' for the same seed.
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
            "a rendering mask requires depth; pass a Scene, or MaskOptions(kind='tracking') for masks without depth"
        )
    # The path is relative to the moving source camera, as at inference, so the source camera is treated as static.
    still = attrs.evolve(scene, depth=attrs.evolve(scene.depth, cameras=None))
    progress = random_progress(scene.video.num_frames, options, generator)
    path = random_path(still.depth, progress, options, generator)
    return render_guidance(still, path, builder, renderer, device=device).mask
