"""Connected parts of a mask, found band by band: memory is that of a band of labels, however large the mask.

A band is labelled by itself; parts that meet where two bands touch are joined (union by the smaller number). Bands are
labelled again when they are changed, which costs less than keeping four bytes for every pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.scratch import let_go

_BAND_PIXELS = 1 << 22

Flags = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class BandOfParts:
    """Rows of a mask with their labels.

    Attributes:
        rows: of the mask.
        labels: int32 of shape (rows, width); 0 is no part.
        part: for each label the number of the whole part.
        boxes: int32 of shape (labels, 4): left, top, width and height inside the band.
    """

    rows: slice
    labels: NDArray[np.int32]
    part: NDArray[np.int64]
    boxes: NDArray[np.int32]


class Parts:
    """The connected parts of a mask.

    Attributes:
        areas: int64, pixels of each part; number 0 is no part.
        at_border: bool, whether a part touches the border of the mask.
    """

    def __init__(
        self,
        mask: NDArray[np.uint8],
        connectivity: int,
        band_pixels: int = _BAND_PIXELS,
        *,
        of_zeros: bool = False,
    ) -> None:
        """Find the parts.

        Args:
            mask: uint8 of shape (height, width), parts are of pixels other than 0.
            connectivity: 4 or 8.
            band_pixels: labelled at once.
            of_zeros: parts are of pixels that are 0.
        """
        self._mask = mask
        self._of_zeros = of_zeros
        self._connectivity = connectivity
        height, width = mask.shape
        step = max(1, band_pixels // max(1, width))
        self._rows = [slice(top, min(top + step, height)) for top in range(0, height, step)]
        self._known: tuple[int, NDArray[np.int32], NDArray[np.int32]] | None = None
        self._offsets = [0]
        areas, borders, pairs = [np.zeros(1, np.int64)], [np.zeros(1, np.bool_)], []
        above: NDArray[np.int64] | None = None
        for number, rows in enumerate(self._rows):
            labels, stats = self._labelled(number)
            areas.append(stats[1:, cv2.CC_STAT_AREA].astype(np.int64))
            borders.append(_at_border(stats[1:], rows, mask.shape))
            offset = self._offsets[-1]
            below = _global(labels[0], offset)
            if above is not None:
                pairs.append(_meeting(above, below, connectivity))
            above = _global(labels[-1], offset)
            self._offsets.append(offset + len(stats) - 1)
        self._part = _joined(self._offsets[-1] + 1, np.concatenate(pairs) if pairs else None)
        self.areas = np.bincount(self._part, np.concatenate(areas), len(self._part)).astype(np.int64)
        self.at_border = np.bincount(self._part, np.concatenate(borders), len(self._part)) > 0

    def bands(self) -> Iterator[BandOfParts]:
        """Yield the mask's bands from top to bottom."""
        for number, rows in enumerate(self._rows):
            labels, stats = self._labelled(number)
            own = np.arange(self._offsets[number], self._offsets[number + 1]) + 1
            part = np.concatenate([np.zeros(1, np.int64), self._part[own]])
            yield BandOfParts(rows, labels, part, stats[:, :4])

    def _labelled(self, number: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        if self._known is None or self._known[0] != number:
            self._known = None  # Let go before the next is made.
            band = self._mask[self._rows[number]]
            if self._of_zeros:
                band = np.equal(band, 0).view(np.uint8)
            found = cv2.connectedComponentsWithStats(band, connectivity=self._connectivity, ltype=cv2.CV_32S)
            self._known = number, np.asarray(found[1], np.int32), np.asarray(found[2], np.int32)
            let_go(self._mask)
        return self._known[1], self._known[2]


def _global(labels: NDArray[np.int32], offset: int) -> NDArray[np.int64]:
    return np.where(labels > 0, labels.astype(np.int64) + offset, 0)


def _at_border(stats: NDArray[np.int32], rows: slice, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP] + rows.start
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    found: NDArray[np.bool_] = (left == 0) | (top == 0) | (right == shape[1]) | (bottom == shape[0])
    return found


def _meeting(above: NDArray[np.int64], below: NDArray[np.int64], connectivity: int) -> NDArray[np.int64]:
    """Return the pairs of parts that touch across the line between two bands, shape (pairs, 2)."""
    sides = [(above, below)]
    if connectivity == 8:
        sides += [(above[1:], below[:-1]), (above[:-1], below[1:])]
    pairs = np.concatenate([np.stack(side, axis=1)[(side[0] > 0) & (side[1] > 0)] for side in sides])
    return np.unique(pairs, axis=0)


def _joined(count: int, pairs: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return for each label the smallest one of the labels that it is joined with."""
    parent = list(range(count))

    def root(label: int) -> int:
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    for first, second in [] if pairs is None else pairs.tolist():
        one, other = root(first), root(second)
        parent[max(one, other)] = min(one, other)
    return np.array([root(label) for label in range(count)], dtype=np.int64)
