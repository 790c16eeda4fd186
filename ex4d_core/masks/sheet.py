"""Draw simulated masks: a contact sheet of the clip, its masks and the guidance, with statistics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import attrs
import torch

from ex4d_core.files import atomic_write
from ex4d_core.masks.cotracker import tracker_of
from ex4d_core.masks.options import MaskOptions
from ex4d_core.masks.simulate import CPU, kind_of, simulate_masks
from ex4d_core.masks.statistics import known_by_frame, measure
from ex4d_core.pictures.contact_sheet import contact_sheet, frames_on_sheet
from ex4d_core.progress import Progress, silent, track
from ex4d_core.roles import MeshBuilder, Renderer
from ex4d_core.types import Scene, Video
from ex4d_core.video_io.images import write_png


def mask_files(folder: Path, options: MaskOptions) -> dict[str, Path]:
    """Return the files of `write_masks`."""
    return {"sheet": folder / f"masks_{options.kind}.png", "statistics": folder / f"masks_{options.kind}.json"}


def write_masks(
    scene: Scene | Video,
    folder: Path,
    *,
    options: MaskOptions,
    seeds: Sequence[int],
    builder: MeshBuilder | None = None,
    renderer: Renderer | None = None,
    device: torch.device = CPU,
    progress: Progress = silent,
) -> dict[str, Path]:
    """Write `masks_KIND.png`, a contact sheet, and `masks_KIND.json`, the statistics of each mask.

    Args:
        scene: the clip and its depth, or the clip alone.
        folder: output folder.
        options: options of the masks.
        seeds: one seed for each mask.
        builder: as for `simulate_masks`.
        renderer: as for `simulate_masks`.
        device: as for `simulate_masks`.
        progress: called after each mask.

    Returns:
        The paths `sheet` and `statistics`.

    Raises:
        InvalidInput: as for `simulate_masks`.
        OutputFailed: a file cannot be written.
    """
    frames = scene.video.frames if isinstance(scene, Scene) else scene.frames
    picks = frames_on_sheet(len(frames))
    rows = {"clip": frames[picks]}
    facts, tracker = [], tracker_of(options, device=device)
    for seed in track(seeds, progress):
        simulated = simulate_masks(
            scene, options=options, seed=seed, builder=builder, renderer=renderer, tracker=tracker, device=device
        )
        kind = kind_of(options, seed)
        rows |= {f"{kind} {seed}": simulated.mask[picks], f"shown {seed}": simulated.color[picks]}
        known = [round(fraction, 4) for fraction in known_by_frame(simulated.mask)]
        facts.append({"seed": seed, "kind": kind, **attrs.asdict(measure(simulated.mask)), "known_by_frame": known})
    files = mask_files(folder, options)
    with atomic_write(files["sheet"]) as temporary:
        write_png(temporary, contact_sheet(rows).numpy())
    with atomic_write(files["statistics"]) as temporary:
        temporary.write_text(json.dumps(facts, indent=2))
    return files
