"""Single plants told apart in a mask: connected parts, or parts that a watershed cuts where they are narrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import DataError

from .postprocess import ClassIndex

Method = Literal["components", "watershed"]
Instances = NDArray[np.uint16]

_MOST = 65_535
_NEARLY = np.float32(0.9)
_REACH = 16
_LEVELS = 32
_AROUND = np.ones((3, 3), dtype=np.uint8)


def instances_of(index: ClassIndex, method: Method, distance: int) -> Instances:
    """Number the instances of a mask from 1, from top to bottom and, where they begin in one row, left to right.

    Args:
        index: uint8 of shape (height, width); 0 is background. Parts of different classes are never one instance.
        method: ``components``: 8-connected parts of one class; ``watershed``: these, cut between the middles of round
            parts that hang together (Vincent & Soille 1991, "Watersheds in digital spaces: an efficient algorithm based
            on immersion simulations").
        distance: how far the middles of two instances are apart at least, in pixels; of the watershed alone.

    Returns:
        uint16 of shape (height, width); 0 is background.

    Raises:
        DataError: there are more than 65,535.
    """
    found: NDArray[np.int32] = np.zeros(index.shape, dtype=np.int32)
    count = 0
    for value in np.unique(index):
        if value == 0:
            continue
        binary = (index == value).view(np.uint8)
        total, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8, ltype=cv2.CV_32S)
        if method == "watershed":
            total, labels = _cut(binary, labels, stats, distance)
        np.add(labels, count, out=found, where=labels > 0)
        count += total - 1
    if count > _MOST:
        raise DataError(
            f"the mask falls into {count} instances, more than a file holds ({_MOST})",
            "Remove specks: raise seg_inference.post_process.min_area",
        )
    return _numbered(found, count)


def _cut(
    binary: NDArray[np.uint8], labels: NDArray[np.int32], stats: NDArray[np.int32], distance: int
) -> tuple[int, NDArray[np.int32]]:
    """Cut parts with several middles; return the number of labels, with the background, and the labels."""
    small = _Reduced.of(binary, distance)
    total = len(stats)
    for part in range(1, len(stats)):
        left, top, width, height = (int(v) for v in stats[part, :4])
        window = np.s_[top : top + height, left : left + width]
        inside = labels[window] == part
        names = small.middles_in(window, inside)
        if len(names) < 2:
            continue
        pieces = _in_one_piece(np.where(inside, small.basins(window, names), 0))
        _grow(pieces, inside, rounds=_REACH)
        _give_the_rest(pieces, inside)
        # The first piece keeps the part's own number.
        labels[window][inside] = np.where(pieces[inside] == 1, part, total + pieces[inside] - 2)
        total += len(names) - 1
    return total, labels


@dataclass(frozen=True, eq=False)
class _Reduced:
    """A mask made smaller: so holes of a few pixels and ragged edges do not cut a plant into pieces.

    Attributes:
        mask: bool, where at least half of a pixel's area is foreground.
        depth: float32, how far inside a pixel lies, smoothed.
        middles: int32, numbers of the places where that is most within the distance asked for; 0 elsewhere.
        rows, columns: of the smaller mask, for each row and column of the mask itself.
    """

    mask: NDArray[np.bool_]
    depth: NDArray[np.float32]
    middles: NDArray[np.int32]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    @classmethod
    def of(cls, binary: NDArray[np.uint8], distance: int) -> _Reduced:
        height, width = binary.shape
        factor = max(1.0, distance / _REACH)
        size = max(1, round(width / factor)), max(1, round(height / factor))
        mask = cv2.resize(binary * np.uint8(255), size, interpolation=cv2.INTER_AREA) >= 128
        depth = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        reach = max(1, round(distance / factor))
        smooth = cv2.GaussianBlur(depth, (0, 0), max(1.0, reach / 4))
        around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        # Nearly as deep is as deep: the ridge of a straight leaf is one middle and not hundreds.
        peaks = mask & (smooth >= _NEARLY * cv2.dilate(smooth, around))
        _, middles = cv2.connectedComponents(peaks.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        rows, columns = (np.arange(n) * m // n for n, m in ((height, size[1]), (width, size[0])))
        return cls(mask, np.asarray(smooth, np.float32), np.asarray(middles, np.int32), rows, columns)

    def middles_in(self, window: tuple[slice, slice], inside: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Return the numbers of the middles that lie inside a part, ascending."""
        names = np.unique(self._enlarged(self.middles, window)[inside])
        return names[names > 0]

    def basins(self, window: tuple[slice, slice], names: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return for each pixel of a window which middle, counted from 1, the water around it came from.

        It rises from the deepest places to the edges; what it does not reach is 0.
        """
        rows, columns = self.rows[window[0]], self.columns[window[1]]
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        mask, depth, middles = self.mask[part], self.depth[part], self.middles[part]
        found = np.where(np.isin(middles, names), np.searchsorted(names, middles) + 1, 0).astype(np.int32)
        for number, level in enumerate(np.linspace(float(depth.max()), 0, _LEVELS)):
            _grow(found, mask & (depth >= level), larger=number % 2 == 0)
        return found[np.ix_(rows - rows[0], columns - columns[0])]

    def _enlarged(self, small: NDArray[np.int32], window: tuple[slice, slice]) -> NDArray[np.int32]:
        return small[np.ix_(self.rows[window[0]], self.columns[window[1]])]


def _in_one_piece(pieces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the largest connected part of each piece."""
    found = np.zeros_like(pieces)
    for name, box in enumerate(_boxes(pieces), start=1):
        _, parts, stats, _ = cv2.connectedComponentsWithStats(
            (pieces[box] == name).view(np.uint8), connectivity=8, ltype=cv2.CV_32S
        )
        if len(stats) > 1:
            found[box][parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))] = name
    return found


