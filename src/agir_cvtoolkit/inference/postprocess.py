"""From probabilities to a mask: threshold, specks, holes, and what touches the border."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .predictor import Probabilities

ClassIndex = NDArray[np.uint8]


def classify(probabilities: Probabilities, threshold: float) -> ClassIndex:
    """Return the class of each pixel: the likeliest foreground class where foreground reaches the threshold,
    else 0.

    Args:
        probabilities: float32 of shape (classes, height, width), summing to 1 over the classes.
        threshold: of 1 minus the background's probability.

    Returns:
        uint8 of shape (height, width), indices into the classes.
    """
    foreground: NDArray[np.bool_] = probabilities[0] <= np.float32(1.0 - threshold)
    if len(probabilities) == 2:
        return foreground.view(np.uint8)
    likeliest = probabilities[1:].argmax(axis=0).astype(np.uint8) + np.uint8(1)
    return np.where(foreground, likeliest, np.uint8(0))


def remove_specks(index: ClassIndex, min_area: int) -> ClassIndex:
    """Return the class indices without 8-connected foreground parts smaller than `min_area` pixels."""
    if min_area <= 1:
        return index
    binary = (index != 0).view(np.uint8)
    _count, labels, stats, _centres = cv2.connectedComponentsWithStats(binary, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < min_area
    small[0] = False
    return np.where(small[labels], np.uint8(0), index) if small.any() else index


def fill_holes(index: ClassIndex, largest: int) -> ClassIndex:
    """Return the class indices with enclosed 4-connected background parts of at most `largest` pixels filled.

    A hole takes the class of the pixel above its topmost one; background that touches the border is no hole.
    """
    if largest < 1:
        return index
    binary = (index == 0).view(np.uint8)
    _count, labels, stats, _centres = cv2.connectedComponentsWithStats(binary, connectivity=4)
    height, width = index.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    hole = (
        (stats[:, cv2.CC_STAT_AREA] <= largest) & (left > 0) & (top > 0) & (right < width) & (bottom < height)
    )
    hole[0] = False
    if not hole.any():
        return index
    fill = np.zeros(len(stats), dtype=np.uint8)
    for number in np.flatnonzero(hole).tolist():
        row = labels[top[number], left[number] : right[number]]
        column = int(left[number]) + int(np.argmax(row == number))
        fill[number] = index[top[number] - 1, column]
    filled = fill[labels]
    return np.where(filled != 0, filled, index)


def edge_occupancy(index: ClassIndex) -> float:
    """Return the share of the picture's one-pixel border that is foreground, in [0, 1]."""
    height, width = index.shape
    if height < 3 or width < 3:
        return float(np.count_nonzero(index) / index.size) if index.size else 0.0
    inside = np.count_nonzero(index[1:-1, 0]) + np.count_nonzero(index[1:-1, -1])
    outer = np.count_nonzero(index[0]) + np.count_nonzero(index[-1])
    return float((inside + outer) / (2 * (height + width) - 4))


def to_mask(index: ClassIndex, values: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the mask: class indices replaced by mask values.

    Args:
        index: uint8 of shape (height, width).
        values: mask value per class, 0 for the background.
    """
    mask: NDArray[np.uint8] = np.array(values, dtype=np.uint8)[index]
    return mask
