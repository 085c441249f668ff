"""Shapes checked before they are sent: the server accepts nonsense with 200 and fails at the export."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agir_cvtoolkit.errors import MaskError, ShapeError
from agir_cvtoolkit.masks import Runs, check_runs
from agir_cvtoolkit.shapes import Ellipse, Mask, Point, Points, Polygon, Polyline, Rectangle, Shape, Skeleton

from .labels import LabelSpec

_FEWEST_POINTS = {"ellipse": 2, "polygon": 3, "polyline": 2, "points": 1}


def validate(shape: Shape, frame: int, size: tuple[int, int], label: LabelSpec) -> Shape:
    """Check a shape for a frame and return it as it may be sent: the server's label, points inside.

    Points outside the picture are moved to its border; absent elements of a skeleton stay where they are.

    Args:
        shape: what is to be sent.
        frame: number of the frame, for messages.
        size: width and height of the frame in pixels.
        label: the server's label for it.

    Raises:
        ShapeError: the label takes no such shape, run lengths do not fit the box, the box lies outside the
            picture, the mask is empty, points are too few, not finite, or all outside, or a skeleton lacks an
            element.
    """
    where = f"{shape.kind} '{label.name}' on frame {frame}"
    if not label.takes(shape.kind):
        raise ShapeError(
            f"{where}: the label takes only shapes of type {label.type}",
            "Use mask_strategy accordingly, or a label of type any.",
        )
    if isinstance(shape, Mask):
        _check_mask(shape, size, where)
        return replace(shape, label=label.name)
    if isinstance(shape, Skeleton):
        return _checked_skeleton(shape, size, label, where)
    if isinstance(shape, Rectangle):
        return _checked_rectangle(shape, size, label.name, where)
    points = _inside(shape.points, size, where)
    fewest = _FEWEST_POINTS[shape.kind]
    if len(points) < fewest:
        raise ShapeError(f"{where} has {len(points)} points, it needs at least {fewest}")
    checked: Polygon | Polyline | Points | Ellipse = replace(shape, label=label.name, points=points)
    return checked


def _check_mask(mask: Mask, size: tuple[int, int], where: str) -> None:
    if mask.runs.ndim != 1 or not np.issubdtype(mask.runs.dtype, np.integer):
        raise ShapeError(f"{where}: run lengths must be whole numbers in one row")
    try:
        check_runs(Runs(mask.runs, mask.box), size)
    except MaskError as error:
        raise ShapeError(
            f"{where}: {error.problem}", "Encode the mask again from its own picture."
        ) from error
    if not mask.runs[1::2].any():
        raise ShapeError(f"{where} is empty", "Leave it out: a picture without shapes is a negative.")


def _checked_rectangle(shape: Rectangle, size: tuple[int, int], name: str, where: str) -> Rectangle:
    if len(shape.points) != 2:
        raise ShapeError(f"{where} has {len(shape.points)} points, it needs two corners")
    if not math.isfinite(shape.rotation):
        raise ShapeError(f"{where} has a rotation that is no number")
    (x1, y1), (x2, y2) = _finite(shape.points, where)
    corners = ((min(x1, x2), min(y1, y2)), (max(x1, x2), max(y1, y2)))
    rotation = shape.rotation % 360.0
    # The corners of a turned box describe it before the turn: they may lie outside while the box does not.
    if rotation == 0.0:
        corners = _pair(_inside(corners, size, where))
    if corners[0][0] >= corners[1][0] or corners[0][1] >= corners[1][1]:
        raise ShapeError(f"{where} has no area")
    return replace(shape, label=name, points=corners, rotation=rotation)


def _checked_skeleton(shape: Skeleton, size: tuple[int, int], label: LabelSpec, where: str) -> Skeleton:
    given = [element.label for element in shape.elements]
    known = [sublabel.name for sublabel in label.sublabels]
    if len(set(given)) != len(given):
        raise ShapeError(f"{where} has an element twice")
    if set(given) != set(known):
        missing = ", ".join(sorted(set(known) - set(given))) or "nothing"
        extra = ", ".join(sorted(set(given) - set(known))) or "nothing"
        raise ShapeError(
            f"{where} does not have the elements of its label: {missing} missing, {extra} too many",
            "An absent point is sent too, with outside set.",
        )
    by_name = {element.label: element for element in shape.elements}
    elements = []
    for name in known:
        element = by_name[name]
        if len(element.points) != 1:
            raise ShapeError(f"{where}: element '{name}' has {len(element.points)} points, it needs one")
        moved = _finite(element.points, where) if element.outside else _clamped(element.points, size, where)
        elements.append(replace(element, points=moved))
    if all(element.outside for element in elements):
        raise ShapeError(f"{where} has no point inside", "Leave it out.")
    return replace(shape, label=label.name, elements=tuple(elements))


def _inside(points: Sequence[Point], size: tuple[int, int], where: str) -> tuple[Point, ...]:
    width, height = size
    finite = _finite(points, where)
    if finite:
        xs, ys = [x for x, _ in finite], [y for _, y in finite]
        if max(xs) < 0 or min(xs) > width or max(ys) < 0 or min(ys) > height:
            raise ShapeError(f"{where} lies outside the picture of {width}x{height}")
    return _clamped(finite, size, where)


def _clamped(points: Sequence[Point], size: tuple[int, int], where: str) -> tuple[Point, ...]:
    width, height = size
    moved = (
        (min(max(0.0, x), float(width)), min(max(0.0, y), float(height))) for x, y in _finite(points, where)
    )
    return tuple(moved)


def _finite(points: Sequence[Point], where: str) -> tuple[Point, ...]:
    if not all(math.isfinite(x) and math.isfinite(y) for x, y in points):
        raise ShapeError(f"{where} has a coordinate that is no number")
    return tuple((float(x), float(y)) for x, y in points)


def _pair(points: tuple[Point, ...]) -> tuple[Point, Point]:
    first, second = points
    return first, second
