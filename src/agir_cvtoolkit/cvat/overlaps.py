"""Whether the order of shapes decides which of them is seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from agir_cvtoolkit.errors import MaskError
from agir_cvtoolkit.masks import Runs, decode
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
    left, top, right, bottom = shared
    parts = []
    for mask in (one, other):
        x, y, last_x, last_y = mask.box
        try:
            own = decode(Runs(mask.runs, (0, 0, last_x - x, last_y - y)), (last_x - x + 1, last_y - y + 1))
        except MaskError:
            # Who draws it says what is wrong with it.
            return False
        parts.append(own[top - y : bottom - y + 1, left - x : right - x + 1])
    return bool((parts[0] & parts[1]).any())
