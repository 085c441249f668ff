"""Where the object of a track is on a frame that nobody has drawn it on, as CVAT itself computes it.

Boxes, ellipses and single points move on straight lines, skeletons point by point, turns take the shorter
way. Outlines and lines may have another number of points at the next keyframe: points are paired by how far
along the line they lie, and pairs that fall together are thinned out (CVAT's `TrackManager`, measured against
the exports of a 2.42 server). Masks and groups of points stay as they were drawn until the next keyframe.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import replace
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

import numpy as np

from .shapes import Ellipse, Keyframe, Point, Points, Polygon, Polyline, Rectangle, Shape, Skeleton, Track


def shape_on(track: Track, frame: int, deleted: Collection[int] = ()) -> Shape | None:
    """Return the object of a track as it is on a frame, or None where it is not to be seen.

    Args:
        track: the object.
        frame: number of the frame in the task.
        deleted: frames that are deleted; keyframes on them do not count.

    Returns:
        The shape with the source and group of the track and all attributes that hold there. Of a skeleton the
        elements are complete, absent ones have `outside` set.
    """
    place = None if frame in deleted else _place(track, frame, deleted)
    if place is None or place.outside:
        return None
    shape = place.shape
    if not isinstance(shape, Skeleton) or not track.elements:
        return shape
    found = (_element(element, frame, deleted) for element in track.elements)
    elements = tuple(element for element in found if element is not None)
    if all(element.outside for element in elements):
        return None
    return replace(shape, elements=elements)


class _Place(NamedTuple):
    shape: Shape
    outside: bool


def _place(track: Track, frame: int, deleted: Collection[int]) -> _Place | None:
    keyframes = [found for found in track.keyframes if found.frame not in deleted]
    index = bisect_right([found.frame for found in keyframes], frame) - 1
    if index < 0:
        return None
    left = keyframes[index]
    shape = left.shape
    if left.frame != frame and index + 1 < len(keyframes):
        right = keyframes[index + 1]
        shape = _between(shape, right.shape, (frame - left.frame) / (right.frame - left.frame))
    attributes = dict(track.attributes)
    for found in keyframes[: index + 1]:
        attributes.update(found.shape.attributes)
    shape = replace(shape, label=track.label, source=track.source, group=track.group, attributes=attributes)
    return _Place(shape, left.outside)


def _element(track: Track, frame: int, deleted: Collection[int]) -> Points | None:
    place = _place(track, frame, deleted)
    if place is None:
        # Not drawn yet: a skeleton has all its elements, so this one is absent.
        first = next((k for k in track.keyframes if k.frame not in deleted), None)
        place = None if first is None else _first(track, first)
    if place is None or not isinstance(place.shape, Points):
        return None
    return replace(place.shape, outside=place.outside)


def _first(track: Track, keyframe: Keyframe) -> _Place:
    return _Place(replace(keyframe.shape, label=track.label, source=track.source), outside=True)


def _between(left: Shape, right: Shape, part: float) -> Shape:
    if isinstance(left, Rectangle | Ellipse) and isinstance(right, Rectangle | Ellipse):
        if left.kind != right.kind or len(left.points) != len(right.points):
            return left
        rotation = (left.rotation + _turn(left.rotation, right.rotation) * part + 360.0) % 360.0
        return replace(left, points=_moved(left.points, right.points, part), rotation=rotation)
    if isinstance(left, Points) and isinstance(right, Points):
        single = len(left.points) == len(right.points) == 1
        return replace(left, points=_moved(left.points, right.points, part)) if single else left
    if isinstance(left, Polygon) and isinstance(right, Polygon):
        first, second = (*left.points, left.points[0]), (*right.points, right.points[0])
        return replace(left, points=_morphed(first, second, part)[:-1])
    if isinstance(left, Polyline) and isinstance(right, Polyline):
        return replace(left, points=_morphed(left.points, right.points, part))
    return left


def _turn(left: float, right: float) -> float:
    difference = (right - left + 180.0) % 360.0 - 180.0
    # Of two equally short ways CVAT takes neither and turns by one degree; what is exported shows that.
    return 1.0 if difference == -180.0 else difference


def _moved(left: tuple[Point, ...], right: tuple[Point, ...], part: float) -> tuple[Point, ...]:
    return tuple(_mixed(a, b, part) for a, b in zip(left, right, strict=True))


def _mixed(left: Point, right: Point, part: float) -> Point:
    return left[0] + (right[0] - left[0]) * part, left[1] + (right[1] - left[1]) * part


def _morphed(left: tuple[Point, ...], right: tuple[Point, ...], part: float) -> tuple[Point, ...]:
    """Move one line towards another that may have more or fewer points."""
    if _length(left) == 0.0 or _length(right) == 0.0:
        return left
    pairs = _pairs(left, right)
    moved = [[_mixed(left[i], right[j], part) for j in partners] for i, partners in enumerate(pairs)]
    kept: list[Point] = []
    start = 0
    while start < len(left):
        stop = start + 1
        if len(pairs[start]) > 1:
            # One point opens into a piece of the other line.
            kept += _thinned(moved[start], right[pairs[start][0] : pairs[start][-1] + 1])
        else:
            # A piece of this line closes into one point of the other.
            while stop < len(left) and pairs[stop] == pairs[start]:
                stop += 1
            piece = [points[0] for points in moved[start:stop]]
            kept += piece if len(piece) == 1 else _thinned(piece, left[start:stop])
        start = stop
    return tuple(kept)


def _pairs(left: tuple[Point, ...], right: tuple[Point, ...]) -> list[list[int]]:
    """Return for each point of a line its partners on the other; every point of both has at least one."""
    along, other = _along(left), _along(right)
    partners = [[int(np.abs(other - place).argmin())] for place in along]
    matched = {found[0] for found in partners}
    for index in sorted(set(range(len(right))) - matched):
        partners[int(np.abs(along - other[index]).argmin())].append(index)
    return [sorted(found) for found in partners]


def _along(line: tuple[Point, ...]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    total = _length(line)
    places = [0.0]
    walked = 0.0
    for first, second in pairwise(line):
        walked += _gap(first, second)
        places.append(walked / total)
    return np.array(places)


def _gap(first: Point, second: Point) -> float:
    # As CVAT computes it: another rounding would decide ties between points otherwise.
    dx, dy = second[0] - first[0], second[1] - first[1]
    return sqrt(dx * dx + dy * dy)


def _length(line: tuple[Point, ...]) -> float:
    return sum((_gap(first, second) for first, second in pairwise(line)), 0.0)


def _thinned(points: list[Point], drawn: tuple[Point, ...]) -> list[Point]:
    """Leave out moved points that lie closer together than half the mean step of the piece as it was drawn."""
    nearest = _length(drawn) / (2 * len(drawn))
    kept = [points[0]]
    for point in points[1:-1]:
        if _gap(kept[-1], point) >= nearest:
            kept.append(point)
    kept.append(points[-1])
    if len(kept) == 2 and _gap(*kept) < nearest:
        return [_mixed(kept[0], kept[1], 0.5)]
    return kept
