"""Shapes as pixels, outlines and boxes: what the formats are written with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import mul

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit import masks, outlines
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
)

Area = Mask | Polygon | Rectangle | Ellipse
"""Shapes that cover pixels."""
Extent = tuple[float, float, float, float]
"""Left, top, width, height in pixels."""


@dataclass(frozen=True, eq=False)
class Patch:
    """The pixels of a shape: bool of shape (height, width), its upper left pixel at (`left`, `top`)."""

    left: int
    top: int
    pixels: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.pixels))

    @property
    def extent(self) -> Extent:
        """The box of the patch."""
        height, width = self.pixels.shape
        return float(self.left), float(self.top), float(width), float(height)


def patch_of(shape: Area, size: tuple[int, int]) -> Patch | None:
    """Return the pixels of a shape inside a picture of `size` (width, height), None where it covers none.

    A pixel belongs to an outline as `outlines.rasterize` says, to an ellipse when its centre lies in it.

    Raises:
        MaskError: runs that do not fit, or a place that is no number.
    """
    if isinstance(shape, Mask):
        masks.check_runs(masks.Runs(shape.runs, shape.box), size)
        left, top, right, bottom = shape.box
        local = masks.Runs(shape.runs, (0, 0, right - left, bottom - top))
        return _trimmed(left, top, masks.decode(local, (right - left + 1, bottom - top + 1)))
    if isinstance(shape, Ellipse):
        (left, top), pixels = outlines.ellipse_pixels(shape, size)
        return _trimmed(left, top, pixels)
    ring = np.asarray(outline_of(shape), dtype=np.float64)
    return patch_of_rings([ring], size)


def patch_of_rings(rings: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> Patch | None:
    """Return the pixels that rings enclose together (even-odd) inside a picture, None where there are none."""
    points = np.concatenate(rings) if rings else np.zeros((0, 2))
    if not len(points) or not np.isfinite(points).all():
        return None
    low = np.clip(np.floor(points.min(axis=0)), 0, size).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + 1, 0, size).astype(int)
    if (high <= low).any():
        return None
    moved = [ring - low for ring in rings]
    pixels = outlines.rasterize(moved, (int(high[0] - low[0]), int(high[1] - low[1])))
    return _trimmed(int(low[0]), int(low[1]), pixels)


def outline_of(shape: Polygon | Rectangle) -> tuple[Point, ...]:
    """Return the corners of a polygon or of a box, which may be turned."""
    if isinstance(shape, Polygon):
        return shape.points
    (x1, y1), (x2, y2) = shape.points
    corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    if shape.rotation % 360.0 == 0.0:
        return corners
    return outlines.turned(corners, ((x1 + x2) / 2, (y1 + y2) / 2), shape.rotation)


def rings_of(patch: Patch) -> list[NDArray[np.float64]]:
    """Return one ring for each 4-connected part of a patch, its holes joined to it by slits; exact."""
    offset = np.array([patch.left, patch.top], dtype=np.float64)
    return [outlines.bridged(region) + offset for region in outlines.regions(patch.pixels)]


def holes_of(patch: Patch) -> int:
    """Return how many holes a patch has."""
    return sum(len(region.holes) for region in outlines.regions(patch.pixels))


def joined(rings: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Join rings to one by slits of no width, so that it encloses what they do (even-odd)."""
    first, *rest = rings
    return outlines.bridged(outlines.Region(first, tuple(rest))) if rest else first


def mask_of(patch: Patch, template: Shape | None = None, *, label: str = "", **words: object) -> Mask:
    """Return a patch as a mask.

    Args:
        patch: with at least one pixel.
        template: a shape whose label, attributes and so on the mask gets.
        label: of the mask where there is no template.
        words: confidence, occluded, ... where there is no template.
    """
    runs = masks.encode(patch.pixels)
    if runs is None:
        raise ValueError("a patch without pixels is no mask")
    left, top, right, bottom = runs.box
    box = (left + patch.left, top + patch.top, right + patch.left, bottom + patch.top)
    if template is None:
        return Mask(label=label, runs=runs.lengths, box=box, **words)  # type: ignore[arg-type]
    return Mask(
        label=template.label,
        runs=runs.lengths,
        box=box,
        confidence=template.confidence,
        source=template.source,
        attributes=template.attributes,
        occluded=template.occluded,
        z_order=template.z_order,
        group=template.group,
    )


def points_of(shape: Shape) -> tuple[Point, ...]:
    """Return the points that a shape spans; of a mask the corners of its box, of a skeleton those that are there."""
    if isinstance(shape, Mask):
        left, top, right, bottom = shape.box
        return (float(left), float(top)), (right + 1.0, bottom + 1.0)
    if isinstance(shape, Skeleton):
        return tuple(point for e in shape.elements if not e.outside for point in e.points)
    if isinstance(shape, Ellipse):
        (cx, cy), (rx, ry) = shape.points[0], shape.radii
        turn = math.radians(shape.rotation)
        half_x = math.hypot(rx * math.cos(turn), ry * math.sin(turn))
        half_y = math.hypot(rx * math.sin(turn), ry * math.cos(turn))
        return (cx - half_x, cy - half_y), (cx + half_x, cy + half_y)
    if isinstance(shape, Rectangle):
        return outline_of(shape)
    return shape.points


def extent_of(points: Sequence[Point]) -> Extent:
    """Return the smallest upright box around points; all zeros around none."""
    if not points:
        return 0.0, 0.0, 0.0, 0.0
    xs, ys = zip(*points, strict=True)
    left, top = min(xs), min(ys)
    return left, top, max(xs) - left, max(ys) - top


def ring_area(points: Sequence[Point]) -> float:
    """Return the area that a ring encloses (shoelace formula)."""
    if not points:
        return 0.0
    xs, ys = zip(*points, strict=True)
    forth = sum(map(mul, xs, ys[1:])) + xs[-1] * ys[0]
    back = sum(map(mul, xs[1:], ys)) + xs[0] * ys[-1]
    return float(abs(forth - back)) / 2


def is_finite(shape: Shape) -> bool:
    """Whether all coordinates of a shape are numbers."""
    if isinstance(shape, Mask):
        return True
    points = points_of(shape) if isinstance(shape, Skeleton) else shape.points
    return all(map(math.isfinite, chain.from_iterable(points)))


def with_boxes(shapes: Iterable[Shape]) -> tuple[list[Shape], dict[int, Rectangle]]:
    """Take the boxes around animals out of the shapes of a picture.

    Returns:
        The shapes without the boxes that belong to a skeleton by their group number, and these boxes by the place of
        their skeleton in that list.
    """
    listed = list(shapes)
    skeletons = [s.group for s in listed if isinstance(s, Skeleton) and s.group]
    boxes = {
        s.group: s
        for s in listed
        if isinstance(s, Rectangle) and s.rotation == 0.0 and skeletons.count(s.group) == 1
    }
    taken = {id(box) for box in boxes.values()}
    kept = [s for s in listed if id(s) not in taken]
    places = {i: boxes[s.group] for i, s in enumerate(kept) if isinstance(s, Skeleton) and s.group in boxes}
    return kept, places


def pictured(shape: Shape) -> Area | None:
    """Return a shape that covers pixels, None for points, lines and skeletons."""
    return None if isinstance(shape, Points | Polyline | Skeleton) else shape


def _trimmed(left: int, top: int, pixels: NDArray[np.bool_]) -> Patch | None:
    box = masks.bounding_box(pixels)
    if box is None:
        return None
    x1, y1, x2, y2 = box
    return Patch(left + x1, top + y1, pixels[y1 : y2 + 1, x1 : x2 + 1])
