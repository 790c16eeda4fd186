"""Entry point of the plugin."""

from __future__ import annotations

from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider, Seconds
from ex4d_render_nvdiffrast.options import NvdiffrastOptions


@hookimpl
def ex4d_renderers() -> list[Provider]:
    """Offer nvdiffrast."""
    return [
        Provider(
            name="nvdiffrast",
            summary="EX-4D's own rasterizer, on NVIDIA GPUs",
            license="Apache-2.0; nvdiffrast itself: Nvidia Source Code License, non-commercial use only",
            usage_terms="nvdiffrast is for non-commercial use only (Nvidia Source Code License)",
            component="ex4d_render_nvdiffrast.renderer:NvdiffrastRenderer",
            options=NvdiffrastOptions,
            typical_seconds={"cuda": Seconds(per_megapixel=0.005)},
            presets={"ex4d": {"near": 1e-3, "far": 1e3, "antialias": True, "min_patch": 0}},
            devices=("cuda",),
            auto=30,
            requires=("nvdiffrast",),
            install_hint=(
                "git clone https://github.com/NVlabs/nvdiffrast",
                "pip install --no-build-isolation ./nvdiffrast",
            ),
        )
    ]
