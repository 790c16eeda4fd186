"""Convert HDR frames and frames of wide gamut to SDR of the BT.709 gamut.

Light is converted as ITU-R BT.2100 defines it, its range is compressed by the curve of BT.2390, section 5.4.1, and
the gamut by the matrix of BT.2407, section 2. The result has gamma 2.4 (BT.1886), not the sRGB curve: SDR video is
used as sRGB code by code, and BT.2408, section 5.1, maps SDR into HDR by BT.1886. SDR in an HDR clip is thus restored.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

if TYPE_CHECKING:
    import av

PQ, HLG = 16, 18
"""Transfer characteristics of HDR (ITU-T H.273, table 3)."""

BT2020, DISPLAY_P3 = 9, 12
"""Color primaries of a wide gamut (ITU-T H.273, table 2)."""

UNTAGGED = 2
"""Code of unspecified primaries, transfer characteristics or matrix."""

WHITE = 203.0
"""Light of SDR white in HDR, in cd/m2 (BT.2408, table 1)."""

PEAK = 1000.0
"""Brightest light of HLG, and of PQ that does not state its own, in cd/m2."""

_PEAKS = (WHITE, 4000.0)
_STEPS = 4096
"""Steps of the tables over light; they are even in its square root, which keeps dark steps small."""

_BT2020_TO_BT709 = (
    (1.660491, -0.587641, -0.072850),
    (-0.124550, 1.132900, -0.008349),
    (-0.018151, -0.100579, 1.118730),
)
_P3_TO_BT709 = ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274))
_UNCHANGED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_LUMINANCE = (0.2627, 0.6780, 0.0593)


@attrs.frozen(eq=False, kw_only=True)
class ToneMap:
    """Tables and the matrix that convert frames of one clip."""

    light: np.ndarray
    """float32 [65536], linear light of each code, 1 for SDR white; for HLG, of the scene."""

    scene_gain: np.ndarray
    """float32, by the luminance of the scene: the factor to the light of the display; empty unless HLG."""

    gain: np.ndarray
    """float32, by the largest component up to `top`: the factor that compresses the range."""

    top: float
    """Brightest light of the clip, 1 for SDR white."""

    matrix: np.ndarray
    """float32 [3, 3], to BT.709 primaries."""

    codes: np.ndarray
    """uint8, by light 0..1."""

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Convert a frame uint16 [H, W, 3] with RGB codes of the full range to uint8."""
        out = np.empty(frame.shape, np.uint8)
        _kernel()(frame, self.light, self.scene_gain, self.gain, np.float32(self.top), self.matrix, self.codes, out)
        return out


def is_hdr(frame: av.VideoFrame) -> bool:
    """Return whether a frame has the transfer characteristics of PQ or HLG."""
    return frame.color_trc in (PQ, HLG)


def tone_map_of(frame: av.VideoFrame) -> ToneMap | None:
    """Return the conversion of a clip by its first frame, or None for ordinary SDR."""
    primaries = frame.color_primaries
    if is_hdr(frame):
        # HDR without primaries has those of BT.2020.
        wide = _BT2020_TO_BT709 if primaries in (BT2020, UNTAGGED) else _matrix(primaries)
        return build_tone_map(frame.color_trc, peak=_peak(frame), matrix=wide)
    if primaries in (BT2020, DISPLAY_P3) and not frame.format.name.startswith(("gray", "xyz")):
        return build_tone_map(None, matrix=_matrix(primaries))
    return None


def build_tone_map(
    transfer: int | None, *, peak: float = PEAK, matrix: tuple[tuple[float, ...], ...] = _BT2020_TO_BT709
) -> ToneMap:
    """Return a conversion.

    Args:
        transfer: `PQ`, `HLG`, or None for SDR.
        peak: brightest light in cd/m2; HLG has `PEAK`.
        matrix: from the primaries of the clip to those of BT.709.
    """
    code, root = np.arange(65536) / 65535, np.arange(_STEPS + 1) / _STEPS
    peak = PEAK if transfer == HLG else min(max(peak, _PEAKS[0]), _PEAKS[1])
    gain, scene_gain = np.ones(_STEPS + 1), np.empty(0)
    if transfer is None:
        light, peak = code**2.4, WHITE
    else:
        light = hlg_scene(code) if transfer == HLG else pq_light(code) / WHITE
        gain[1:] = compressed(root[1:] ** 2 * peak, peak) / (root[1:] ** 2 * peak)
    if transfer == HLG:  # the system gamma of BT.2100 for 1000 cd/m2
        scene_gain = PEAK / WHITE * np.maximum(root**2, 1e-7) ** 0.2
    return ToneMap(
        light=light.astype(np.float32),
        scene_gain=scene_gain.astype(np.float32),
        gain=gain.astype(np.float32),
        top=peak / WHITE,
        matrix=np.array(matrix, np.float32),
        codes=np.rint(255 * (root**2) ** (1 / 2.4)).astype(np.uint8),
    )


