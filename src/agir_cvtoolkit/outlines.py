"""Bit masks as outlines, exact both ways.

Rings run along the edges of pixels: pixel (x, y) covers the square from (x, y) to (x + 1, y + 1), as CVAT
draws it. A ring traced without simplification therefore encloses the centres of its pixels and of no others,
and `rasterize` gives the mask back bit for bit. (Outlines through pixel centres, as OpenCV traces them, lose half
a pixel on every side.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import MaskError
from .masks import Bitmap, bounding_box
from .shapes import Ellipse, Point

Ring = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Region:
    """One 4-connected part of a mask.

    Attributes:
        outer: float64 of shape (points, 2), x and y, clockwise on the screen; not closed by a repeated point.
        holes: likewise, counter-clockwise.
    """

    outer: Ring
    holes: tuple[Ring, ...]


def regions(mask: Bitmap, tolerance: float = 0.0) -> list[Region]:
    """Trace the outlines of a mask.

    Args:
        mask: shape (height, width), any value other than 0 is foreground.
        tolerance: largest distance in pixels by which simplification may move an outline (Douglas & Peucker
            1973); 0 keeps every corner.

    Returns:
        One region per 4-connected part, in the order of their first pixels.
    """
    box = bounding_box(mask)
    if box is None:
        return []
    left, upper, right, lower = box
    binary = np.ascontiguousarray(mask[upper : lower + 1, left : right + 1] != 0).view(np.uint8)
    count, labels = cv2.connectedComponents(binary, connectivity=4, ltype=cv2.CV_32S)
    outers: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for corners, part in _traced(binary, np.asarray(labels)):
        ring = _simplified(corners, tolerance) + np.array([left, upper], dtype=np.float64)
        if _signed_area(corners) > 0:
            outers[part] = ring
        else:
            holes.setdefault(part, []).append(ring)
    return [Region(outers[i], tuple(holes.get(i, ()))) for i in range(1, count) if i in outers]


def bridged(region: Region) -> Ring:
    """Join a region's holes to its outer ring by slits of no width, so that one ring describes it.

    CVAT polygons have no holes. By the even-odd rule the ring encloses what the region does: a slit covers no
    pixel centre, for it is passed twice.
    """
    ring = region.outer
    for hole in sorted(region.holes, key=lambda h: float(h[:, 0].min())):
        at, start = _nearest(ring, hole)
        turned = np.roll(hole, -start, axis=0)
        ring = np.concatenate([ring[: at + 1], turned, turned[:1], ring[at:]])
    return ring


def rasterize(rings: list[Ring], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of `size` (width, height) of the pixels whose centres the rings enclose (even-odd).

    A centre exactly on an edge belongs to the right and lower side. Coordinates outside the picture are
    allowed.
    """
    width, height = size
    toggles = np.zeros((height, width + 1), dtype=np.uint8)
    for ring in rings:
        first, second = ring, np.roll(ring, -1, axis=0)
        top, bottom = np.minimum(first[:, 1], second[:, 1]), np.maximum(first[:, 1], second[:, 1])
        start = np.clip(np.ceil(top - 0.5), 0, height).astype(np.int64)
        stop = np.clip(np.ceil(bottom - 0.5), 0, height).astype(np.int64)
        counts = np.maximum(stop - start, 0)
        edge = np.repeat(np.arange(len(ring)), counts)
        if not len(edge):
            continue
        offsets = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = start[edge] + offsets
        x1, y1, x2, y2 = first[edge, 0], first[edge, 1], second[edge, 0], second[edge, 1]
        crossing = x1 + (rows + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        columns = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
        np.bitwise_xor.at(toggles, (rows, columns), np.uint8(1))
    return np.bitwise_xor.accumulate(toggles, axis=1)[:, :width].astype(np.bool_)


def ellipse_pixels(shape: Ellipse, size: tuple[int, int]) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    """Tell which pixels belong to an ellipse: those whose centre lies in it or on its edge.

    Args:
        shape: with its rotation, clockwise in degrees.
        size: width and height of the picture; what lies outside is cut off.

    Returns:
        Left and top of a part of the picture, and the pixels of that part, bool (height, width).

    Raises:
        MaskError: a coordinate is no number.
    """
    (cx, cy), (rx, ry) = shape.points[0], (abs(radius) for radius in shape.radii)
    if not all(map(math.isfinite, (cx, cy, rx, ry, shape.rotation))):
        raise MaskError(f"an ellipse of label '{shape.label}' has no place", "Draw it anew in CVAT.")
    turn = math.radians(shape.rotation)
    cos, sin = math.cos(turn), math.sin(turn)
    half = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    left, top = (max(0, math.floor(min(c - h, 2**30))) for c, h in zip((cx, cy), half, strict=True))
    right, bottom = (
        min(limit, math.ceil(max(c + h, -1.0)) + 1) for c, h, limit in zip((cx, cy), half, size, strict=True)
    )
    x = np.arange(left, max(left, right)) + 0.5 - cx
    y = np.arange(top, max(top, bottom))[:, None] + 0.5 - cy
    # Multiplied out, so that a radius of nothing divides nothing.
    along, across = (x * cos + y * sin) * ry, (y * cos - x * sin) * rx
    inside: NDArray[np.bool_] = along**2 + across**2 <= (rx * ry) ** 2
    return (left, top), inside & (rx > 0) & (ry > 0)


def turned(points: Sequence[Point], centre: Point, rotation: float) -> tuple[Point, ...]:
    """Return points turned clockwise on the screen by `rotation` degrees about `centre`."""
    cosine, sine = _cosine_and_sine(rotation)
    cx, cy = centre
    moved = (
        (cx + (x - cx) * cosine - (y - cy) * sine, cy + (x - cx) * sine + (y - cy) * cosine)
        for x, y in points
    )
    return tuple(moved)


def _cosine_and_sine(rotation: float) -> tuple[float, float]:
    quarters, rest = divmod(rotation % 360.0, 90.0)
    if rest == 0.0:
        # Quarter turns are exact, so that an upright shape stays so.
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0))[int(quarters)]
    angle = math.radians(rotation)
    return math.cos(angle), math.sin(angle)


