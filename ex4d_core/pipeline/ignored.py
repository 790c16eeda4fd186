"""Settings of the user that no component reads."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import attrs

from ex4d_core.config.run_config import RunConfig
from ex4d_core.pipeline.components import Components


def ignored_settings(components: Components, roles: Collection[str]) -> list[str]:
    """Return a sentence for each setting that has no effect on a run with components of these roles."""
    config, sentences = components.config, []
    if "backbone" in roles:
        backbone = components.choose("backbone").offer
        for name in backbone.spec.ignores:
            if getattr(config, name) != getattr(attrs.fields(RunConfig), name).default:
                sentences.append(f"--{name} has no effect: the backbone {backbone.name} does not read it")
    if "renderer" in roles and config.guidance.dynamic_mask and components.guidance_options.background == "none":
        is_auto = config.guidance.background == "auto"
        why = ", for which the backbone was made; set guidance.background=static to fill holes of the guidance"
        sentences.append(f"guidance.dynamic_mask has no effect with guidance.background=none{why * is_auto}")
    for name in config.trajectory.options if "trajectory" in roles else ():
        for cam in config.cam:
            moves = [chosen for step in components.choose_trajectory(cam).steps for chosen, _ in step]
            if not any(name in _read_options(chosen.options) for chosen in moves):
                flag = name.replace("_", "-")
                sentences.append(f"trajectory.{name} (--{flag}) has no effect on --cam {cam}, which does not read it")
    return sentences


def _read_options(options: Any) -> set[str]:
    """Return the names of the options that a component reads; a method `ignored()` of the options names the others."""
    ignored: Collection[str] = getattr(options, "ignored", tuple)()
    return {field.name for field in attrs.fields(type(options))} - set(ignored)
