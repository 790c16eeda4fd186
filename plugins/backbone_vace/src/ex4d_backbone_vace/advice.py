"""Hints of `ex4d doctor` for a GPU: memory of VACE 1.3B and 14B at the default size."""

from __future__ import annotations

from collections.abc import Mapping

from ex4d_backbone_wan.compute.advice import BESIDE, CLIP, HINTS, fitting
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


def advice(gpu_bytes: int) -> list[str]:
    """Return sentences about the models that fit a GPU with this many bytes of memory."""
    hints = []
    for name, needs in NEEDS.items():
        place = fitting(needs, gpu_bytes - BESIDE)
        if place is not None:
            hints.append(f"{CLIP} with VACE {name} {HINTS[place]}")
        else:
            least = (needs.of(Placement.STREAMED) + BESIDE) / GIBI
            hints.append(f"{CLIP} with VACE {name} require at least {least:.1f} GiB")
    return hints
