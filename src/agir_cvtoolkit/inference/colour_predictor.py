"""Plants without a model: a colour index and a threshold on it.

The index is computed once, in strips, and kept as 16-bit levels beside the picture: two bytes for each pixel, and no
float copy of all of it. A threshold for all of it is found, and then every level has its probability.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import ConfigError, did_you_mean
from agir_cvtoolkit.scratch import beside, let_go

from .colour_indices import INDICES, ColourIndex, Plane
from .predictor import PLANT_OR_NOT, RECORD_CLASS, RGB, Band
from .thresholds import METHODS, Histogram, Sides

DEFAULT_INDEX, DEFAULT_THRESHOLD = "excess_green", "otsu"
_STRIP = 256
_BLURRED_PIXELS, _BAND_PIXELS = 1 << 22, 1 << 21
"""Of strips of pictures so wide that `_STRIP` rows take much memory: several bands wait to be written."""
_ROWS = 32
"""Looked at at once: few enough for a processor's cache."""
_BINS = 512
_LEVELS = 1 << 16
_STEEPEST, _FLATTEST = 120.0, 15.0


@dataclass(frozen=True)
class Split:
    """Where a histogram of an index falls apart.

    Attributes:
        threshold: in units of the index; from here on it is a plant.
        slope: change of the log-odds of plant per unit of the index.
    """

    threshold: float
    slope: float


class ColourPredictor:
    """The predictor of a first round: needs no weights.

    Attributes:
        name: ``excess_green``; of other choices index and threshold, such as ``ngrdi-triangle`` or ``vari-0.1``.
    """

    classes = PLANT_OR_NOT
    class_ids = (0, RECORD_CLASS)
    needs_tiles: Literal[False] = False

    def __init__(self, index: str = DEFAULT_INDEX, threshold: str | float = DEFAULT_THRESHOLD) -> None:
        """Choose an index and how its threshold is found.

        Args:
            index: one of `colour_indices.INDICES`.
            threshold: one of `thresholds.METHODS`, or the threshold itself in units of the index.

        Raises:
            ConfigError: an unknown name.
        """
        if index not in INDICES:
            raise ConfigError(
                f"colour index '{index}' is unknown",
                f"{did_you_mean(index, INDICES)} There are {', '.join(INDICES)}.".strip(),
            )
        if isinstance(threshold, str) and threshold not in METHODS:
            raise ConfigError(
                f"threshold '{threshold}' is unknown",
                f"{did_you_mean(threshold, METHODS)} There are {', '.join(METHODS)}, or give a number.".strip(),
            )
        default = (index, threshold) == (DEFAULT_INDEX, DEFAULT_THRESHOLD)
        self.name = index if default else f"{index}-{threshold}"
        self._index = INDICES[index]
        self._threshold = threshold

    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        """Yield bands of soft probabilities: the logistic function of the distance to the threshold.

        Args:
            rgb: uint8 of shape (height, width, 3).
        """
        levels, histogram = _levels(rgb, self._index)
        table = _table(split_histogram(histogram, self._index, self._threshold), self._index)
        step = _rows_of_strip(rgb.shape[1], _BAND_PIXELS)
        for top in range(0, len(levels), step):
            part = levels[top : top + step]
            band = np.empty((2, *part.shape), dtype=np.float32)
            for row in range(0, len(part), _ROWS):
                rows = slice(row, row + _ROWS)
                np.take(table, part[rows], out=band[1, rows], mode="clip")
            np.subtract(1, band[1], out=band[0])
            let_go(levels)
            yield Band(top, band)


