"""Which pulled shape came from which prediction, and what was done to it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.shapes import Ellipse, Mask, Points, Polygon, Polyline, Rectangle, Shape, Skeleton

from ._areas import Area, AreaShape, area_of, outline_distance, overlap
from ._assignment import best_pairs
from ._points import line_distance, moves, nearness, positions, tolerance, tolerances

Outcome = Literal["accepted", "edited", "relabelled", "deleted", "added", "unknown"]
MATCH_FROM = 0.1
"""Least similarity of two shapes that may be one object before and after."""
SAME_LABEL_WORTH = 0.1
"""What the same label adds to a similarity: it decides between objects that lie over each other."""
_AREAS = (Mask, Polygon, Rectangle, Ellipse)
_POINTS = (Points, Skeleton)
_NOWHERE, _AREA = -1, 0
_FAMILIES = {"points": 1, "polyline": 2, "skeleton": 3}
_EVERYWHERE = (-1e9, -1e9, 1e9, 1e9)
"""Box of a skeleton all of whose points are absent."""
_S = TypeVar("_S")


@dataclass(frozen=True)
class Match:
    """What became of one shape.

    Attributes:
        before: position of the prediction's shape; None for an added one.
        after: position of the person's shape; None for a deleted one.
        outcome: ``accepted`` (same kind, label and geometry), ``edited`` (same label, other geometry),
            ``relabelled`` (another label, whatever the geometry), ``deleted``, ``added``, and ``unknown`` where
            only hashes were kept: something was changed, but not to be said what.
        iou: of areas, before against after.
        boundary_px: mean distance of the two outlines, or of two lines, in pixels.
        moved_points: how many points of a point shape or skeleton lie elsewhere.
        moved_px: mean way of these in pixels.
        changed_points: how many points appeared, vanished or changed whether they are occluded or absent.
    """

    before: int | None
    after: int | None
    outcome: Outcome
    iou: float | None = None
    boundary_px: float | None = None
    moved_points: int | None = None
    moved_px: float | None = None
    changed_points: int | None = None


def match(before: Sequence[Shape], after: Sequence[Shape], size: tuple[int, int]) -> tuple[Match, ...]:
    """Match the shapes of one frame with the predictions that they came from, one to one.

    Shapes whose geometry is the same to a hundredth of a pixel are paired first, those with the same label
    before others. Then single points and skeletons of a group: a joint of an animal is the same one however far
    it was moved, so equal label and group pair what is alone with them on both sides. What is left is paired so
    that the sum of similarities is largest (a maximum-weight matching; 0.1 is added where labels are the same).
    Similarities below 0.1 are no match. The similarity is

    - of areas (mask, polygon, rectangle, ellipse, each with each) the intersection over union (Jaccard 1912),
    - of points and of skeletons (point by point of the same name) the mean of exp(-d² / 2σ²) over all points
      that one of the two has, the object keypoint similarity of COCO,
    - of polylines exp(-d² / 2σ²) of their mean distance d,

    where σ is a tenth of the larger shape's diagonal, at least 1 % of the picture's, at least 8 pixels.
    Attributes and z-order are not compared.

    Args:
        before: what was pushed on the frame.
        after: what a person left on it.
        size: width and height of the frame in pixels; what lies outside does not count.

    Returns:
        Every shape once, in the order of `before`, then the added ones in the order of `after`. Which shapes
        are paired does not depend on the order of the two lists.
    """
    first = sorted(range(len(before)), key=lambda i: _rank(before[i]))
    second = sorted(range(len(after)), key=lambda i: _rank(after[i]))
    pairs = _equal(before, after, first, second)
    pairs += _joints(before, after, pairs)
    measures = _Measures(before, after, size)
    taken_before, taken_after = {i for i, _ in pairs}, {j for _, j in pairs}
    rest = [i for i in first if i not in taken_before], [j for j in second if j not in taken_after]
    # The places in the sorted lists, not those in the given ones, decide between equally good pairings.
    weights = {
        (x, y): similarity + (SAME_LABEL_WORTH if before[i].label == after[j].label else 0.0)
        for x, y in measures.near(*rest)
        if (similarity := measures.similarity(i := rest[0][x], j := rest[1][y])) >= MATCH_FROM
    }
    pairs += [(rest[0][x], rest[1][y]) for x, y in best_pairs(weights)]
    partner = dict(pairs)
    found = [
        measures.compare(i, partner[i]) if i in partner else Match(i, None, "deleted")
        for i in range(len(before))
    ]
    kept = set(partner.values())
    return (*found, *(Match(None, j, "added") for j in range(len(after)) if j not in kept))


def match_hashes(before: Sequence[str], after: Sequence[str]) -> tuple[Match, ...]:
    """Match shapes of which only the geometry hashes (with label) are known.

    Equal hashes are accepted. Of the rest nothing can be said but this: where all predictions are found the
    other shapes are added, where all shapes are found the other predictions are deleted; else ``unknown``.
    """
    pairs = _same(before, after, range(len(before)), range(len(after)))
    partner = dict(pairs)
    kept = set(partner.values())
    lost = [i for i in range(len(before)) if i not in partner]
    new = [j for j in range(len(after)) if j not in kept]
    found = [
        Match(i, partner[i], "accepted") if i in partner else Match(i, None, "unknown" if new else "deleted")
        for i in range(len(before))
    ]
    return (*found, *(Match(None, j, "unknown" if lost else "added") for j in new))


def accepted(before: int, after: int, kind: str) -> Match:
    """Return the match of two shapes that are known to be the same, by their positions and their kind."""
    if kind in _FAMILIES and kind != "polyline":
        return Match(before, after, "accepted", moved_points=0, changed_points=0)
    return Match(before, after, "accepted", iou=None if kind == "polyline" else 1.0, boundary_px=0.0)


class _Measures:
    """Measures two lists of shapes against each other; areas are found once."""

    def __init__(self, before: Sequence[Shape], after: Sequence[Shape], size: tuple[int, int]) -> None:
        self._before = before
        self._after = after
        self._size = size
        self._areas: dict[tuple[str, int], Area] = {}

    def near(self, first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
        """Return the places in two lists of positions of shapes that may be one object, by their boxes alone."""
        if not first or not second:
            return []
        kinds, boxes = self._placed("before", self._before, first)
        others, other_boxes = self._placed("after", self._after, second)
        sigmas = tolerances(_diagonals(boxes), _diagonals(other_boxes), self._size)
        # Of points farther apart exp(-d² / 2σ²) is too small.
        reach = sigmas * math.sqrt(-2 * math.log(MATCH_FROM))
        reach[kinds == _AREA] = 0
        gap = np.maximum(
            boxes[:, None, :2] - other_boxes[None, :, 2:], other_boxes[None, :, :2] - boxes[:, None, 2:]
        )
        gaps = np.hypot(*np.moveaxis(np.maximum(gap, 0), 2, 0))
        same = (kinds[:, None] == others[None]) & (kinds[:, None] != _NOWHERE)
        return [(int(x), int(y)) for x, y in np.argwhere(same & (gaps <= reach))]

    def similarity(self, i: int, j: int) -> float:
        first, second = self._before[i], self._after[j]
        if isinstance(first, _AREAS) and isinstance(second, _AREAS):
            return overlap(self._area("before", i, first), self._area("after", j, second))
        if isinstance(first, Polyline) and isinstance(second, Polyline):
            distance = line_distance(first, second)
            sigma = tolerance(positions(first), positions(second), self._size)
            return nearness(distance, sigma) if distance is not None else 0.0
        if isinstance(first, _POINTS) and isinstance(second, _POINTS):
            found = moves(first, second, self._size)
            return found.similarity if found is not None else 0.0
        return 0.0

    def compare(self, i: int, j: int) -> Match:
        first, second = self._before[i], self._after[j]
        relabelled = first.label != second.label
        if isinstance(first, _AREAS) and isinstance(second, _AREAS):
            return self._compare_areas(i, j, first, second)
        if isinstance(first, Polyline) and isinstance(second, Polyline):
            distance = 0.0 if _geometry(first) == _geometry(second) else line_distance(first, second)
            return Match(i, j, _outcome(relabelled, distance != 0.0), boundary_px=distance)
        found = None
        if isinstance(first, _POINTS) and isinstance(second, _POINTS):
            found = moves(first, second, self._size)
        if found is None:  # equal hashes of points that are no numbers
            return Match(i, j, _outcome(relabelled, False))
        return Match(
            i,
            j,
            _outcome(relabelled, bool(found.moved or found.changed)),
            moved_points=found.moved,
            moved_px=found.mean_px,
            changed_points=found.changed,
        )

    def _compare_areas(self, i: int, j: int, first: AreaShape, second: AreaShape) -> Match:
        relabelled = first.label != second.label
        if _geometry(first) == _geometry(second):
            return Match(i, j, _outcome(relabelled, False), iou=1.0, boundary_px=0.0)
        a, b = self._area("before", i, first), self._area("after", j, second)
        iou = overlap(a, b)
        # The same bits in a wider box are the same mask.
        same = isinstance(first, Mask) and isinstance(second, Mask) and iou == 1.0
        distance = 0.0 if iou == 1.0 else outline_distance(a, b)
        return Match(i, j, _outcome(relabelled, not same), iou=iou, boundary_px=distance)

    def _placed(
        self, side: str, shapes: Sequence[Shape], positions_: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the family of each shape and its box, right and bottom behind the last pixel of an area."""
        kinds = np.full(len(positions_), _NOWHERE, dtype=np.int64)
        boxes = np.zeros((len(positions_), 4))
        for row, position in enumerate(positions_):
            shape = shapes[position]
            if isinstance(shape, _AREAS):
                area = self._area(side, position, shape)
                kinds[row] = _AREA if area.pixels else _NOWHERE
                boxes[row] = area.box
                continue
            points = positions(shape)
            if np.isfinite(points).all():
                kinds[row] = _FAMILIES[shape.kind]
                boxes[row] = (*points.min(axis=0), *points.max(axis=0)) if len(points) else _EVERYWHERE
        return kinds, boxes

    def _area(self, side: str, position: int, shape: AreaShape) -> Area:
        key = (side, position)
        if key not in self._areas:
            self._areas[key] = area_of(shape, self._size)
        return self._areas[key]


