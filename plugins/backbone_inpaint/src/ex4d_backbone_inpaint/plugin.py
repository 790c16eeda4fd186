"""Plugin that offers the `inpaint` preview backbone."""

from __future__ import annotations

from ex4d_backbone_inpaint.options import InpaintOptions
from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider, Seconds


@hookimpl
def ex4d_backbones() -> list[Provider]:
    """Offer the backbone."""
    return [
        Provider(
            name="inpaint",
            summary="a preview: fills holes from a model of the static scene of the clip",
            license="Apache-2.0",
            component="ex4d_backbone_inpaint.backbone:InpaintBackbone",
            options=InpaintOptions,
            # The model of the scene fills the same holes equally well, in a fraction of the time.
            expects={"guidance": {"background": "none"}},
            typical_seconds=dict.fromkeys(("cpu", "cuda", "mps"), Seconds(per_megapixel=0.25)),
            preview=True,
            auto=10,
            ignores=("prompt", "seed"),
            contract="ex4d_backbone_inpaint.contract:InpaintContract",
        )
    ]