def pq_light(code: np.ndarray) -> np.ndarray:
    """Return the light of PQ codes 0..1, in cd/m2 (BT.2100, table 4)."""
    m1, m2, c1, c2, c3 = _PQ
    power = np.power(code, 1 / m2)
    light: np.ndarray = 10000 * np.power(np.maximum(power - c1, 0) / (c2 - c3 * power), 1 / m1)
    return light


def pq_code(light: np.ndarray | float) -> Any:
    """Return the PQ codes of light in cd/m2, the inverse of `pq_light`."""
    m1, m2, c1, c2, c3 = _PQ
    power = np.power(np.asarray(light) / 10000, m1)
    return np.power((c1 + c2 * power) / (1 + c3 * power), m2)


_PQ = (2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32)


def hlg_scene(code: np.ndarray) -> np.ndarray:
    """Return the light of the scene, 0..1, of HLG codes 0..1 (BT.2100, table 5)."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * math.log(4 * a)
    return np.where(code <= 0.5, code * code / 3, (np.exp((code - c) / a) + b) / 12)


def compressed(light: np.ndarray, peak: float) -> np.ndarray:
    """Return light up to `peak` compressed to `WHITE`, in cd/m2: unchanged below a knee, a Hermite spline above."""
    if peak <= WHITE:
        return light
    top = pq_code(peak)
    source, most = pq_code(light) / top, pq_code(WHITE) / top
    knee = 1.5 * most - 0.5
    t = np.clip((source - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return pq_light(np.where(source < knee, source, spline) * top)


def _matrix(primaries: int) -> tuple[tuple[float, ...], ...]:
    if primaries == BT2020:
        return _BT2020_TO_BT709
    return _P3_TO_BT709 if primaries == DISPLAY_P3 else _UNCHANGED


def _peak(frame: av.VideoFrame) -> float:
    """Return the brightest light of a clip by its metadata: of the content, else of the mastering display."""
    try:
        items: Any = frame.side_data
        data = {str(item.type): bytes(item) for item in items}
    except ValueError:  # PyAV fails if any side data is of an unknown kind
        return PEAK
    content = next((raw for kind, raw in data.items() if "CONTENT_LIGHT" in kind), b"")
    if largest := int.from_bytes(content[:4], "little"):  # AVContentLightMetadata
        return float(largest)
    mastering = next((raw for kind, raw in data.items() if "MASTERING" in kind), b"")
    if len(mastering) >= 88:  # AVMasteringDisplayMetadata: ten fractions, the last of the largest light, and two flags
        numbers = np.frombuffer(mastering, np.int32)
        numerator, denominator, is_set = (int(numbers[at]) for at in (18, 19, 21))
        if is_set and numerator > 0 and denominator > 0:
            return numerator / denominator
    return PEAK


@cache
def _kernel() -> Any:
    """Return the compiled loop over pixels; compiling takes a second, so ordinary clips do without it."""
    import numba

    return numba.njit(nogil=True, error_model="numpy", fastmath=True)(_convert)


def _convert(
    frame: np.ndarray,
    light: np.ndarray,
    scene_gain: np.ndarray,
    gain: np.ndarray,
    top: Any,
    matrix: np.ndarray,
    codes: np.ndarray,
    out: np.ndarray,
) -> None:
    steps, half, one, zero = np.float32(4096), np.float32(0.5), np.float32(1), np.float32(0)
    kr, kg, kb = np.float32(_LUMINANCE[0]), np.float32(_LUMINANCE[1]), np.float32(_LUMINANCE[2])
    for i in range(frame.shape[0]):
        for j in range(frame.shape[1]):
            r, g, b = light[frame[i, j, 0]], light[frame[i, j, 1]], light[frame[i, j, 2]]
            if len(scene_gain):
                factor = scene_gain[int(np.sqrt(min(kr * r + kg * g + kb * b, one)) * steps)]
                r, g, b = r * factor, g * factor, b * factor
            most = max(r, g, b)
            low = min(most, top)
            # Above the peak, colors are divided by their largest component: clipping each would change the hue.
            factor = gain[int(np.sqrt(low / top) * steps + half)] * (low / max(most, np.float32(1e-9)))
            r, g, b = r * factor, g * factor, b * factor
            for channel in range(3):
                value = matrix[channel, 0] * r + matrix[channel, 1] * g + matrix[channel, 2] * b
                out[i, j, channel] = codes[int(np.sqrt(min(max(value, zero), one)) * steps + half)]
