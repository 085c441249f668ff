"""Bit masks as run lengths, exact both ways.

A mask is a bool or uint8 array of shape (height, width); any value other than 0 is foreground. Run lengths
are those of CVAT: row-major inside a box whose right and bottom are inclusive, background first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import MaskError

_BAND_PIXELS = 1 << 20

Bitmap = NDArray[np.bool_] | NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Runs:
    """Run lengths (int32, background first, row-major) inside `box` (left, top, right, bottom, inclusive)."""

    lengths: NDArray[np.int32]
    box: tuple[int, int, int, int]


def bounding_box(mask: Bitmap) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom (inclusive) of the foreground, or None where there is none."""
    x, y, width, height = cv2.boundingRect(_as_uint8(mask))
    if width == 0 or height == 0:
        return None
    return x, y, x + width - 1, y + height - 1


def encode(
    mask: Bitmap, box: tuple[int, int, int, int] | None = None, *, values: Sequence[int] | None = None
) -> Runs | None:
    """Encode the foreground as runs inside its bounding box.

    Memory beside the mask and the runs is that of a band of rows.

    Args:
        mask: shape (height, width), any value other than 0 is foreground.
        box: encode this part instead of the bounding box.
        values: only these values are foreground.

    Returns:
        The runs; without `box` None for an empty mask (CVAT must not be given one).

    Raises:
        MaskError: the box does not lie in the mask.
    """
    _check_dimensions(mask)
    found = box or _box_of(mask, values)
    if found is None:
        return None
    left, top, right, bottom = found
    if not (0 <= left <= right < mask.shape[1] and 0 <= top <= bottom < mask.shape[0]):
        raise MaskError(f"box {found} does not lie in a mask of {mask.shape[1]}x{mask.shape[0]}")
    edges = [np.zeros(1, dtype=np.int64)]
    before, place = False, 0
    for _, band in _bands(mask[top : bottom + 1, left : right + 1], values):
        flat = band.reshape(-1)
        if bool(flat[0]) != before:
            edges.append(np.array([place], dtype=np.int64))
        edges.append(np.flatnonzero(flat[1:] != flat[:-1]) + (place + 1))
        before, place = bool(flat[-1]), place + flat.size
    edges.append(np.array([place], dtype=np.int64))
    return Runs(np.diff(np.concatenate(edges)).astype(np.int32), found)


def _box_of(mask: Bitmap, values: Sequence[int] | None) -> tuple[int, int, int, int] | None:
    if values is None:
        return bounding_box(mask)
    columns = np.zeros(mask.shape[1], dtype=np.bool_)
    top = bottom = -1
    for start, band in _bands(mask, values):
        rows = np.flatnonzero(band.any(axis=1))
        if len(rows):
            top = start + int(rows[0]) if top < 0 else top
            bottom = start + int(rows[-1])
            columns |= band.any(axis=0)
    if top < 0:
        return None
    found = np.flatnonzero(columns)
    return int(found[0]), top, int(found[-1]), bottom


def _bands(mask: Bitmap, values: Sequence[int] | None) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the foreground in bands of rows, each contiguous, with the number of its first row."""
    rows = max(1, _BAND_PIXELS // max(1, mask.shape[1]))
    for start in range(0, mask.shape[0], rows):
        band = mask[start : start + rows]
        if values is not None:
            yield start, (band == values[0] if len(values) == 1 else np.isin(band, values))
        elif band.dtype == np.bool_:
            yield start, np.ascontiguousarray(band).view(np.bool_)
        else:
            yield start, np.not_equal(band, 0)


def decode(runs: Runs, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode runs into a mask of `size` (width, height).

    Raises:
        MaskError: the runs are negative or do not sum to the area of the box, or the box lies outside the
            picture.
    """
    width, height = size
    left, top, right, bottom = runs.box
    check_runs(runs, size)
    foreground = np.zeros(len(runs.lengths), dtype=np.bool_)
    foreground[1::2] = True
    flat = np.repeat(foreground, runs.lengths)
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[top : bottom + 1, left : right + 1] = flat.reshape(bottom - top + 1, right - left + 1)
    return mask


def check_runs(runs: Runs, size: tuple[int, int]) -> None:
    """Check runs against their box and a picture of `size` (width, height), as the server does not.

    Raises:
        MaskError: the runs are negative or do not sum to the area of the box, or the box lies outside the
            picture.
    """
    left, top, right, bottom = runs.box
    if not (0 <= left <= right < size[0] and 0 <= top <= bottom < size[1]):
        raise MaskError(f"mask box {runs.box} does not lie in a picture of {size[0]}x{size[1]}")
    if len(runs.lengths) and int(runs.lengths.min()) < 0:
        raise MaskError("mask has a negative run length")
    area = (right - left + 1) * (bottom - top + 1)
    total = int(runs.lengths.sum(dtype=np.int64))
    if total != area:
        raise MaskError(f"mask runs sum to {total}, its box {runs.box} holds {area} pixels")


def encode_parts(mask: Bitmap) -> Iterator[Runs]:
    """Encode the 8-connected parts of a mask one by one, largest first."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(_as_uint8(mask), connectivity=8)
    boxes = [tuple(int(v) for v in row[:4]) for row in stats]
    for part in sorted(range(1, len(boxes)), key=lambda i: (-int(stats[i, cv2.CC_STAT_AREA]), i)):
        left, top, width, height = boxes[part]
        runs = encode(labels[top : top + height, left : left + width] == part)
        if runs is not None:
            yield Runs(runs.lengths, (left, top, left + width - 1, top + height - 1))


def values_in(mask: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return the values other than 0 that occur in a mask of class ids, ascending."""
    counts = cv2.calcHist([np.ascontiguousarray(mask)], [0], None, [256], [0, 256])
    return tuple(int(value) for value in np.flatnonzero(counts) if value)


def _as_uint8(mask: Bitmap) -> NDArray[np.uint8]:
    _check_dimensions(mask)
    if mask.dtype.itemsize == 1:  # OpenCV itself asks for pixels other than 0.
        return mask.view(np.uint8)
    return np.not_equal(mask, 0).view(np.uint8)


def _check_dimensions(mask: Bitmap) -> None:
    if mask.ndim != 2:
        raise MaskError(f"a mask has two dimensions, this one has {mask.ndim}")