def split_histogram(
    histogram: Histogram, index: ColourIndex, threshold: str | float = DEFAULT_THRESHOLD
) -> Split:
    """Split a histogram of an index, where plants can be.

    A picture of bare soil has one mode that most methods would cut in half, one full of leaves likewise; a threshold
    that was found is therefore kept between the index's floor and ceiling. A given one is taken as it is. The slope is
    that of the log-odds of two normal distributions with the means of the two sides and their pooled variance (Fisher's
    linear discriminant), within bounds.

    Args:
        histogram: of the index.
        index: what it is of.
        threshold: a method, or the threshold itself.
    """
    if isinstance(threshold, str):
        last = METHODS[threshold](histogram)
        value = min(max(histogram.upper_edge(last), index.floor), index.ceiling)
    else:
        value = threshold
        share = (value - histogram.low) / (histogram.high - histogram.low)
        last = min(max(int(share * len(histogram.counts)) - 1, 0), len(histogram.counts) - 1)
    return Split(value, _slope(histogram, last))


def _slope(histogram: Histogram, last: int) -> float:
    sides = Sides.of(histogram)
    width = histogram.high - histogram.low
    steepest, flattest = _STEEPEST / width, _FLATTEST / width
    gap = float(sides.mean_above[last] - sides.mean_below[last])
    if gap <= 0 or not sides.above[last] > 0:
        return steepest
    total = max(float(histogram.counts.sum()), 1.0)
    mean = float((histogram.counts * histogram.centres).sum()) / total
    spread = float((histogram.counts * (histogram.centres - mean) ** 2).sum()) / total
    within = max(spread - float(sides.between[last]) / total**2, 1e-6)
    return min(max(gap / within, flattest), steepest)


def _levels(rgb: RGB, index: ColourIndex) -> tuple[NDArray[np.uint16], Histogram]:
    """Return the index of each pixel, `_LEVELS` levels from its low to its high end, and its histogram."""
    levels = beside(rgb, rgb.shape[:2], np.uint16)
    counts = np.zeros(_BINS, dtype=np.float64)
    per_unit = np.float32((_LEVELS - 1) / (index.high - index.low))
    for top, plane in _strips(rgb, index):
        np.subtract(plane, np.float32(index.low), out=plane)
        np.multiply(plane, per_unit, out=plane)
        np.clip(plane, 0, _LEVELS - 1, out=plane)
        rows = levels[top : top + len(plane)]
        rows[:] = plane
        counts += cv2.calcHist([rows], [0], None, [_BINS], [0, _LEVELS]).reshape(-1)
        let_go(levels, rgb)
    return levels, Histogram(counts, index.low, index.high)


def _table(split: Split, index: ColourIndex) -> NDArray[np.float32]:
    """Return the probability of a plant for each level."""
    values = np.linspace(index.low, index.high, _LEVELS)
    odds = np.clip((split.threshold - values) * split.slope, -30.0, 30.0)
    plant: NDArray[np.float32] = (1.0 / (1.0 + np.exp(odds))).astype(np.float32)
    return plant


def _rows_of_strip(width: int, pixels: int) -> int:
    return min(_STRIP, max(_ROWS, pixels // width // _ROWS * _ROWS))


def _strips(rgb: RGB, index: ColourIndex) -> Iterator[tuple[int, Plane]]:
    """Yield the index of a lightly blurred picture, few rows at a time."""
    height, width = rgb.shape[:2]
    sigma = min(max(0.8, max(height, width) / 1800), 4.0)
    halo = math.ceil(4 * sigma) + 1
    kernel = cv2.getGaussianKernel(2 * halo - 1, sigma, cv2.CV_32F)
    step = _rows_of_strip(width, _BLURRED_PIXELS)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = max(0, top - halo), min(height, bottom + halo)
        # Planes are blurred faster than interleaved channels.
        red, green, blue = (
            np.asarray(cv2.sepFilter2D(plane, cv2.CV_32F, kernel, kernel), dtype=np.float32)[
                top - first : bottom - first
            ]
            for plane in cv2.split(rgb[first:last])
        )
        for row in range(0, bottom - top, _ROWS):
            rows = slice(row, row + _ROWS)
            yield top + row, index.plane(red[rows], green[rows], blue[rows])
