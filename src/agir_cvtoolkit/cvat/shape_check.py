"""Shapes checked before they are sent: the server accepts nonsense with 200 and fails at the export."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agir_cvtoolkit.errors import MaskError, ShapeError
from agir_cvtoolkit.masks import Runs, check_runs
from agir_cvtoolkit.outlines import turned
from agir_cvtoolkit.shapes import (
    Ellipse,
    Mask,
    Point,
    Points,
    Polygon,
    Polyline,
    Rectangle,
    Shape,
    Skeleton,
    Tag,
)

from .attribute_check import checked_attributes
from .labels import LabelSpec

LONGEST_SOURCE = 16
"""Characters that the server keeps of a source; a longer one is answered with 500."""

_FEWEST_POINTS = {"polygon": 3, "polyline": 2, "points": 1}


def validate(shape: Shape, frame: int, size: tuple[int, int], label: LabelSpec) -> Shape:
    """Check a shape for a frame and return it as it may be sent: the server's label, points inside.

    Points outside the picture are moved to its border, those of turned boxes and of ellipses excepted: they
    may lie outside while the shape does not. An absent element of a skeleton without a place of its own is
    put amid the others.

    Args:
        shape: what is to be sent.
        frame: number of the frame, for messages.
        size: width and height of the frame in pixels.
        label: the server's label for it.

    Raises:
        ShapeError: the label takes no such shape, attribute or value, run lengths do not fit the box, the box
            lies outside the picture, the mask is empty, points are too few, not finite, or all outside, a box
            or an ellipse has no area, or a skeleton lacks an element.
    """
    where = f"{shape.kind} '{label.name}' on frame {frame}"
    _check_type(shape.kind, label, where)
    _check_words(shape, where)
    attributes = checked_attributes(shape.attributes, label, where)
    if isinstance(shape, Mask):
        _check_mask(shape, size, where)
        return replace(shape, label=label.name, attributes=attributes)
    if isinstance(shape, Skeleton):
        checked = _checked_skeleton(shape, size, label, where)
        return replace(checked, label=label.name, attributes=attributes)
    if isinstance(shape, Rectangle | Ellipse):
        points, rotation = _checked_box(shape, size, where)
        return replace(shape, label=label.name, attributes=attributes, points=points, rotation=rotation)
    line = _inside(shape.points, size, where)
    fewest = _FEWEST_POINTS[shape.kind]
    if len(line) < fewest:
        raise ShapeError(f"{where} has {len(line)} points, it needs at least {fewest}")
    found: Polygon | Polyline | Points = replace(shape, label=label.name, attributes=attributes, points=line)
    return found


def validate_tag(tag: Tag, frame: int, label: LabelSpec) -> Tag:
    """Check a tag and return it as it may be sent.

    Raises:
        ShapeError: the label takes no tags, or not such an attribute or value.
    """
    where = f"tag '{label.name}' on frame {frame}"
    _check_type("tag", label, where)
    _check_words(tag, where)
    return replace(tag, label=label.name, attributes=checked_attributes(tag.attributes, label, where))


def _check_type(kind: str, label: LabelSpec, where: str) -> None:
    if not label.takes(kind):
        raise ShapeError(
            f"{where}: the label takes only shapes of type {label.type}",
            "Use mask_strategy accordingly, or a label of type any.",
        )


def _check_words(shape: Shape | Tag, where: str) -> None:
    if shape.confidence is not None and not math.isfinite(shape.confidence):
        raise ShapeError(f"{where} has a confidence that is no number")
    if len(shape.source) > LONGEST_SOURCE:
        raise ShapeError(
            f"{where} has the source '{shape.source}', longer than {LONGEST_SOURCE} characters",
            "Shorten it; CVAT itself uses manual, auto, semi-auto and file.",
        )
    if shape.group < 0:
        raise ShapeError(f"{where} has the group {shape.group}", "Groups are numbered from 1; 0 is none.")


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


def _checked_box(
    shape: Rectangle | Ellipse, size: tuple[int, int], where: str
) -> tuple[tuple[Point, Point], float]:
    """Check a box, or an ellipse by the box that it fills."""
    if len(shape.points) != 2:
        what = "two corners" if isinstance(shape, Rectangle) else "the centre and one corner"
        raise ShapeError(f"{where} has {len(shape.points)} points, it needs {what}")
    if not math.isfinite(shape.rotation):
        raise ShapeError(f"{where} has a rotation that is no number")
    # Of a turn by almost nothing to the left, 360.0 itself is left.
    rotation = shape.rotation % 360.0 % 360.0
    (x1, y1), (x2, y2) = _finite(shape.points, where)
    if isinstance(shape, Ellipse):
        rx, ry = abs(x2 - x1), abs(y2 - y1)
        if rx == 0.0 or ry == 0.0:
            raise ShapeError(f"{where} has no area")
        if not (0.0 <= x1 <= size[0] and 0.0 <= y1 <= size[1]):
            raise ShapeError(f"{where} has its centre outside the picture of {size[0]}x{size[1]}")
        ellipse = (x1, y1), (max(x2, 2 * x1 - x2), min(y2, 2 * y1 - y2))
        return ellipse, rotation
    corners = (min(x1, x2), min(y1, y2)), (max(x1, x2), max(y1, y2))
    if rotation == 0.0:
        first, second = _inside(corners, size, where)
        corners = first, second
    else:
        (left, top), (right, bottom) = corners
        outline = ((left, top), (right, top), (right, bottom), (left, bottom))
        _inside(turned(outline, ((left + right) / 2, (top + bottom) / 2), rotation), size, where)
    if corners[0][0] >= corners[1][0] or corners[0][1] >= corners[1][1]:
        raise ShapeError(f"{where} has no area")
    return corners, rotation


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
    seen = [
        _element_place(element, size, f"{where}: element '{element.label}'")
        for element in shape.elements
        if not element.outside
    ]
    if not seen:
        raise ShapeError(f"{where} has no point inside", "Leave it out.")
    middle = (sum(x for x, _ in seen) / len(seen), sum(y for _, y in seen) / len(seen))
    elements = []
    for sublabel in label.sublabels:
        element, place = by_name[sublabel.name], f"{where}: element '{sublabel.name}'"
        _check_words(element, place)
        if element.outside and not _has_place(element):
            element = replace(element, points=(middle,))
        point = _element_place(element, size, place)
        attributes = checked_attributes(element.attributes, sublabel, place)
        elements.append(replace(element, points=(point,), attributes=attributes))
    return replace(shape, elements=tuple(elements))


def _has_place(element: Points) -> bool:
    return len(element.points) == 1 and all(math.isfinite(value) for value in element.points[0])


def _element_place(element: Points, size: tuple[int, int], where: str) -> Point:
    if len(element.points) != 1:
        raise ShapeError(f"{where} has {len(element.points)} points, it needs one")
    return _clamped(element.points, size, where)[0]


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
