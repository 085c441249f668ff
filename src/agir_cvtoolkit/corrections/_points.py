"""Points, lines and skeletons: how near they are, and which points moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.shapes import Points, Polyline, Skeleton

from ._assignment import cheapest

PointShape = Points | Skeleton
SAME_WITHIN_PX = 0.005
"""Points nearer than this are the same: shapes are kept to a hundredth of a pixel."""
_MAX_PAIRED = 256
_MAX_SAMPLES = 4096
_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moves:
    """What became of the points of one shape.

    Attributes:
        similarity: mean of exp(-d² / 2σ²) over all points that one of the two has; 0 for a point that only one
            has.
        moved: how many points lie elsewhere.
        mean_px: mean way of these in pixels; None where none moved.
        changed: how many points appeared, vanished, or changed whether they are occluded or absent.
    """

    similarity: float
    moved: int
    mean_px: float | None
    changed: int


def tolerance(first: _Array, second: _Array, size: tuple[int, int]) -> float:
    """Return σ in pixels: a tenth of the larger shape's diagonal, at least 1 % of the picture's, at least 8.

    A tenth of the object's extent is about what CVAT's own quality check allows (OKS sigma 0.09).
    """
    extents = [np.hypot(*np.ptp(points, axis=0)) if len(points) else 0.0 for points in (first, second)]
    return float(tolerances(np.asarray(extents[:1]), np.asarray(extents[1:]), size)[0, 0])


def tolerances(extents: _Array, others: _Array, size: tuple[int, int]) -> _Array:
    """Return σ of every pair, float64 of shape (n, m), by the diagonals of n and of m shapes."""
    larger = np.maximum(extents[:, None], others[None])
    return np.maximum(max(8.0, 0.01 * math.hypot(*size)), 0.1 * larger)


def positions(shape: PointShape | Polyline) -> _Array:
    """Return the points that are there, float64 of shape (points, 2)."""
    if isinstance(shape, Skeleton):
        found = [element.points[0] for element in shape.elements if element.points and not element.outside]
    else:
        found = list(shape.points)
    return np.asarray(found, dtype=np.float64).reshape(-1, 2)


def moves(before: PointShape, after: PointShape, size: tuple[int, int]) -> Moves | None:
    """Compare two point shapes of one kind, None for two of different kinds or with points that are not finite.

    Points of a skeleton are compared by name. Those of a points shape are paired so that their ways are
    shortest together. The similarity is the object keypoint similarity of COCO (Ronchi & Perona 2017) with
    one σ for all points.
    """
    first, second = positions(before), positions(after)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    sigma = tolerance(first, second, size)
    if isinstance(before, Skeleton) and isinstance(after, Skeleton):
        return _by_name(before, after, sigma)
    if isinstance(before, Skeleton) or isinstance(after, Skeleton):
        return None
    return _moves(_ways(first, second), abs(len(first) - len(second)), 0, sigma)


def line_distance(first: Polyline, second: Polyline) -> float | None:
    """Return the mean distance of two lines in pixels, both ways, sampled at most every pixel.

    None where a line has no points, or one that is not finite.
    """
    a, b = positions(first), positions(second)
    if not (len(a) and len(b) and np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    gaps = np.concatenate([_to_line(_samples(a), b), _to_line(_samples(b), a)])
    return float(gaps.mean())


def nearness(distance: float, sigma: float) -> float:
    """Return exp(-d² / 2σ²)."""
    return math.exp(-(distance**2) / (2 * sigma**2))


def _by_name(before: Skeleton, after: Skeleton, sigma: float) -> Moves:
    old = {element.label: element for element in before.elements}
    new = {element.label: element for element in after.elements}
    ways, alone, changed = [], 0, 0
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        there = [e is not None and bool(e.points) and not e.outside for e in (was, now)]
        if was is not None and now is not None and all(there):
            ways.append(math.dist(was.points[0], now.points[0]))
            changed += was.occluded != now.occluded
        elif any(there):
            alone += 1
    return _moves(np.asarray(ways), alone, changed, sigma)


def _moves(ways: _Array, alone: int, changed: int, sigma: float) -> Moves:
    total = len(ways) + alone
    similarity = float(np.exp(-(ways**2) / (2 * sigma**2)).sum()) / total if total else 1.0
    far = ways[ways > SAME_WITHIN_PX]
    return Moves(similarity, len(far), float(far.mean()) if len(far) else None, changed + alone)


def _ways(first: _Array, second: _Array) -> _Array:
    if len(first) > len(second):
        first, second = second, first
    if not len(first):
        return np.zeros(0)
    in_order: _Array = np.linalg.norm(first - second[: len(first)], axis=1)
    if len(second) > _MAX_PAIRED or (len(first) == len(second) and not in_order.any()):
        return in_order
    gaps = np.linalg.norm(first[:, None] - second[None], axis=2)
    chosen: _Array = gaps[np.arange(len(first)), cheapest(gaps)]
    return chosen


def _samples(line: _Array) -> _Array:
    if len(line) == 1:
        return line
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    count = int(min(_MAX_SAMPLES, max(2.0, math.ceil(along[-1]) + 1.0)))
    at = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])], axis=1)


def _to_line(points: _Array, line: _Array) -> _Array:
    """Return the distance of each point to the nearest piece of a line."""
    if len(line) == 1:
        return np.asarray(np.linalg.norm(points - line[0], axis=1))
    nearest = np.full(len(points), np.inf)
    for start, stop in pairwise(line):
        way = stop - start
        square = float(way @ way)
        share = np.clip(((points - start) @ way) / square, 0.0, 1.0) if square else np.zeros(len(points))
        gap = np.linalg.norm(points - (start + share[:, None] * way), axis=1)
        nearest = np.minimum(nearest, gap)
    return nearest
