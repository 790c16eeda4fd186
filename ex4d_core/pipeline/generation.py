"""The generation stage, which `ex4d run` and `ex4d generate` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ex4d_core.cameras.language import cam_file_part
from ex4d_core.config.run_config import Tree
from ex4d_core.names import safe_name
from ex4d_core.pipeline import stages
from ex4d_core.pipeline.artifacts import VIDEO, StageCache
from ex4d_core.pipeline.components import Components
from ex4d_core.pipeline.inputs import is_input
from ex4d_core.progress import Progress
from ex4d_core.roles import DiffusionBackbone
from ex4d_core.types import Guidance, Scene, Video
from ex4d_core.video_io import write_video
from ex4d_core.workspace import Workspace


def generation_inputs(components: Components) -> Tree:
    """Return what determines the result besides the guidance."""
    backbone = components.choose("backbone")
    settings = {"prompt": components.config.prompt, "seed": components.config.seed}
    read = {name: value for name, value in settings.items() if name not in backbone.offer.spec.ignores}
    return {"backbone": backbone.identity(), **read}


def generate_stage(
    cache: StageCache,
    components: Components,
    inputs: Tree,
    *,
    needs: Callable[[], tuple[Guidance, Scene | None]],
    show: Callable[[str, Video], None],
    finish: Callable[[Video], None] = lambda video: None,
) -> Video:
    """Return the result: the video from the target camera.

    Args:
        cache: stores the result.
        components: the backbone, and the prompt and seed of its configuration.
        inputs: everything that determines the result.
        needs: returns the guidance, and its scene if available.
        show: called with name and video of each preview of the backbone.
        finish: called with the result before the partial results of the stage are removed.
    """
    config = components.config

    def work(
        needed: tuple[Guidance, Scene | None], backbone: DiffusionBackbone, progress: Progress, folder: Path | None
    ) -> Video:
        guidance, scene = needed
        stages.warn_if_trivial_mask(guidance, components.reporter, given=scene is None)
        video = stages.generate_video(
            *needed,
            backbone,
            prompt=config.prompt,
            seed=config.seed,
            progress=progress,
            workspace=Workspace(folder=folder, show=show),
        )
        finish(video)
        return video

    return cache.cached_stage("result", inputs, VIDEO, needs=needs, load=components.backbone, work=work)


def show_preview(folder: Path | None, cam: str, inputs: Sequence[Path], name: str, video: Video) -> None:
    """Write a preview of the result along a path into the run folder, if there is one; inputs are not overwritten."""
    path = folder and folder / f"{safe_name(name, most=64)}_{cam_file_part(cam)}.mp4"
    if path and not is_input(path, inputs):
        write_video(video, path)
