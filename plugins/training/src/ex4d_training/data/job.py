"""What is to be made of videos, but for the videos: options of all that takes part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ex4d_backbone_wan.options import WanOptions
from ex4d_core.bounds import shown
from ex4d_core.config import RunConfig, make_config, make_options, refuse_unknown
from ex4d_core.errors import InvalidConfig
from ex4d_core.masks.options import MaskOptions
from ex4d_training.data.options import DataOptions

NO_DEPTH = "none"
"""What takes the place of a depth estimator's name for masks that need none."""

SECTIONS = ("data", "masks", "depth", "mesh", "renderer", "backbone")
"""Tables of options; `backbone` is Wan's, whose encoders make the latents."""


@attrs.frozen(kw_only=True)
class Job:
    """What decides the samples of a data set, but for its videos."""

    data: DataOptions = DataOptions()
    masks: MaskOptions = MaskOptions()
    model: WanOptions = WanOptions(adapter="none")
    """Whose encoders make the latents; its adapter and LoRAs are no matter."""
    run: RunConfig = RunConfig()
    """The depth estimator, the mesh builder and the renderer; the device; the seed."""

    def __attrs_post_init__(self) -> None:
        if self.run.depth.name == NO_DEPTH and self.masks.kind != "tracking":
            raise InvalidConfig(
                "masks of renderings need a depth: name an estimator (--depth), or give --set masks.kind=tracking"
            )


def make_job(tree: Mapping[str, Any]) -> Job:
    """Return the job that tables describe: those of `SECTIONS`, and `device`, `seed` and `compat`.

    Raises:
        InvalidConfig: a key is unknown (the nearest known one is named) or a value does not fit.
    """
    refuse_unknown(tree, (*SECTIONS, "device", "seed", "compat"), "")
    own = {key: _options(cls, tree.get(key, {}), key) for key, cls in (("data", DataOptions), ("masks", MaskOptions))}
    backbone = _table(tree.get("backbone", {}), "backbone")
    model = _options(WanOptions, {**backbone, "adapter": "none", "loras": ""}, "backbone")
    run = make_config({key: value for key, value in tree.items() if key not in ("data", "masks", "backbone")})
    return Job(**own, model=model, run=run)


def _options(cls: type, values: object, section: str) -> Any:
    return make_options(cls, _table(values, section), section)


def _table(values: object, section: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise InvalidConfig(f"{section} must be a table of options, not {shown(values)}")
    return values
