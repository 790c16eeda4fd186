"""Hints of `ex4d doctor` for a GPU: memory of Wan2.1 14B at the size of its training."""

from __future__ import annotations

from ex4d_backbone_wan.compute.memory import GIBI, Needs, Placement

CLIP = "49 frames of 512x512"
TOKENS = 13 * 32 * 32

EXACT = Needs(
    blocks=23_916_830_720,
    context=8_390_246_400,
    block=597_920_768,
    rest=483_729_024,
    kept=1_259_929_600,
    working=1_226_833_920,
    start=272_629_760,
)
"""Result of `memory.needs` for the 14B in bfloat16 and `CLIP`."""

FAST = Needs(
    blocks=11_971_010_560,
    context=8_390_246_400,
    block=299_275_264,
    rest=483_729_024,
    kept=1_259_929_600,
    working=1_226_833_920,
    start=272_629_760,
)
"""As `EXACT`, with `--speed fast`."""

FILE_8_BITS = Needs(
    blocks=12_090_204_160,
    context=4_222_156_800,
    block=302_255_104,
    rest=483_729_024,
    kept=1_259_929_600,
    working=1_509_949_440,
    start=272_629_760,
)
"""As `EXACT`, with the transformer as one file in fp8, and the matrices of the adapter beside it."""

_BESIDE = 2 * GIBI
"""For the VAE, the image encoder and the driver."""

_HINTS = {
    Placement.RESIDENT: "fit with all weights on the GPU",
    Placement.CONTEXT_APART: "fit with --gpu-memory auto: a quarter of the weights stays in main memory, "
    "without loss of speed",
    Placement.STREAMED: "fit with --gpu-memory auto: weights stay in main memory and are copied block by block",
}


TIME = f"{CLIP} in 25 steps took 39 s on an H200 with all weights on the GPU; the time scales with the bfloat16 rate"
"""Measured, see benchmarks/README.md."""


def advice(gpu_bytes: int) -> list[str]:
    """Return sentences about the options that fit a GPU with this many bytes of memory."""
    free = gpu_bytes - _BESIDE
    exact, fast = _place(EXACT, free), _place(FAST, free)
    if exact is None:
        least = (EXACT.of(Placement.STREAMED) + _BESIDE) / GIBI
        turbo = (EXACT.unguided().of(Placement.STREAMED) + _BESIDE) / GIBI
        return [
            f"{CLIP} require at least {least:.1f} GiB ({turbo:.1f} with --speed turbo); fewer frames may fit: "
            "--set backbone.num_frames=25"
        ]
    hints = [f"{CLIP} {_HINTS[exact]}"]
    if fast is not exact and fast is not None:
        hints.append(f"with --speed fast, on a GPU with 8-bit products, they {_HINTS[fast]}")
    small = _place(FILE_8_BITS, free)
    if small is not exact and small is not None:
        hints.append(f"with a transformer in fp8 as backbone.model, they {_HINTS[small]}")
    return [*hints, TIME]


def _place(needs: Needs, free: int) -> Placement | None:
    return next((place for place in Placement if needs.of(place) <= free), None)
