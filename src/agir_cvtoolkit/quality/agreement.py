"""How far the shapes of two people on one picture agree, class by class.

Areas (masks, polygons, boxes, ellipses) are compared as the pixels of their class, so that it does not matter into how
many shapes somebody has divided a plant. Points and skeletons are compared animal by animal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.agreement import boundary_f1, oks
from agir_cvtoolkit.corrections import Area, area_of, match
from agir_cvtoolkit.joints import DEFAULT_SIGMA, SCHEMAS, load_schema
from agir_cvtoolkit.poses import Keypoint, Pose, animal_area
from agir_cvtoolkit.shapes import Ellipse, Mask, Points, Polygon, Rectangle, Shape, Skeleton

TOLERANCE_PX = 2.0
"""Boundaries so near to each other are the same."""
LOOSE = "single points"
"""Label of the animals that are made of single points, one label for each joint."""
_AREAS = (Mask, Polygon, Rectangle, Ellipse)
_MOST_DRAWN = 16_000_000
"""Larger boxes are drawn on every second (third, ...) row and column."""
_ALONE = 0.1
"""The size of a point without a body: a share of the picture's diagonal."""
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassScore:
    """How far one class of one picture agrees.

    Attributes:
        label: of the class.
        iou: intersection over union of the pixels of all its areas; None where neither has an area.
        boundary_f1: of the same pixels.
        oks: mean object keypoint similarity of its animals, 0 for one that only one of the two has; None where neither
            has points.
        matched: shapes that both have.
        missed: shapes of the reference alone.
        extra: shapes of the compared one alone.
    """

    label: str
    iou: float | None = None
    boundary_f1: float | None = None
    oks: float | None = None
    matched: int = 0
    missed: int = 0
    extra: int = 0

    @property
    def score(self) -> float:
        """IoU, else OKS, their mean where both are there: one number for trends."""
        known = [value for value in (self.iou, self.oks) if value is not None]
        return sum(known) / len(known) if known else 0.0


def against(
    found: Sequence[Shape],
    truth: Sequence[Shape],
    size: tuple[int, int],
    *,
    tolerance: float = TOLERANCE_PX,
) -> tuple[ClassScore, ...]:
    """Compare what somebody drew with what is right, class by class.

    Args:
        found: their shapes.
        truth: what is right; OKS counts the joints that are in it, over the area of its animal.
        size: width and height of the picture in pixels.
        tolerance: of boundaries, in pixels.

    Returns:
        A score for each label that either has, by name. Two pictures without shapes have none: they agree.
    """
    return _scores(comparable(found), comparable(truth), size, tolerance, both_ways=False)


def between(
    first: Sequence[Shape],
    second: Sequence[Shape],
    size: tuple[int, int],
    *,
    tolerance: float = TOLERANCE_PX,
) -> tuple[ClassScore, ...]:
    """Compare what two people drew, none of whom is right: the same the other way round but for missed and extra.

    OKS is the mean of both directions, over the mean of both areas.
    """
    a, b = comparable(first), comparable(second)
    if _order(a) <= _order(b):
        return _scores(a, b, size, tolerance, both_ways=True)
    turned = _scores(b, a, size, tolerance, both_ways=True)
    return tuple(replace(one, missed=one.extra, extra=one.missed) for one in turned)


def comparable(shapes: Sequence[Shape]) -> tuple[Shape, ...]:
    """Return areas as they are and points as animals; lines are left out.

    Single points of one group with a label each are one animal named `LOOSE`; without groups they are one where no label
    is there twice. Other points are animals of one joint. Group numbers are taken away: they are nobody's opinion.
    """
    found: list[Shape] = [shape for shape in shapes if isinstance(shape, _AREAS)]
    found += [replace(shape, group=0) for shape in shapes if isinstance(shape, Skeleton)]
    by_group: dict[int, list[Points]] = {}
    for shape in shapes:
        if isinstance(shape, Points):
            single = [replace(shape, points=(point,)) for point in shape.points]
            by_group.setdefault(shape.group, []).extend(single)
    for listed in by_group.values():
        names = Counter(point.label for point in listed)
        if len(names) == len(listed) > 1:
            elements = tuple(sorted(listed, key=lambda point: point.label))
            found.append(Skeleton(label=LOOSE, elements=tuple(replace(e, group=0) for e in elements)))
        else:
            found += [Skeleton(label=p.label, elements=(replace(p, group=0),)) for p in listed]
    return tuple(found)


def animal_similarity(found: Skeleton, truth: Skeleton, size: tuple[int, int], *, both_ways: bool) -> float:
    """Return the object keypoint similarity of two animals (COCO), 1 where neither has a joint.

    The sigmas are those of the packaged pose schema that has all the joints, else `DEFAULT_SIGMA`. The area is the box
    around the joints of `truth` (see `poses.animal_area`); of fewer than two joints the square of a tenth of the
    picture's diagonal.
    """
    names = tuple(sorted({e.label for s in (found, truth) for e in s.elements}))
    a, b = _places(found, names), _places(truth, names)
    sigmas = sigmas_of(names)
    areas = [_extent(shape, size) for shape in (found, truth)]
    if not both_ways:
        value = oks(a, b, sigmas, areas[1])
        return value if np.isfinite(value) else float(not np.isfinite(a).any())
    area = sum(areas) / 2
    if not np.isfinite(a).any() and not np.isfinite(b).any():
        return 1.0
    ways = [oks(a, b, sigmas, area), oks(b, a, sigmas, area)]
    return sum(0.0 if not np.isfinite(value) else value for value in ways) / 2