def _boxes(pieces: NDArray[np.int32]) -> list[tuple[slice, slice]]:
    """Return where each number from 1 lies."""
    count = int(pieces.max(initial=0)) + 1
    low = np.full((2, count), max(pieces.shape), dtype=np.intp)
    high = np.zeros((2, count), dtype=np.intp)
    for row, line in enumerate(pieces):
        names, firsts = np.unique(line, return_index=True)
        lasts = len(line) - 1 - np.unique(line[::-1], return_index=True)[1]
        low[0, names] = np.minimum(low[0, names], row)
        high[0, names] = row + 1
        low[1, names] = np.minimum(low[1, names], firsts)
        high[1, names] = np.maximum(high[1, names], lasts + 1)
    return [
        (slice(low[0, name], high[0, name]), slice(low[1, name], high[1, name])) for name in range(1, count)
    ]


def _grow(
    pieces: NDArray[np.int32], inside: NDArray[np.bool_], *, larger: bool = True, rounds: int | None = None
) -> None:
    """Give what is free and can be reached inside to the pieces beside it, one pixel around them in each round.

    Where two meet, each has it in turn, first the one with the larger number or not.
    """
    turned = int(pieces.max(initial=0)) + 1
    while rounds != 0:
        ranks = pieces if larger else np.where(pieces > 0, turned - pieces, 0)
        beside = cv2.dilate(ranks.astype(np.float32), _AROUND).astype(np.int32)
        new = inside & (pieces == 0) & (beside > 0)
        if not new.any():
            return
        pieces[new] = beside[new] if larger else turned - beside[new]
        larger = not larger
        rounds = None if rounds is None else rounds - 1


def _give_the_rest(pieces: NDArray[np.int32], inside: NDArray[np.bool_]) -> None:
    """Give each connected part of what is still free, a thin leaf or stem, whole to a piece that it touches."""
    _, rest = cv2.connectedComponents(
        (inside & (pieces == 0)).view(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    owners = np.zeros(int(rest.max()) + 1, dtype=np.int32)
    touched = cv2.dilate(pieces.astype(np.float32), _AROUND).astype(np.int32)
    np.maximum.at(owners, rest[rest > 0], touched[rest > 0])
    np.copyto(pieces, owners[rest], where=rest > 0)


def _numbered(labels: NDArray[np.int32], count: int) -> Instances:
    """Return labels renumbered by where they begin, in reading order."""
    firsts = np.full(count + 1, labels.size, dtype=np.int64)
    flat = labels.reshape(-1)
    places = np.flatnonzero(flat)
    np.minimum.at(firsts, flat[places], places)
    order = np.argsort(firsts[1:], kind="stable") + 1
    table = np.zeros(count + 1, dtype=np.uint16)
    table[order] = np.arange(1, count + 1, dtype=np.uint16)
    return table[labels]
