"""Rules about where a shape is, and whether it is anything at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import MaskError
from agir_cvtoolkit.masks import Runs, check_runs, decode, encode
from agir_cvtoolkit.raw_shapes import RawLabel, RawShape

from .lint_finding import Finding, Repair, found_in

if TYPE_CHECKING:
    from agir_cvtoolkit.raw_shapes import Numbers

_ROUNDING = 0.01
"""Pixels: exports round to it."""
_SLIGHT_PIXELS, _SLIGHT_SHARE = 2.0, 0.01
_NO_AREA = 1e-6
_LARGEST_MASK = 200_000_000
_FEWEST = {"polygon": 3, "polyline": 2, "points": 1}
_DROP = Repair("deleted", drop=True)
_REDRAW = "Draw it again, or delete it."

Size = tuple[int, int]


def check_geometry(shape: RawShape, label: RawLabel | None, size: Size | None) -> Iterator[Finding]:
    """Find what is wrong with the geometry of a shape.

    Args:
        shape: of any kind; kinds that are not known are left alone.
        label: of the server, for messages.
        size: width and height of its picture in pixels; None where that is not known, then nothing lies outside.
    """
    if shape.kind == "mask":
        yield from _mask(shape, label, size)
    elif shape.kind == "skeleton":
        yield from _skeleton(shape, label, size)
    elif shape.kind in {"rectangle", "ellipse", *_FEWEST}:
        yield from _plain(shape, label, size)


def _plain(shape: RawShape, label: RawLabel | None, size: Size | None) -> Iterator[Finding]:
    problem = _nothing(shape.kind, shape.points)
    if problem:
        yield found_in(shape, label, "degenerate", problem, _REDRAW, _DROP)
        return
    if size is None:
        return
    if shape.kind == "ellipse" or (shape.kind == "rectangle" and shape.rotation):
        # Corners of what is turned or round may lie outside while the shape does not.
        x, y = _middle(shape)
        if not (0 <= x <= size[0] and 0 <= y <= size[1]):
            yield found_in(shape, label, "out_of_bounds", f"its middle lies outside of {_by(size)}", _REDRAW)
        return
    far = _beyond(shape.points, size)
    if far > _ROUNDING:
        moved = _clamped(shape.points, size)
        slight = far <= _slight(size) and not _nothing(shape.kind, moved)
        repair = Repair(f"moved inside by {far:.2f} px", points=moved) if slight else None
        problem = f"it lies {far:.2f} px outside of {_by(size)}"
        yield found_in(shape, label, "out_of_bounds", problem, "Move its points into the picture.", repair)


def _skeleton(shape: RawShape, label: RawLabel | None, size: Size | None) -> Iterator[Finding]:
    seen = [element for element in shape.elements if not element.outside]
    broken = [element for element in seen if _nothing("points", element.points)]
    if not seen:
        yield found_in(shape, label, "degenerate", "all its points are absent", _REDRAW, _DROP)
        return
    if broken:
        yield found_in(shape, label, "degenerate", f"{len(broken)} of its points have no place", _REDRAW)
        return
    if size is None:
        return
    beyond = {e.label_id: _beyond(e.points, size) for e in seen if e.label_id is not None}
    outside = {label_id: far for label_id, far in beyond.items() if far > _ROUNDING}
    if not outside:
        return
    far = max(outside.values())
    moved = {
        e.label_id: _clamped(e.points, size) for e in seen if e.label_id in outside and e.label_id is not None
    }
    repair = Repair(f"moved inside by {far:.2f} px", element_points=moved) if far <= _slight(size) else None
    names = {point.id: point.name for point in label.points} if label is not None else {}
    listed = ", ".join(str(names.get(label_id, label_id)) for label_id in outside)
    problem = f"{listed} lie{'s' if len(outside) == 1 else ''} up to {far:.2f} px outside of {_by(size)}"
    yield found_in(
        shape, label, "out_of_bounds", problem, "Move them inside, or mark them as absent.", repair
    )


def _mask(shape: RawShape, label: RawLabel | None, size: Size | None) -> Iterator[Finding]:
    numbers = np.asarray(shape.points, dtype=np.float64)
    problem = _broken(numbers)
    if problem:
        yield found_in(shape, label, "broken_mask", problem, _REDRAW)
        return
    runs = numbers[:-4].astype(np.int32)
    left, top, right, bottom = (int(value) for value in numbers[-4:])
    if not runs[1::2].any():
        yield found_in(shape, label, "degenerate", "the mask is empty", _REDRAW, _DROP)
    elif size is not None and not (left >= 0 and right < size[0] and top >= 0 and bottom < size[1]):
        cropped = _cropped(runs, (left, top, right, bottom), size)
        problem = f"its box ({left}, {top}) to ({right}, {bottom}) reaches outside of {_by(size)}"
        repair = None if cropped is None else Repair("cropped to the picture", points=cropped)
        yield found_in(shape, label, "broken_mask", problem, _REDRAW, repair)


def _broken(numbers: NDArray[np.float64]) -> str:
    if numbers.ndim != 1 or len(numbers) < 5:
        return f"a mask of {numbers.size} numbers"
    if not bool(np.all(np.abs(numbers) <= np.iinfo(np.int32).max)) or bool(
        np.any(numbers != np.rint(numbers))
    ):
        return "its numbers are not whole"
    left, top, right, bottom = (int(value) for value in numbers[-4:])
    width, height = right - left + 1, bottom - top + 1
    if width < 1 or height < 1:
        return f"its box ({left}, {top}) to ({right}, {bottom}) is reversed"
    try:
        check_runs(Runs(numbers[:-4].astype(np.int32), (0, 0, width - 1, height - 1)), (width, height))
    except MaskError:
        total = int(numbers[:-4].sum())
        return (
            "it has a negative run length"
            if bool((numbers[:-4] < 0).any())
            else f"its runs make {total} pixels, its box has {width * height}"
        )
    return ""


def _cropped(runs: NDArray[np.int32], box: tuple[int, int, int, int], size: Size) -> NDArray[np.int64] | None:
    left, top, right, bottom = box
    width, height = right - left + 1, bottom - top + 1
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, size[0] - 1), min(bottom, size[1] - 1)
    if x0 > x1 or y0 > y1 or width * height > _LARGEST_MASK:
        return None
    whole = decode(Runs(runs, (0, 0, width - 1, height - 1)), (width, height))
    kept = encode(whole[y0 - top : y1 - top + 1, x0 - left : x1 - left + 1])
    if kept is None:
        return None
    a, b, c, d = kept.box
    return np.concatenate([kept.lengths.astype(np.int64), np.array([a + x0, b + y0, c + x0, d + y0])])


def _nothing(kind: str, numbers: Numbers) -> str:
    """Return why a shape is none; an empty text where it is one."""
    flat = np.asarray(numbers, dtype=np.float64)
    if flat.ndim != 1 or len(flat) % 2 or not bool(np.all(np.isfinite(flat))):
        return "its coordinates make no sense"
    if kind in {"rectangle", "ellipse"}:
        if len(flat) != 4:
            return f"{len(flat)} coordinates"
        return "it has no area" if flat[0] == flat[2] or flat[1] == flat[3] else ""
    points = flat.reshape(-1, 2)
    count = len(np.unique(points, axis=0)) if len(points) else 0
    if count < _FEWEST[kind]:
        return f"it has {count} different point{'' if count == 1 else 's'}, it needs {_FEWEST[kind]}"
    if kind == "polygon":
        x, y = points[:, 0] - points[0, 0], points[:, 1] - points[0, 1]
        if _never_leaves_a_line(x, y):
            return "it has no area"
    return ""


def _never_leaves_a_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """Tell whether all points lie on one line; a figure eight has no signed area and is a shape all the same."""
    far = int(np.argmax(np.hypot(x, y)))
    length = math.hypot(x[far], y[far])
    return bool(np.all(np.abs(x * y[far] - y * x[far]) <= _NO_AREA * max(1.0, length)))


def _middle(shape: RawShape) -> tuple[float, float]:
    x1, y1, x2, y2 = (float(value) for value in shape.points)
    return (x1, y1) if shape.kind == "ellipse" else ((x1 + x2) / 2, (y1 + y2) / 2)


def _beyond(numbers: Numbers, size: Size) -> float:
    """Return how far the farthest point lies outside, in pixels; 0 where all lie inside."""
    points = np.asarray(numbers, dtype=np.float64).reshape(-1, 2)
    return float(max(0.0, (-points).max(), (points - np.asarray(size)).max()))


def _clamped(numbers: Numbers, size: Size) -> Sequence[float]:
    points = np.asarray(numbers, dtype=np.float64).reshape(-1, 2)
    return [float(value) for value in np.clip(points, 0.0, np.asarray(size, dtype=np.float64)).reshape(-1)]


def _slight(size: Size) -> float:
    return max(_SLIGHT_PIXELS, _SLIGHT_SHARE * max(size))


def _by(size: Size) -> str:
    return f"the picture of {size[0]}x{size[1]}"
