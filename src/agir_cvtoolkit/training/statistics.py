"""What a data set's training pictures are like: colours, and how often each class occurs; counted, never sampled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

_RAREST = 10.0
_BAND = 1 << 22


@dataclass(frozen=True)
class Counts:
    """Sums over pixels.

    Attributes:
        pixels: how many.
        sums, squares: of the values 0..255, per channel.
        classes: pixels of each class, in the data set's order.
    """

    pixels: int
    sums: tuple[int, ...]
    squares: tuple[int, ...]
    classes: tuple[int, ...]


def counts_of(image: NDArray[np.uint8], mask: NDArray[np.uint8], class_ids: Sequence[int]) -> Counts:
    """Count a picture, uint8 of shape (height, width, 3), and its mask of class ids."""
    values = np.arange(256, dtype=np.int64)
    channels = [histogram(image, channel) for channel in range(3)]
    held = histogram(mask)
    return Counts(
        mask.size,
        tuple(int((n * values).sum()) for n in channels),
        tuple(int((n * values * values).sum()) for n in channels),
        tuple(int(held[class_id]) for class_id in class_ids),
    )


def histogram(array: NDArray[np.uint8], channel: int = 0) -> NDArray[np.int64]:
    """Count the values 0..255 of one channel of an array of shape (height, width) or (height, width, channels)."""
    counted = np.zeros(256, dtype=np.int64)
    # In bands, because OpenCV counts in float32, which is exact up to 2 ** 24.
    rows = max(1, _BAND // max(1, array.shape[1]))
    for top in range(0, array.shape[0], rows):
        band = np.ascontiguousarray(array[top : top + rows])
        counted += cv2.calcHist([band], [channel], None, [256], [0, 256]).reshape(-1).astype(np.int64)
    return counted


def total(counts: Iterable[Counts]) -> Counts:
    """Add up; at least one."""
    found = list(counts)
    return Counts(
        sum(c.pixels for c in found),
        tuple(map(sum, zip(*(c.sums for c in found), strict=True))),
        tuple(map(sum, zip(*(c.squares for c in found), strict=True))),
        tuple(map(sum, zip(*(c.classes for c in found), strict=True))),
    )


def mean_and_std(counts: Counts) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel in [0, 1], exact but for the last rounding."""
    mean = [value / counts.pixels / 255 for value in counts.sums]
    std = [
        math.sqrt(max(0, squares * counts.pixels - value * value)) / counts.pixels / 255
        for value, squares in zip(counts.sums, counts.squares, strict=True)
    ]
    return mean, std


def class_weights(pixels: Sequence[int]) -> tuple[float, ...]:
    """Return what a pixel of each class weighs in a loss so that rare classes are heard.

    Median frequency balancing (Eigen and Fergus, "Predicting Depth, Surface Normals and Semantic Labels", 2015,
    section 6.3.2): the median of the classes' numbers of pixels divided by each class's own, here at most 10. A class
    that does not occur weighs 1.
    """
    middle = median([count for count in pixels if count] or [1])
    return tuple(min(_RAREST, middle / count) if count else 1.0 for count in pixels)