@lru_cache(maxsize=256)
def sigmas_of(names: tuple[str, ...]) -> _Floats:
    """Return the sigma of each joint, float64 of shape (names,)."""
    for schema in map(load_schema, SCHEMAS):
        joints = [schema.resolve(name) for name in names]
        if all(joint is not None for joint in joints):
            return np.array([schema.sigmas[schema.index(joint)] for joint in joints if joint is not None])
    return np.full(len(names), DEFAULT_SIGMA)


def _scores(
    found: tuple[Shape, ...],
    truth: tuple[Shape, ...],
    size: tuple[int, int],
    tolerance: float,
    *,
    both_ways: bool,
) -> tuple[ClassScore, ...]:
    pairs = [
        (one.before, one.after)
        for one in match(truth, found, size)
        if one.before is not None
        and one.after is not None
        and truth[one.before].label == found[one.after].label
    ]
    scores = []
    for label in sorted({shape.label for shape in (*found, *truth)}):
        mine = [shape for shape in found if shape.label == label]
        theirs = [shape for shape in truth if shape.label == label]
        own = [(truth[i], found[j]) for i, j in pairs if found[j].label == label]
        iou, edge = _areas(mine, theirs, size, tolerance)
        scores.append(
            ClassScore(
                label,
                iou,
                edge,
                _animals(mine, theirs, own, size, both_ways=both_ways),
                len(own),
                len(theirs) - len(own),
                len(mine) - len(own),
            )
        )
    return tuple(scores)


def _animals(
    found: Sequence[Shape],
    truth: Sequence[Shape],
    pairs: Sequence[tuple[Shape, Shape]],
    size: tuple[int, int],
    *,
    both_ways: bool,
) -> float | None:
    animals = [(a, b) for b, a in pairs if isinstance(a, Skeleton) and isinstance(b, Skeleton)]
    mine, theirs = (sum(isinstance(shape, Skeleton) for shape in side) for side in (found, truth))
    total = mine + theirs - len(animals)
    if not total:
        return None
    return sum(animal_similarity(a, b, size, both_ways=both_ways) for a, b in animals) / total


def _areas(
    found: Sequence[Shape], truth: Sequence[Shape], size: tuple[int, int], tolerance: float
) -> tuple[float | None, float | None]:
    sides = [[area_of(shape, size) for shape in side if isinstance(shape, _AREAS)] for side in (found, truth)]
    if not sides[0] and not sides[1]:
        return None, None
    drawn = _drawn([area for area in sides[0] if area.pixels], [area for area in sides[1] if area.pixels])
    if drawn is None:
        return 1.0, 1.0
    first, second, step = drawn
    union = np.count_nonzero(first | second)
    overlap = np.count_nonzero(first & second) / union if union else 1.0
    return float(overlap), boundary_f1(first, second, tolerance / step)


def _drawn(
    first: Sequence[Area], second: Sequence[Area]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int] | None:
    """Draw two lists of areas into the box that holds all of them; None where there is nothing to draw.

    Returns:
        Two bool masks of equal shape, and how many rows and columns of the picture one of theirs stands for.
    """
    boxes = [area.box for area in (*first, *second)]
    if not boxes:
        return None
    box = (
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    )
    step = 1
    while (box[2] - box[0]) * (box[3] - box[1]) > _MOST_DRAWN * step * step:
        step += 1
    shape = -(-(box[3] - box[1]) // step), -(-(box[2] - box[0]) // step)
    masks = []
    for areas in (first, second):
        mask = np.zeros(shape, dtype=np.bool_)
        for area in areas:
            mask |= area.drawn(box, step)
        masks.append(mask)
    return masks[0], masks[1], step


def is_area(shape: Shape) -> bool:
    """Whether a shape covers pixels."""
    return isinstance(shape, _AREAS)


def _places(shape: Skeleton, names: Sequence[str]) -> _Floats:
    there = {e.label: e.points[0] for e in shape.elements if e.points and not e.outside}
    return np.array([there.get(name, (np.nan, np.nan)) for name in names], dtype=np.float64).reshape(-1, 2)


def _extent(shape: Skeleton, size: tuple[int, int]) -> float:
    points = {e.label: Keypoint(*e.points[0]) for e in shape.elements if e.points and not e.outside}
    area = animal_area(Pose(points))
    return area if np.isfinite(area) and area > 0 else (_ALONE * float(np.hypot(*size))) ** 2


def _order(shapes: Sequence[Shape]) -> list[str]:
    return sorted(shape.geometry_hash() for shape in shapes)