def _traced(binary: NDArray[np.uint8], labels: NDArray[np.int32]) -> list[tuple[Ring, int]]:
    """Follow the pixel edges, foreground on the right hand; return the corners and the part of each ring."""
    width = binary.shape[1]
    padded = np.pad(binary, 1).astype(np.bool_)
    inner = padded[1:-1, 1:-1]
    # Directed edges by direction (0 right, 1 down, 2 left, 3 up): start x, start y, and the foreground pixel
    # beside.
    above = np.nonzero(inner & ~padded[:-2, 1:-1])
    right = np.nonzero(inner & ~padded[1:-1, 2:])
    below = np.nonzero(inner & ~padded[2:, 1:-1])
    left = np.nonzero(inner & ~padded[1:-1, :-2])
    sides = (
        (above[1], above[0], above),
        (right[1] + 1, right[0], right),
        (below[1] + 1, below[0] + 1, below),
        (left[1], left[0] + 1, left),
    )
    start_x = np.concatenate([s[0] for s in sides])
    start_y = np.concatenate([s[1] for s in sides])
    part = np.concatenate([labels[s[2]] for s in sides])
    direction = np.repeat(np.arange(4), [len(s[0]) for s in sides])
    if not len(direction):
        return []
    # At a vertex where two parts touch, turning right first keeps to the part that is being followed.
    vertex = start_y * (width + 1) + start_x
    keys = vertex * 4 + direction
    order = np.argsort(keys)
    ordered = keys[order]
    end = (
        (start_y + np.array([0, 1, 0, -1])[direction]) * (width + 1)
        + start_x
        + np.array([1, 0, -1, 0])[direction]
    )
    following = np.full(len(direction), -1, dtype=np.int64)
    for turn in (1, 0, -1):
        wanted = end * 4 + (direction + turn) % 4
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        following = np.where((following < 0) & (ordered[at] == wanted), order[at], following)
    corner = direction[following] != direction
    return _rings(following, corner, end % (width + 1), end // (width + 1), part)


def _rings(
    following: NDArray[np.int64],
    corner: NDArray[np.bool_],
    end_x: NDArray[np.int64],
    end_y: NDArray[np.int64],
    part: NDArray[np.int32],
) -> list[tuple[Ring, int]]:
    successor, is_corner = following.tolist(), corner.tolist()
    seen = bytearray(len(successor))
    found = []
    for start in range(len(successor)):
        if seen[start]:
            continue
        edges, edge = [], start
        while not seen[edge]:
            seen[edge] = 1
            if is_corner[edge]:
                edges.append(edge)
            edge = successor[edge]
        chosen = np.asarray(edges)
        ring = np.stack([end_x[chosen], end_y[chosen]], axis=1).astype(np.float64)
        found.append((ring, int(part[start])))
    return found


def _signed_area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _simplified(ring: Ring, tolerance: float) -> Ring:
    if tolerance <= 0 or len(ring) <= 4:
        return ring
    kept: Ring = np.asarray(
        cv2.approxPolyDP(ring.astype(np.float32).reshape(-1, 1, 2), tolerance, True), dtype=np.float64
    )
    return kept.reshape(-1, 2) if len(kept) >= 3 else ring


def _nearest(ring: Ring, hole: Ring) -> tuple[int, int]:
    best, at, start = np.inf, 0, 0
    for index in range(0, len(ring), 4096):
        piece = ring[index : index + 4096]
        for begin in range(0, len(hole), 1024):
            gaps = ((piece[:, None, :] - hole[None, begin : begin + 1024, :]) ** 2).sum(axis=2)
            flat = int(np.argmin(gaps))
            if gaps.flat[flat] < best:
                row, column = divmod(flat, gaps.shape[1])
                best, at, start = float(gaps.flat[flat]), index + row, begin + column
    return at, start
