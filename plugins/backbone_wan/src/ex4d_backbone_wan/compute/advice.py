"""What `ex4d doctor` says of a GPU: what Wan2.1 14B takes of it at the size that it was trained for."""

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
"""Of the 14B in bfloat16 and that clip, as `memory.needs` counts them."""

FAST = Needs(
    blocks=11_971_010_560,
    context=8_390_246_400,
    block=299_275_264,
    rest=483_729_024,
    kept=1_259_929_600,
    working=1_226_833_920,
    start=272_629_760,
)
"""The same with `--speed fast`."""

_BESIDE = 2 * GIBI
"""For the VAE, the image encoder and the driver."""

_SAYS = {
    Placement.RESIDENT: "fit with all weights on the GPU",
    Placement.CONTEXT_APART: "fit with --gpu-memory auto: a quarter of the weights waits in main memory, "
    "at no cost in speed",
    Placement.STREAMED: "fit with --gpu-memory auto: weights wait in main memory and come block by block",
}


TIME = (
    f"{CLIP} in 25 steps took 39 s on an H200 with all weights on it; others take longer as their bfloat16 rate is less"
)
"""What was measured, see benchmarks/README.md."""


def advice(gpu_bytes: int) -> list[str]:
    """Return sentences on what a GPU with so many bytes of memory will take, and how."""
    free = gpu_bytes - _BESIDE
    exact, fast = _place(EXACT, free), _place(FAST, free)
    if exact is None:
        least = (EXACT.of(Placement.STREAMED) + _BESIDE) / GIBI
        return [f"{CLIP} take {least:.1f} GiB at least; fewer frames may fit: --set backbone.num_frames=25"]
    said = [f"{CLIP} {_SAYS[exact]}"]
    if fast is not exact and fast is not None:
        said.append(f"with --speed fast, on a GPU that has 8-bit products, they {_SAYS[fast]}")
    return [*said, TIME]


def _place(needs: Needs, free: int) -> Placement | None:
    return next((place for place in Placement if needs.of(place) <= free), None)
