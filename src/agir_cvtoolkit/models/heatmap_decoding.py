"""Between joints and the grid of heat maps, in both directions and without torch.

Coordinates of joints are pixels of the network's input, origin at the top left corner of the top left pixel; the
centre of cell (row r, column c) lies at ((c + 0.5) · 4, (r + 0.5) · 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRID_STRIDE = 4
"""Pixels of the input for each cell of the grid."""
_REACH = 3
"""Cells to either side of the peak that count as the same place."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Decoded:
    """The joints of one picture.

    Attributes:
        points: float64 (joints, 2), x and y in pixels of the input.
        confidence: float64 (joints,), the probability that the joint lies around its place, in [0, 1].
        hidden: float64 (joints,), the probability that a joint that lies there is hidden.
        rivalry: float64 (joints,), how much a second place rivals the first, in [0, 1]: 0 where there is none, 1 where
            both are as likely.
    """

    points: NDArray[np.float64]
    confidence: NDArray[np.float64]
    hidden: NDArray[np.float64]
    rivalry: NDArray[np.float64]


def decode(places: Floats, hidden: Floats) -> Decoded:
    """Read joints off heat maps, finer than the grid.

    The place is the mean of the cells around the highest one, weighted by their probability; the confidence is
    their sum. It falls when the joint is probably absent, and when several places compete.

    Args:
        places: float32 (joints, h, w): the probabilities of each cell.
        hidden: float32 (joints, h, w): the probability of being hidden in each cell.
    """
    joints = len(places)
    points = np.zeros((joints, 2))
    confidence = np.zeros(joints)
    concealed = np.zeros(joints)
    rivalry = np.zeros(joints)
    for joint in range(joints):
        around = _around_peak(places[joint])
        top, left = around[0].start, around[1].start
        window = places[joint][around].astype(np.float64)
        total = float(window.sum())
        if not np.isfinite(total) or total <= 0:
            continue
        rows = np.arange(top, top + window.shape[0]) + 0.5
        columns = np.arange(left, left + window.shape[1]) + 0.5
        points[joint] = window.sum(axis=0) @ columns / total, window.sum(axis=1) @ rows / total
        confidence[joint] = min(1.0, total)
        concealed[joint] = float((hidden[joint][around] * window).sum() / total)
        rest = places[joint].copy()
        rest[around] = 0
        second = float(rest[_around_peak(rest)].sum(dtype=np.float64))
        rivalry[joint] = min(1.0, 2 * second / (total + second))
    return Decoded(points * GRID_STRIDE, confidence, concealed, rivalry)


def _around_peak(places: Floats) -> tuple[slice, slice]:
    row, column = divmod(int(places.argmax()), places.shape[1])
    return (
        slice(max(0, row - _REACH), row + _REACH + 1),
        slice(max(0, column - _REACH), column + _REACH + 1),
    )


def place_targets(points: NDArray[np.float64], size: int, sigma: float) -> Floats:
    """Return what heat maps should be for joints: a Gaussian around each place, or all in the last bin.

    Args:
        points: float64 (joints, 2) in pixels of the input; NaN, and places outside, are absent.
        size: height and width of the input.
        sigma: of the Gaussian, in cells.

    Returns:
        float32 (joints, cells + 1), each row sums to 1; the last bin is "absent".
    """
    cells = size // GRID_STRIDE
    centres = np.arange(cells) + 0.5
    targets = np.zeros((len(points), cells * cells + 1), dtype=np.float32)
    for joint, (x, y) in enumerate(points / GRID_STRIDE):
        if not (0 <= x < cells and 0 <= y < cells):
            targets[joint, -1] = 1.0
            continue
        across = np.exp(-np.square(centres - x) / (2 * sigma**2))
        down = np.exp(-np.square(centres - y) / (2 * sigma**2))
        places = np.outer(down / down.sum(), across / across.sum())
        targets[joint, :-1] = places.reshape(-1)
    return targets
