"""Continue inverse depth beyond the edges of the picture as a thin plate.

The inverse depth of a plane is an affine function of the image coordinates, so a surface of least bending energy
(Duchon, Splines minimizing rotation-invariant semi-norms in Sobolev spaces, 1977) continues floors and walls as planes.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

Floats = NDArray[np.float32]
Floats64 = NDArray[np.float64]

_CELLS = 24
"""Cells of the coarse grid along each side of the picture."""

_RINGS = 10
"""Additional grid lines on each side, at growing distances."""

_STIFFNESS = 1e-4
"""Weight of the bending energy against the squared errors."""

_ROUNDS = 6
"""Rounds of reweighting, after which the weights no longer change visibly."""

_NEARER = 1.5
"""Residual, in median residuals, at which something nearer than the plate has half the weight."""


def margin_axis(size: int, rings: int, reach: float) -> Floats64:
    """Return positions in pixels: the pixel centers, and `rings` lines on each side at growing distances.

    Args:
        size: number of pixels.
        rings: number of lines on each side.
        reach: distance of the outermost line, in sizes of the picture.
    """
    powers = np.arange(1, rings + 1)
    low, high = 1.0, 4.0
    for _ in range(50):  # bisection for the growth of the spacing
        growth = (low + high) / 2
        low, high = (growth, high) if (growth**powers).sum() < reach * size else (low, growth)
    offsets = np.cumsum(growth**powers)
    return np.concatenate([(0.5 - offsets)[::-1], np.arange(size) + 0.5, size - 0.5 + offsets])


def thin_plate(inverse: Floats, known: NDArray[np.bool_], columns: Floats64, rows: Floats64) -> Floats:
    """Return the inverse depth of the surroundings at grid positions; things in front of them are disregarded.

    Args:
        inverse: float32 [H, W], inverse depth of the picture.
        known: bool [H, W].
        columns: float64 [N], increasing positions in pixels, from left of the picture to right of it.
        rows: float64 [M], likewise.

    Returns:
        float32 [M, N]; may be negative far outside the picture.
    """
    height, width = inverse.shape
    share = cv2.resize(known.astype(np.float32), (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    total = cv2.resize(np.where(known, inverse, 0).astype(np.float32), (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    # In units of the picture; a little wider than the positions, so that nothing is extrapolated from the grid.
    x = margin_axis(_CELLS, _RINGS, 1.02 * max(columns[-1] / width - 1, 0.1)) / _CELLS
    y = margin_axis(_CELLS, _RINGS, 1.02 * max(rows[-1] / height - 1, 0.1)) / _CELLS
    inner = np.s_[_RINGS:-_RINGS, _RINGS:-_RINGS]
    weight, value = np.zeros((len(y), len(x))), np.zeros((len(y), len(x)))
    weight[inner] = share / _CELLS**2
    value[inner] = total / np.maximum(share, 1e-6)
    surface = _fitted(value, weight, inner, _STIFFNESS * _bending(x, y))
    return np.asarray(_linear(rows / height, y) @ surface @ _linear(columns / width, x).T, np.float32)


def _linear(at: Floats64, grid: Floats64) -> Floats64:
    """Return the matrix [N, G] that interpolates values on a grid [G] at positions [N]."""
    return np.stack([np.interp(at, grid, unit) for unit in np.eye(len(grid))], axis=-1)


def _fitted(value: Floats64, weight: Floats64, inner: tuple[slice, slice], stiffness: sparse.csc_matrix) -> Floats64:
    """Return the surface of least squares and bending; the weight of values above it is reduced repeatedly."""
    current = weight
    for _ in range(_ROUNDS):
        system = (stiffness + sparse.diags(current.ravel())).tocsc()
        surface = np.asarray(spsolve(system, (current * value).ravel())).reshape(value.shape)
        error = value - surface
        scale = _NEARER * np.median(np.abs(error[inner])) + 1e-9 * np.abs(value).max() + 1e-30
        current = weight / (1 + (np.maximum(error, 0) / scale) ** 2)
    return np.asarray(surface, np.float64)


def _bending(x: Floats64, y: Floats64) -> sparse.csc_matrix:
    """Return the quadratic form of the bending energy: the integral of f_xx^2 + 2 f_xy^2 + f_yy^2."""
    same_x, same_y = sparse.identity(len(x)), sparse.identity(len(y))
    second_x, length_x = _second_differences(x)
    second_y, length_y = _second_differences(y)
    first_x, step_x = _first_differences(x)
    first_y, step_y = _first_differences(y)
    terms = (
        (sparse.kron(same_y, second_x), np.outer(np.gradient(y), length_x)),
        (sparse.kron(second_y, same_x), np.outer(length_y, np.gradient(x))),
        (sparse.kron(first_y, first_x), 2 * np.outer(step_y, step_x)),
    )
    return sum(matrix.T @ sparse.diags(area.ravel()) @ matrix for matrix, area in terms)


def _first_differences(x: Floats64) -> tuple[sparse.csr_matrix, Floats64]:
    """Return the matrix of first derivatives [N - 1, N] on a grid of unequal steps, and the steps [N - 1]."""
    step = np.diff(x)
    return sparse.diags([-1 / step, 1 / step], [0, 1], shape=(len(step), len(x))).tocsr(), step


def _second_differences(x: Floats64) -> tuple[sparse.csr_matrix, Floats64]:
    """Return the matrix of second derivatives [N - 2, N] on a grid of unequal steps, and their lengths [N - 2]."""
    before, after = np.diff(x)[:-1], np.diff(x)[1:]
    left, right = 2 / (before * (before + after)), 2 / (after * (before + after))
    matrix = sparse.diags([left, -(left + right), right], [0, 1, 2], shape=(len(left), len(x)))
    return matrix.tocsr(), (before + after) / 2
