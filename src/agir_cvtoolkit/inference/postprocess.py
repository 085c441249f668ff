"""From probabilities to a mask: threshold, specks, holes, and what touches the border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.masks import bounding_box
from agir_cvtoolkit.scratch import bands, copied, let_go

from .parts import BandOfParts, Parts
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
    window = _around_foreground(index)
    if min_area <= 1 or window is None:
        return index
    parts = Parts(index[window], connectivity=8)
    small = (parts.areas < min_area) & (parts.areas > 0)
    if not small.any():
        return index
    cleaned = copied(index)
    inside = cleaned[window]
    for band in parts.bands():
        inside[band.rows][small[band.part][band.labels]] = 0
        let_go(cleaned)
    return cleaned


def fill_holes(index: ClassIndex, largest: int) -> ClassIndex:
    """Return the class indices with enclosed 4-connected background parts of at most `largest` pixels filled.

    A hole takes the class of the pixel above its topmost one; background that touches the border is no hole.
    """
    window = _around_foreground(index)
    if largest < 1 or window is None:
        return index
    # What touches the border of this window is joined with the background around it, or touches the picture's border.
    parts = Parts(index[window], connectivity=4, of_zeros=True)
    hole = (parts.areas <= largest) & (parts.areas > 0) & ~parts.at_border
    if not hole.any():
        return index
    filled = copied(index)
    inside = filled[window]
    classes: dict[int, int] = {}
    for band in parts.bands():
        holes = np.flatnonzero(hole[band.part])
        for row, column, label in sorted(_first_pixel(band, label) for label in holes.tolist()):
            # The highest band that a hole reaches into comes first, and in it the highest of its pixels.
            classes.setdefault(int(band.part[label]), int(index[window][band.rows.start + row - 1, column]))
        fill = np.zeros(len(band.part), dtype=np.uint8)
        fill[holes] = [classes[int(band.part[label])] for label in holes]
        values = fill[band.labels]
        np.copyto(inside[band.rows], values, where=values != 0)
        let_go(filled)
    return filled


def _around_foreground(index: ClassIndex) -> tuple[slice, slice] | None:
    found = [(rows.start, box) for rows in bands(index) if (box := bounding_box(index[rows])) is not None]
    if not found:
        return None
    left, right = min(box[0] for _, box in found), max(box[2] for _, box in found)
    (first, highest), (last, lowest) = found[0], found[-1]
    return slice(first + highest[1], last + lowest[3] + 1), slice(left, right + 1)


def _first_pixel(band: BandOfParts, label: int) -> tuple[int, int, int]:
    left, top, width, _height = (int(v) for v in band.boxes[label])
    row = band.labels[top, left : left + width]
    return top, left + int(np.argmax(row == label)), label


def edge_occupancy(index: ClassIndex) -> float:
    """Return the share of the picture's one-pixel border that is foreground, in [0, 1]."""
    height, width = index.shape
    if height < 3 or width < 3:
        return float(np.count_nonzero(index) / index.size) if index.size else 0.0
    sides = sum(int(np.count_nonzero(index[rows, :: width - 1])) for rows in bands(index))
    ends = index[:: height - 1]
    corners = np.count_nonzero(ends[:, :: width - 1])
    return float((sides + np.count_nonzero(ends) - corners) / (2 * (height + width) - 4))


def to_mask(index: ClassIndex, values: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the mask: class indices replaced by mask values.

    Args:
        index: uint8 of shape (height, width).
        values: mask value per class, 0 for the background.
    """
    mask: NDArray[np.uint8] = np.array(values, dtype=np.uint8)[index]
    return mask
