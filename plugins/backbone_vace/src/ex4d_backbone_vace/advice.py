"""Hints of `ex4d doctor` for a GPU: memory of VACE 1.3B and 14B at the default size."""

from __future__ import annotations

from collections.abc import Mapping

from ex4d_backbone_wan.compute.advice import CLIP
from ex4d_backbone_wan.compute.memory import GIBI, Needs, Placement

NEEDS: Mapping[str, Needs] = {
    "1.3B": Needs(
        blocks=3_830_260_224,
        context=424_949_760,
        block=176_319_488,
        rest=53_782_656,
        kept=283_115_520,
        working=408_944_640,
        start=81_788_928,
    ),
    "14B": Needs(
        blocks=29_171_656_704,
        context=5_034_147_840,
        block=1_300_699_136,
        rest=470_429_824,
        kept=1_006_632_960,
        working=1_363_148_800,
        start=272_629_760,
    ),
}
"""Results of `memory.needs` in bfloat16 for `CLIP`."""


_BESIDE = 2 * GIBI
"""For the VAE, which decodes in tiles, and the driver."""

_BESIDE_UNTILED = 3 * GIBI
"""The same without tiles."""


def advice(gpu_bytes: int) -> list[str]:
    """Return sentences about the models that fit a GPU with this many bytes of memory."""
    return [f"{CLIP} with VACE {name} {_hint(needs, gpu_bytes)}" for name, needs in NEEDS.items()]


def _hint(needs: Needs, gpu_bytes: int) -> str:
    least = needs.of(Placement.STREAMED) + _BESIDE
    if needs.of(Placement.RESIDENT) + _BESIDE_UNTILED <= gpu_bytes:
        return "fit with all weights on the GPU"
    if least <= gpu_bytes:
        return "fit with --gpu-memory auto, which leaves weights in main memory as far as required"
    return f"require at least {least / GIBI:.1f} GiB"
