"""Run only the generation stage, on a color video and a mask video."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from ex4d_core.cameras.files import read_camera_path
from ex4d_core.config.run_config import Tree
from ex4d_core.errors import InvalidInput
from ex4d_core.files import resumable_dir
from ex4d_core.names import safe_name
from ex4d_core.pipeline.artifacts import StageCache
from ex4d_core.pipeline.clips import path_key
from ex4d_core.pipeline.failed_runs import leaving_nothing_if_failed
from ex4d_core.pipeline.forecast import Pending, announce, forecast_of, remember
from ex4d_core.pipeline.generation import generate_stage, generation_inputs
from ex4d_core.pipeline.inputs import is_input, refuse_inputs
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.store import tensor_hash
from ex4d_core.types import CameraPath, Guidance, Video
from ex4d_core.video_io import Sound, check_video_suffix, probe_video, read_mask, read_video, write_video


def read_guidance(color: Path, mask: Path, camera: Path | None = None) -> Guidance:
    """Read guidance from a color and a mask video, and optionally a camera path in the `.npz` format of EX-4D.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: a file has another format, or lengths or sizes differ.
    """
    video = read_video(color)
    visible, _ = read_mask(mask)
    if visible.shape != video.frames.shape[:3]:
        raise InvalidInput(
            f"{mask} has {_facts(*visible.shape)} but {color} has {_facts(*video.frames.shape[:3])}; "
            "pass the mask of this color video"
        )
    # Lossy compression leaves pixels in holes that are not quite black.
    frames = video.frames * visible[..., None]
    return Guidance(color=frames, mask=visible, fps=video.fps, cameras=None if camera is None else _read_path(camera))


def generate_from_files(session: Session, color: Path, mask: Path, camera: Path | None, output: Path) -> None:
    """Generate the hidden regions of a color video and write the video, with the sound of the color video.

    Args:
        session: the backbone and its options.
        color: color video.
        mask: mask video.
        camera: camera path in the `.npz` format of EX-4D, if any.
        output: output video.

    Raises:
        InputNotFound: a file does not exist.
        InvalidInput: a file has another format, or lengths or sizes differ.
        OutputFailed: the output cannot be written, or is one of the files.
    """
    inputs = [path for path in (color, mask, camera) if path is not None]
    check_video_suffix(output)
    refuse_inputs([output], inputs, instead="another --output-video")
    _announce(session, color, output)
    guidance = read_guidance(color, mask, camera)
    generate_file(session, guidance, output, sound=Sound(clip=color), inputs=inputs)


def _announce(session: Session, color: Path, output: Path) -> None:
    """Report what a long generation takes, and refuse one that does not fit."""
    info = probe_video(color)
    size = info.width, info.height
    found = forecast_of(
        session,
        [Pending(stage=stage, frames=info.num_frames, size=size) for stage in ("read", "result")],
        goal="result",
        frames=info.num_frames,
        size=size,
        folder=output.parent,
        flags="",
    )
    announce(session, str(color), found)


def generate_file(
    session: Session, guidance: Guidance, output: Path, *, sound: Sound | None = None, inputs: Sequence[Path] = ()
) -> None:
    """Generate the hidden regions of the guidance and write the video.

    Args:
        session: the backbone and its options.
        guidance: the guidance.
        output: output video.
        sound: sound of the output.
        inputs: files that previews do not overwrite.

    Raises:
        InvalidInput: the suffix of the output is not that of a video.
        OutputFailed: the output cannot be written.
    """
    check_video_suffix(output)  # before minutes of work
    determining = _inputs(session, guidance)

    def show(name: str, video: Video) -> None:
        path = output.with_name(safe_name(f"{output.stem}_{name}{output.suffix}"))
        if not is_input(path, inputs):
            write_video(video, path)

    def scratch(stage: str, key: str) -> AbstractContextManager[Path | None]:
        folder = output.with_name(f".partial-{safe_name(output.stem, most=200)}-{key}")
        return resumable_dir(folder, tell=lambda text: session.reporter.note(f"{stage}: {text}"))

    cache = StageCache(session.reporter, scratch=scratch)
    with leaving_nothing_if_failed(output.parent):
        video = generate_stage(
            cache,
            session,
            determining,
            needs=lambda: (guidance, None),
            show=show,
            finish=lambda video: write_video(video, output, sound=sound, warn=session.reporter.warn),
        )
    remember(session, cache.records, {"result": video.num_frames}, (video.width, video.height))


def _inputs(session: Session, guidance: Guidance) -> Tree:
    """Return everything that determines the result; partial results are resumed only if it is equal."""
    return {
        "color": tensor_hash(guidance.color),
        "mask": tensor_hash(guidance.mask),
        "cameras": guidance.cameras and path_key(guidance.cameras),
        "fps": str(guidance.fps),
        **generation_inputs(session),
    }


def _read_path(path: Path) -> CameraPath:
    file = read_camera_path(path, format="ex4d")
    assert file.intrinsics is not None, "the format stores them"
    return CameraPath(
        world_to_camera=torch.from_numpy(file.world_to_camera).float(), intrinsics=file.intrinsics, frames=file.frames
    )


def _facts(frames: int, height: int, width: int) -> str:
    return f"{frames} frames of {width}x{height}"
