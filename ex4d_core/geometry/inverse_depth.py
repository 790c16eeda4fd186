"""Convert inverse depth with unknown scale and shift, as networks predict it, to depth."""

from __future__ import annotations

import math

from torch import Tensor

from ex4d_core.errors import InvalidInput


def relative_inverse_depth(inverse: Tensor, *, percentile: float, source: str) -> Tensor:
    """Return inverse depth brought to 0 (farthest) .. 1 (nearest) over the whole clip.

    Args:
        inverse: float32 [T, H, W], larger = nearer, in any unit.
        percentile: share of the values, in percent, that is cut off at either end; 0 cuts nothing off.
        source: the network that gave it, for what is said of bad values.

    Raises:
        InvalidInput: a value is NaN or infinite, or all (but for what is cut off) are equal.
    """
    check_finite(inverse, source=source)
    low, high = _ends(inverse, percentile)
    if not high > low:
        raise InvalidInput(
            f"{source} sees no difference in depth anywhere in the clip; give a clip that shows something, "
            "and a smaller depth.percentile if that is set"
        )
    return inverse.sub(low).div_(high - low).clamp_(0, 1)


def depth_from_relative(relative: Tensor, *, near: float, far: float) -> Tensor:
    """Return depth along +z, `near` where `relative` is 1, cut off at `far`: `near / max(relative, near / far)`.

    With near = 10000 / 3900 and far = 10000 this is EX-4D's `10000 / max(3900 * relative, 1e-5)`, clipped to 1e4.
    """
    return (near / relative.clamp(min=near / far)).clamp_(near, far)


def check_finite(values: Tensor, *, source: str) -> None:
    """Refuse a network's maps [T, H, W] with NaN or infinity.

    Raises:
        InvalidInput: there are such values; the message names the first frame that has them.
    """
    for frame, of_frame in enumerate(values):
        if not of_frame.isfinite().all():
            raise InvalidInput(
                f"{source} gave NaN or infinity for a part of frame {frame}; try --set depth.dtype=float32 or bfloat16"
            )


def _ends(values: Tensor, percentile: float) -> tuple[Tensor, Tensor]:
    if percentile == 0:
        return values.amin(), values.amax()
    # kthvalue, because torch.quantile refuses more than 16 million values. Ranks are rounded inwards, so that at any
    # percentile above 0 the one worst value is never an end.
    flat = values.flatten()
    count = flat.numel()
    rank = min(math.ceil(percentile / 100 * (count - 1)), (count - 1) // 2)
    return flat.kthvalue(rank + 1).values, flat.kthvalue(count - rank).values
