"""Which pulled shape came from which prediction, and what was done to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from agir_cvtoolkit.shapes import Ellipse, Mask, Points, Polygon, Polyline, Rectangle, Shape, Skeleton

from ._areas import Area, AreaShape, area_of, outline_distance, overlap
from ._assignment import best_pairs
from ._points import line_distance, moves, nearness, positions, tolerance

Outcome = Literal["accepted", "edited", "relabelled", "deleted", "added", "unknown"]
MATCH_FROM = 0.1
"""Least similarity of two shapes that may be one object before and after."""
SAME_LABEL_WORTH = 0.1
"""What the same label adds to a similarity: it decides between objects that lie over each other."""
_AREAS = (Mask, Polygon, Rectangle, Ellipse)
_POINTS = (Points, Skeleton)
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
    before others. What is left is paired so that the sum of similarities is largest (a maximum-weight
    matching; 0.1 is added where labels are the same). Similarities below 0.1 are no match. The similarity is

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
    measures = _Measures(before, after, size)
    taken_before, taken_after = {i for i, _ in pairs}, {j for _, j in pairs}
    rest = [i for i in first if i not in taken_before], [j for j in second if j not in taken_after]
    # The places in the sorted lists, not those in the given ones, decide between equally good pairings.
    weights = {
        (x, y): similarity + (SAME_LABEL_WORTH if before[i].label == after[j].label else 0.0)
        for x, i in enumerate(rest[0])
        for y, j in enumerate(rest[1])
        if (similarity := measures.similarity(i, j)) >= MATCH_FROM
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


class _Measures:
    """Measures two lists of shapes against each other; areas are found once."""

    def __init__(self, before: Sequence[Shape], after: Sequence[Shape], size: tuple[int, int]) -> None:
        self._before = before
        self._after = after
        self._size = size
        self._areas: dict[tuple[str, int], tuple[Area, tuple[int, int, int, int]]] = {}

    def similarity(self, i: int, j: int) -> float:
        first, second = self._before[i], self._after[j]
        if isinstance(first, _AREAS) and isinstance(second, _AREAS):
            (a, a_box), (b, b_box) = self._area("before", i, first), self._area("after", j, second)
            apart = (
                a_box[0] >= b_box[2] or b_box[0] >= a_box[2] or a_box[1] >= b_box[3] or b_box[1] >= a_box[3]
            )
            return 0.0 if apart else overlap(a, b)
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
        (a, _), (b, _) = self._area("before", i, first), self._area("after", j, second)
        iou = overlap(a, b)
        # The same bits in a wider box are the same mask.
        same = isinstance(first, Mask) and isinstance(second, Mask) and iou == 1.0
        distance = 0.0 if iou == 1.0 else outline_distance(a, b)
        return Match(i, j, _outcome(relabelled, not same), iou=iou, boundary_px=distance)

    def _area(self, side: str, position: int, shape: AreaShape) -> tuple[Area, tuple[int, int, int, int]]:
        key = (side, position)
        if key not in self._areas:
            area = area_of(shape, self._size)
            self._areas[key] = (area, area.box)
        return self._areas[key]


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
