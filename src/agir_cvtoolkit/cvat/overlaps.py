"""Whether the order of shapes decides which of them is seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import MaskError
from agir_cvtoolkit.masks import Runs, check_runs
from agir_cvtoolkit.shapes import Mask, Polygon, Shape

_Box = tuple[int, int, int, int]


def order_matters(shapes: Sequence[Shape]) -> bool:
    """Tell whether areas of two labels at one z-order overlap, so that the later one hides the other.

    Masks are compared pixel by pixel, polygons by their boxes.

    Args:
        shapes: of one frame.
    """
    areas = [(shape, _box(shape)) for shape in shapes if isinstance(shape, Mask | Polygon)]
    if len({shape.label for shape, _ in areas}) < 2:
        return False
    for (one, box), (other, other_box) in combinations(areas, 2):
        if one.z_order != other.z_order or one.label == other.label:
            continue
        shared = _shared(box, other_box)
        if shared is None:
            continue
        if isinstance(one, Polygon) or isinstance(other, Polygon) or _touch(one, other, shared):
            return True
    return False


def _box(shape: Mask | Polygon) -> _Box:
    if isinstance(shape, Mask):
        return shape.box
    xs, ys = zip(*shape.points, strict=True)
    return math.floor(min(xs)), math.floor(min(ys)), math.ceil(max(xs)), math.ceil(max(ys))


def _shared(one: _Box, other: _Box) -> _Box | None:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (left, top, right, bottom) if left <= right and top <= bottom else None


def _touch(one: Mask, other: Mask, shared: _Box) -> bool:
    try:
        for mask in (one, other):
            x, y, last_x, last_y = mask.box
            check_runs(Runs(mask.runs, (0, 0, last_x - x, last_y - y)), (last_x - x + 1, last_y - y + 1))
    except MaskError:
        # Who draws it says what is wrong with it.
        return False
    starts, ends = _stretches(one, shared)
    other_starts, other_ends = _stretches(other, shared)
    # Both lists are sorted and disjoint: a stretch is touched when more of the others begin before its end than
    # end before its start.
    begun = np.searchsorted(other_starts, ends, side="left")
    over = np.searchsorted(other_ends, starts, side="right")
    return bool((begun > over).any())


def _stretches(mask: Mask, shared: _Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the foreground within `shared` begins and ends (exclusive), row by row.

    Positions count the pixels of `shared` in reading order; both arrays ascend.
    """
    x, y, last_x, _ = mask.box
    width = last_x - x + 1
    edges = np.cumsum(mask.runs, dtype=np.int64)
    starts, ends = edges[:-1:2], edges[1::2]
    first, last = starts // width, (ends - 1) // width
    inside = (ends > starts) & (last >= shared[1] - y) & (first <= shared[3] - y)
    starts, ends, first, last = starts[inside], ends[inside], first[inside], last[inside]
    # A run that goes on in the next row of its box is cut at the end of the row.
    counts = last - first + 1
    of = np.repeat(np.arange(len(counts)), counts)
    row = first[of] + np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    left = np.maximum(starts[of] - row * width, shared[0] - x)
    right = np.minimum(ends[of] - row * width, shared[2] - x + 1)
    kept = (left < right) & (row >= shared[1] - y) & (row <= shared[3] - y)
    begin = (row[kept] - (shared[1] - y)) * (shared[2] - shared[0] + 1) - (shared[0] - x)
    return begin + left[kept], begin + right[kept]
