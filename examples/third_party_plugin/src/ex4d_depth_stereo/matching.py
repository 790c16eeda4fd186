"""Disparity of two rectified views."""

from __future__ import annotations

import cv2
import numpy as np

SUBPIXELS = 16
"""OpenCV returns disparities in sixteenths of a pixel."""

FINER = 2
"""Horizontal upsampling before matching, since subpixel disparities of OpenCV are biased to whole pixels."""

NOT_UNIQUE = 15
"""Margin in percent of the best match over the second best, to reject uniform surfaces."""


class Matcher:
    """Semi-global matching (Hirschmueller 2008) of OpenCV with a left-right consistency check."""

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
        """Return the disparity of the left view, and where it is valid.

        Args:
            left: uint8 [H, W, 3].
            right: uint8 [H, W, 3], rectified: a point is in the same row of both views.

        Returns:
            float32 [H, W] in pixels, and bool [H, W], True where both directions agree.
        """
        width = left.shape[1]
        found = self._match(left, right)
        back = self._match(right[:, ::-1], left[:, ::-1])[:, ::-1]
        columns = np.arange(width) - np.rint(found).astype(int)
        reverse = np.take_along_axis(back, columns.clip(0, width - 1), axis=1)
        both = (found >= 0) & (columns > 0) & (reverse >= 0)  # borders of images match each other
        return found, both & (np.abs(reverse - found) <= self._tolerance)

    def _match(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return disparities float32 [H, W] in pixels, negative where there is no match."""
        eyes = [cv2.resize(eye, None, fx=FINER, fy=1, interpolation=cv2.INTER_CUBIC) for eye in (left, right)]
        # OpenCV skips the first columns, as many as the range, so pad the images with them.
        padded = [cv2.copyMakeBorder(eye, 0, 0, self._range, 0, cv2.BORDER_REPLICATE) for eye in eyes]
        sixteenths = self._sgbm.compute(*padded)[:, self._range :: FINER]
        return np.asarray(sixteenths, np.float32) / (SUBPIXELS * FINER)