def _diagonals(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])


def _outcome(relabelled: bool, changed: bool) -> Outcome:
    return "relabelled" if relabelled else "edited" if changed else "accepted"


def _geometry(shape: Shape) -> str:
    return replace(shape, label="").geometry_hash()


def _rank(shape: Shape) -> tuple[str, str]:
    return _geometry(shape), shape.label


def _equal(
    before: Sequence[Shape], after: Sequence[Shape], first: Sequence[int], second: Sequence[int]
) -> list[tuple[int, int]]:
    """Pair shapes of the same geometry, those with the same label before others."""
    pairs = _same([_rank(s) for s in before], [_rank(s) for s in after], first, second)
    taken_before, taken_after = {i for i, _ in pairs}, {j for _, j in pairs}
    left = [i for i in first if i not in taken_before], [j for j in second if j not in taken_after]
    return pairs + _same([_geometry(s) for s in before], [_geometry(s) for s in after], *left)


def _joints(
    before: Sequence[Shape], after: Sequence[Shape], pairs: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Pair what is alone with its label and group on both sides, of single points and skeletons in a group."""
    taken = {i for i, _ in pairs}, {j for _, j in pairs}
    sides: list[dict[tuple[str, str, int], list[int]]] = []
    for shapes, known in zip((before, after), taken, strict=True):
        side: dict[tuple[str, str, int], list[int]] = {}
        for position, shape in enumerate(shapes):
            if shape.group and position not in known and _is_one(shape):
                side.setdefault((shape.kind, shape.label, shape.group), []).append(position)
        sides.append(side)
    mine, theirs = sides
    return [(mine[key][0], theirs[key][0]) for key in mine if len(mine[key]) == len(theirs.get(key, ())) == 1]


def _is_one(shape: Shape) -> bool:
    if not isinstance(shape, _POINTS) or (isinstance(shape, Points) and len(shape.points) != 1):
        return False
    return bool(np.isfinite(positions(shape)).all())


def _same(
    before: Sequence[_S], after: Sequence[_S], first: Sequence[int], second: Sequence[int]
) -> list[tuple[int, int]]:
    """Pair equal keys one to one, in the order of the positions given."""
    waiting: dict[_S, list[int]] = {}
    for j in second:
        waiting.setdefault(after[j], []).append(j)
    used: Counter[_S] = Counter()
    pairs = []
    for i in first:
        candidates = waiting.get(before[i], [])
        if used[before[i]] < len(candidates):
            pairs.append((i, candidates[used[before[i]]]))
            used[before[i]] += 1
    return pairs
