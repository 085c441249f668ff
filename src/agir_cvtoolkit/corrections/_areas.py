"""Areas as rows of pixels: what a mask, polygon, rectangle or ellipse covers, without drawing the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit import outlines
from agir_cvtoolkit.agreement import boundary_distance
from agir_cvtoolkit.shapes import Ellipse, Mask, Polygon, Rectangle

AreaShape = Mask | Polygon | Rectangle | Ellipse
MAX_DRAWN_PIXELS = 16_000_000
"""Larger pairs of areas are compared by their outlines on every second (third, ...) row and column."""
DENSE_FROM_RUNS = 1_000_000
"""Masks of more runs (noise) are held as bits, an eighth of a byte a pixel."""
_BAND_PIXELS = 4_000_000
_Ints = NDArray[np.int64]
_Box = tuple[int, int, int, int]


class Area(Protocol):
    """Pixels of a picture; boxes are left, top, and right and bottom behind the last pixel."""

    @property
    def pixels(self) -> int:
        """How many pixels are covered."""

    @property
    def box(self) -> _Box:
        """Where they are; all 0 where nothing is covered."""

    def drawn(self, box: _Box, step: int = 1) -> NDArray[np.bool_]:
        """Draw the part inside a box, every `step`-th row and column of it."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Pixels as intervals of rows, ascending and disjoint.

    Attributes:
        rows: int64, the row of each interval.
        starts, stops: int64, first column and the column behind the last.
        width: of the picture.
    """

    rows: _Ints
    starts: _Ints
    stops: _Ints
    width: int

    @property
    def pixels(self) -> int:
        """How many pixels are covered."""
        return int((self.stops - self.starts).sum())

    @property
    def box(self) -> _Box:
        """Where they are; all 0 where nothing is covered."""
        if not len(self.rows):
            return 0, 0, 0, 0
        return int(self.starts.min()), int(self.rows[0]), int(self.stops.max()), int(self.rows[-1]) + 1

    def shared(self, other: Rows) -> int:
        """Return how many pixels both cover; one of the two at least covers some."""
        starts, stops = self._along()
        covered = np.concatenate([[0], np.cumsum(stops - starts)])

        def before(positions: _Ints) -> _Ints:
            at = np.searchsorted(starts, positions, side="right") - 1
            inside = np.minimum(positions, stops[at]) - starts[at]
            return np.where(at < 0, 0, covered[at] + inside)

        first, last = other._along()
        return int((before(last) - before(first)).sum())

    def _along(self) -> tuple[_Ints, _Ints]:
        stride = self.width + 1
        return self.rows * stride + self.starts, self.rows * stride + self.stops

    def drawn(self, box: _Box, step: int = 1) -> NDArray[np.bool_]:
        """Draw the part inside a box, every `step`-th row and column of it."""
        left, top, right, bottom = box
        kept = (self.rows >= top) & (self.rows < bottom) & ((self.rows - top) % step == 0)
        columns = -(-(right - left) // step)
        rows = (self.rows[kept] - top) // step
        toggles = np.zeros((-(-(bottom - top) // step), columns + 1), dtype=np.uint8)
        for edge in (self.starts, self.stops):
            at = np.clip(-(-(edge[kept] - left) // step), 0, columns)
            np.bitwise_xor.at(toggles, (rows, at), np.uint8(1))
        np.bitwise_xor.accumulate(toggles, axis=1, out=toggles)
        return toggles[:, :columns].view(np.bool_)


@dataclass(frozen=True, eq=False)
class Bits:
    """Pixels as packed bits of a box that has at least one row and column."""

    packed: NDArray[np.uint8]
    pixels: int
    box: _Box

    def drawn(self, box: _Box, step: int = 1) -> NDArray[np.bool_]:
        """Draw the part inside a box, every `step`-th row and column of it."""
        left, top, right, bottom = box
        drawn = np.zeros((-(-(bottom - top) // step), -(-(right - left) // step)), dtype=np.bool_)
        # The first row and column of the grid that lie in both, and how many do.
        x, y = (-(-max(0, own - start) // step) for own, start in zip(self.box[:2], box[:2], strict=True))
        from_y, to_y = top + y * step - self.box[1], min(bottom, self.box[3]) - self.box[1]
        from_x, to_x = left + x * step - self.box[0], min(right, self.box[2]) - self.box[0]
        if from_y < to_y and from_x < to_x:
            rows = np.unpackbits(self.packed[from_y:to_y:step], axis=1, count=self.box[2] - self.box[0])
            part = rows[:, from_x:to_x:step].view(np.bool_)
            drawn[y : y + part.shape[0], x : x + part.shape[1]] = part
        return drawn


def area_of(shape: AreaShape, size: tuple[int, int]) -> Area:
    """Return the pixels of a picture of `size` (width, height) that a shape covers.

    A mask covers its bits, the others the pixels whose centres they enclose (even-odd), as
    `agir_cvtoolkit.outlines.rasterize` has it. What lies outside the picture does not count; runs that are
    negative and points that are not finite cover nothing.
    """
    if isinstance(shape, Mask):
        return _of_mask(shape, size)
    ring = _ring(shape)
    if len(ring) < 3 or not np.isfinite(ring).all():
        return _none(size)
    left, right = _clipped(ring[:, 0], size[0])
    top, bottom = _clipped(ring[:, 1], size[1])
    if left >= right or top >= bottom:
        return _none(size)
    found = []
    for _, upper, _, lower in _bands((left, top, right, bottom)):
        band = outlines.rasterize([ring - (left, upper)], (right - left, lower - upper))
        changes = np.diff(np.pad(band, ((0, 0), (1, 1))).view(np.int8), axis=1)
        rows, starts = np.nonzero(changes == 1)
        stops = np.nonzero(changes == -1)[1]
        found.append((rows + upper, starts + left, stops + left))
    rows, starts, stops = (np.concatenate(parts).astype(np.int64) for parts in zip(*found, strict=True))
    return Rows(rows, starts, stops, size[0])


def overlap(first: Area, second: Area) -> float:
    """Return the intersection over union of two areas (Jaccard 1912), 0 where both are empty."""
    a, b = first.box, second.box
    both = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    if both[0] >= both[2] or both[1] >= both[3]:
        return 0.0
    if isinstance(first, Rows) and isinstance(second, Rows):
        shared = first.shared(second)
    else:
        shared = sum(int(np.count_nonzero(first.drawn(band) & second.drawn(band))) for band in _bands(both))
    return shared / (first.pixels + second.pixels - shared)


def outline_distance(first: Area, second: Area) -> float | None:
    """Return `agir_cvtoolkit.agreement.boundary_distance` of two areas in pixels, None where one is empty."""
    if not first.pixels or not second.pixels:
        return None
    a, b = first.box, second.box
    box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    step = 1
    while (box[2] - box[0]) * (box[3] - box[1]) > MAX_DRAWN_PIXELS * step * step:
        step += 1
    distance = boundary_distance(first.drawn(box, step), second.drawn(box, step))
    return distance * step if math.isfinite(distance) else None


def _none(size: tuple[int, int]) -> Area:
    empty = np.zeros(0, dtype=np.int64)
    return Rows(empty, empty, empty, size[0])


def _bands(box: _Box) -> Iterator[_Box]:
    """Split a box into pieces that are drawn one after the other."""
    left, top, right, bottom = box
    height = max(1, _BAND_PIXELS // (right - left))
    return ((left, upper, right, min(bottom, upper + height)) for upper in range(top, bottom, height))


def _clipped(values: NDArray[np.float64], limit: int) -> tuple[int, int]:
    low = math.floor(max(0.0, min(float(values.min()), float(limit))))
    high = math.ceil(min(float(limit), max(float(values.max()), 0.0)))
    return low, high


def _of_mask(shape: Mask, size: tuple[int, int]) -> Area:
    left, top, right, bottom = shape.box
    width, height = right - left + 1, bottom - top + 1
    if width <= 0 or height <= 0 or (len(shape.runs) and int(shape.runs.min()) < 0):
        return _none(size)
    inside = left >= 0 and top >= 0 and right < size[0] and bottom < size[1]
    if len(shape.runs) > DENSE_FROM_RUNS and inside:
        return _bits_of(shape, width, height)
    ends = np.minimum(np.cumsum(shape.runs, dtype=np.int64), width * height)
    starts, stops = ends[:-1:2], ends[1::2]
    starts, stops = starts[starts < stops], stops[starts < stops]
    if not len(starts):
        return _none(size)
    first, last = starts // width, (stops - 1) // width
    counts = last - first + 1
    run = np.repeat(np.arange(len(counts)), counts)
    rows = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = np.where(rows == first[run], starts[run] - rows * width, 0) + left
    finishes = np.where(rows == last[run], stops[run] - rows * width, width) + left
    begins, finishes = np.clip(begins, 0, size[0]), np.clip(finishes, 0, size[0])
    rows += top
    kept = (begins < finishes) & (rows >= 0) & (rows < size[1])
    return Rows(rows[kept], begins[kept], finishes[kept], size[0])


def _bits_of(shape: Mask, width: int, height: int) -> Area:
    flat = np.zeros(width * height, dtype=np.bool_)
    at = 0
    for start in range(0, len(shape.runs), DENSE_FROM_RUNS):
        runs = shape.runs[start : start + DENSE_FROM_RUNS]
        values = np.repeat(np.arange(start, start + len(runs)) % 2 == 1, runs)[: len(flat) - at]
        flat[at : at + len(values)] = values
        at += len(values)
    left, top, right, bottom = shape.box
    packed = np.packbits(flat.reshape(height, width), axis=1)
    return Bits(packed, int(np.count_nonzero(flat)), (left, top, right + 1, bottom + 1))


def _ring(shape: Polygon | Rectangle | Ellipse) -> NDArray[np.float64]:
    points = np.asarray(shape.points, dtype=np.float64).reshape(-1, 2)
    if isinstance(shape, Polygon):
        return points
    if len(points) != 2:
        return np.zeros((0, 2))
    if isinstance(shape, Rectangle):
        (left, top), (right, bottom) = points
        centre = points.mean(axis=0)
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) - centre
    else:
        centre, radii = points[0], np.abs(points[1] - points[0])
        if not np.isfinite(radii).all():
            return np.zeros((0, 2))
        # A chord of two pixels deviates from the arc by 1 / (2 radius) pixels.
        turn = np.linspace(0, 2 * np.pi, int(np.clip(np.pi * radii.max(), 72, 8192)), endpoint=False)
        corners = np.stack([radii[0] * np.cos(turn), radii[1] * np.sin(turn)], axis=1)
    angle = math.radians(shape.rotation)
    cosine, sine = math.cos(angle), math.sin(angle)
    turned: NDArray[np.float64] = corners @ np.array([[cosine, sine], [-sine, cosine]]) + centre
    return turned
