"""The configuration of a data preparation: options of all components."""

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
"""Value of `depth.name` for masks without depth."""

SECTIONS = ("data", "masks", "depth", "mesh", "renderer", "backbone")
"""Tables of options; `backbone` selects the Wan model that encodes."""


@attrs.frozen(kw_only=True)
class Job:
    """All options that affect the samples of a data set."""

    data: DataOptions = DataOptions()
    masks: MaskOptions = MaskOptions()
    model: WanOptions = WanOptions(adapter="none")
    """The model whose encoders are used; adapter and LoRAs do not affect them."""
    run: RunConfig = RunConfig()
    """The depth estimator, the mesh builder and the renderer; the device; the seed."""

    def __attrs_post_init__(self) -> None:
        if self.run.depth.name == NO_DEPTH and self.masks.kind != "tracking":
            raise InvalidConfig(
                "rendering masks need depth: select an estimator with --depth, or pass --set masks.kind=tracking"
            )


def make_job(tree: Mapping[str, Any]) -> Job:
    """Return the job of tables of options: those of `SECTIONS`, and `device`, `seed` and `compat`.

    Raises:
        InvalidConfig: a key is unknown, or a value is invalid.
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
