"""Convert inverse depth with unknown scale and shift, as networks predict it, to depth."""

from __future__ import annotations

import math

from torch import Tensor

from ex4d_core.errors import InvalidInput


def relative_inverse_depth(inverse: Tensor, *, percentile: float, source: str) -> Tensor:
    """Scale inverse depth to 0 (farthest) .. 1 (nearest) over the whole clip.

    Args:
        inverse: float32 [T, H, W], larger = nearer, in any unit.
        percentile: percentage of the values that is clipped at either end.
        source: name of the network, for errors.

    Raises:
        InvalidInput: a value is NaN or infinite, or all values that are not clipped are equal.
    """
    check_finite(inverse, source=source)
    low, high = _ends(inverse, percentile)
    if not high > low:
        raise InvalidInput(
            f"{source} estimates the same depth for the whole clip; use another clip, "
            "or a smaller depth.percentile if it is set"
        )
    return inverse.sub(low).div_(high - low).clamp_(0, 1)


def depth_from_relative(relative: Tensor, *, near: float, far: float) -> Tensor:
    """Return depth along +z, `near` where `relative` is 1, clipped at `far`: `near / max(relative, near / far)`.

    With near = 10000 / 3900 and far = 10000 this is EX-4D's `10000 / max(3900 * relative, 1e-5)`, clipped to 1e4.
    """
    return (near / relative.clamp(min=near / far)).clamp_(near, far)


def check_finite(values: Tensor, *, source: str) -> None:
    """Validate that the output of a network, [T, H, W], is finite.

    Raises:
        InvalidInput: a value is NaN or infinite; the message names the first such frame.
    """
    for frame, frame_values in enumerate(values):
        if not frame_values.isfinite().all():
            raise InvalidInput(
                f"{source} returned NaN or infinity in frame {frame}; try --set depth.dtype=float32 or bfloat16"
            )


def _ends(values: Tensor, percentile: float) -> tuple[Tensor, Tensor]:
    if percentile == 0:
        return values.amin(), values.amax()
    # kthvalue, because torch.quantile refuses more than 16 million values. Ranks are rounded inwards, so that any
    # percentile above 0 clips the most extreme value.
    flat = values.flatten()
    count = flat.numel()
    rank = min(math.ceil(percentile / 100 * (count - 1)), (count - 1) // 2)
    return flat.kthvalue(rank + 1).values, flat.kthvalue(count - rank).values
