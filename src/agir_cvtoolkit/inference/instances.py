"""Single plants told apart in a mask: connected parts, or parts that a watershed cuts where they are narrow."""

from __future__ import annotations

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


def instances_of(index: ClassIndex, method: Method, distance: int) -> Instances:
    """Number the instances of a mask from 1, from top to bottom and, where they begin in one row, left to right.

    Args:
        index: uint8 of shape (height, width); 0 is background. Parts of different classes are never one instance.
        method: ``components``: 8-connected parts of one class; ``watershed``: these, cut between the middles of round
            parts that hang together (Meyer 1992, "Color image segmentation").
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
    smooth, middles = _middles(binary, distance)
    _, seeds = cv2.connectedComponents((middles > 0).view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    total = len(stats)
    for part in range(1, len(stats)):
        left, top, width, height = (int(v) for v in stats[part, :4])
        window = np.s_[top : top + height, left : left + width]
        inside = labels[window] == part
        names = _one_of_each(middles[window][inside], seeds[window][inside])
        if len(names) < 2:
            continue
        chosen = inside & np.isin(seeds[window], names)
        pieces = _flooded(smooth[window], inside, np.where(chosen, seeds[window], 0), names)
        # The first piece keeps the part's own number.
        labels[window][inside] = np.where(pieces[inside] == 1, part, total + pieces[inside] - 2)
        total += len(names) - 1
    return total, labels


def _one_of_each(middles: NDArray[np.int32], seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the largest seed of each middle, ascending: small holes make several seeds of one."""
    pairs, counts = np.unique(np.stack([middles, seeds]), axis=1, return_counts=True)
    largest: dict[int, tuple[int, int]] = {}
    for middle, seed, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        if middle > 0:
            largest[middle] = max(largest.get(middle, (0, 0)), (count, -seed))
    return np.array(sorted(-seed for _, seed in largest.values()), dtype=np.int32)


def _middles(binary: NDArray[np.uint8], distance: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return how deep inside a pixel lies, and numbers of the places where that is most within `distance`.

    Both are found in a smaller picture: so holes of a few pixels and ragged edges do not cut a plant into pieces.
    """
    height, width = binary.shape
    factor = max(1.0, distance / _REACH)
    size = max(1, round(width / factor)), max(1, round(height / factor))
    small = cv2.resize(binary * np.uint8(255), size, interpolation=cv2.INTER_AREA) >= 128
    depth = cv2.distanceTransform(small.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    reach = max(1, round(distance / factor))
    smooth = cv2.GaussianBlur(depth, (0, 0), max(1.0, reach / 4))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    # Nearly as deep is as deep: the ridge of a straight leaf is one middle and not hundreds.
    peaks = (small & (smooth >= _NEARLY * cv2.dilate(smooth, around))).view(np.uint8)
    _, numbers = cv2.connectedComponents(peaks, connectivity=8, ltype=cv2.CV_32S)
    large = np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    middles = np.asarray(
        cv2.resize(numbers, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.int32
    )
    return large, middles * binary


def _flooded(
    depth: NDArray[np.float32], inside: NDArray[np.bool_], seeds: NDArray[np.int32], names: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return pieces numbered from 1, each around one seed, for every pixel inside."""
    markers = np.zeros((inside.shape[0] + 2, inside.shape[1] + 2), dtype=np.int32)
    inner = markers[1:-1, 1:-1]
    inner[:] = np.searchsorted(names, seeds) + 2
    inner[seeds == 0] = 0
    inner[~inside] = 1
    markers[[0, -1]] = 1
    markers[:, [0, -1]] = 1
    relief = np.zeros((*markers.shape, 3), dtype=np.uint8)
    high = max(float(depth[inside].max()), 1e-6)
    relief[1:-1, 1:-1] = np.rint(255 * (1 - np.clip(depth / high, 0, 1)))[..., None]
    flooded = cv2.watershed(relief, markers)[1:-1, 1:-1]
    pieces: NDArray[np.int32] = np.where(inside & (flooded > 1), flooded - 1, 0).astype(np.int32)
    return _grown(pieces, inside)


def _grown(pieces: NDArray[np.int32], inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give the dams between pieces, which a watershed leaves free, to the pieces beside them."""
    kernel = np.ones((3, 3), dtype=np.uint8)
    while (inside & (pieces == 0)).any():
        wider = cv2.dilate(pieces.astype(np.float32), kernel).astype(np.int32)
        free = inside & (pieces == 0)
        if not wider[free].any():
            pieces[free] = 1
            break
        pieces[free] = wider[free]
    return pieces


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
