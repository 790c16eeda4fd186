"""How far apart the two eyes' pictures of a point are."""

from __future__ import annotations

import cv2
import numpy as np

SUBPIXELS = 16
"""OpenCV gives disparities in sixteenths of a pixel."""

FINER = 2
"""Pictures are matched this many times as wide: OpenCV's fractions of a pixel lean to whole ones."""

NOT_UNIQUE = 15
"""Per cent by which the best match must beat the next: less lets through walls that are the same all over."""


class Matcher:
    """Semi-global matching (Hirschmueller 2008) as OpenCV has it, and the check that both eyes find the same."""

    def __init__(self, *, disparities: int, block: int, tolerance: float) -> None:
        self._range = -(-disparities * FINER // 16) * 16
        self._tolerance = tolerance
        samples = 3 * block**2
        self._sgbm = cv2.StereoSGBM.create(
            minDisparity=0,
            numDisparities=self._range,
            blockSize=block,
            P1=samples,  # for a slope
            P2=16 * samples,  # for an edge
            uniquenessRatio=NOT_UNIQUE,
            mode=cv2.STEREO_SGBM_MODE_HH,
        )

    def disparity(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how much farther left the right eye sees each pixel of the left eye, and where that is sure.

        Args:
            left: uint8 [H, W, 3].
            right: uint8 [H, W, 3], rectified: a point is in the same row of both.

        Returns:
            float32 [H, W] in pixels, and bool [H, W]: True where the right eye finds its way back.
        """
        width = left.shape[1]
        found = self._match(left, right)
        back = self._match(right[:, ::-1], left[:, ::-1])[:, ::-1]
        columns = np.arange(width) - np.rint(found).astype(int)
        there = np.take_along_axis(back, columns.clip(0, width - 1), axis=1)
        both = (found >= 0) & (columns > 0) & (there >= 0)  # edges of pictures match edges, whatever is there
        return found, both & (np.abs(there - found) <= self._tolerance)

    def _match(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return disparities float32 [H, W] in pixels, negative where there is no match."""
        eyes = [cv2.resize(eye, None, fx=FINER, fy=1, interpolation=cv2.INTER_CUBIC) for eye in (left, right)]
        # OpenCV gives up the first columns, as wide as the range; these are not the picture's.
        padded = [cv2.copyMakeBorder(eye, 0, 0, self._range, 0, cv2.BORDER_REPLICATE) for eye in eyes]
        sixteenths = self._sgbm.compute(*padded)[:, self._range :: FINER]
        return np.asarray(sixteenths, np.float32) / (SUBPIXELS * FINER)
