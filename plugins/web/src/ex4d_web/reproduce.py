"""The command line and the Python code that make a result again."""

from __future__ import annotations

from typing import Any

import attrs

from ex4d_core.config import Tree
from ex4d_core.shell import command_line
from ex4d_web.settings import FILE, Settings


def resolved(settings: Settings, *, depth: str, backbone: str) -> Settings:
    """Return settings with the components that were used, since `auto` may select others on another machine."""
    return attrs.evolve(settings, depth=depth, backbone=backbone)


def command(settings: Settings) -> str:
    """Return the command that makes the result again; files are in the current folder."""
    words = ["ex4d", "run", settings.clip]
    if settings.start:
        words += ["--start", str(settings.start)]
    if settings.stride != 1:
        words += ["--stride", str(settings.stride)]
    words += ["--num-frames", str(settings.count)]
    if settings.size:
        words += ["--size", settings.size]
    words += ["--depth-file", settings.depth_file] if settings.depth_file else ["--depth", settings.depth]
    words += ["--cam", settings.cam, "--backbone", settings.backbone]
    if settings.prompt:
        words += ["--prompt", settings.prompt]
    if settings.speed:
        words += ["--speed", settings.speed]
    if settings.memory:
        words += ["--gpu-memory", settings.memory]
    return command_line([*words, "--seed", str(settings.seed)])


def python(settings: Settings) -> str:
    """Return the Python code that makes the result again; files are in the current folder."""
    video: Tree = {"start": settings.start, "stride": settings.stride, "num_frames": settings.count}
    video = {name: value for name, value in video.items() if value != {"start": 0, "stride": 1}.get(name)}
    if settings.size:
        video["size"] = settings.size
    tables: dict[str, Any] = {
        "video": video,
        "depth": {"name": FILE, "path": settings.depth_file} if settings.depth_file else settings.depth,
        "backbone": {"name": settings.backbone, **options}
        if (options := settings.backbone_options())
        else settings.backbone,
        "seed": settings.seed,
    }
    if settings.prompt:
        tables["prompt"] = settings.prompt
    arguments = "\n".join(f"    {name}={value!r}," for name, value in tables.items())
    return (
        "import ex4d_core as ex4d\n\n"
        f"session = ex4d.Session(\n{arguments}\n)\n"
        f"path_run = session.run({settings.clip!r}, cam={settings.cam!r})\n"
        'ex4d.write_video(path_run.video, "result.mp4")\n'
    )
