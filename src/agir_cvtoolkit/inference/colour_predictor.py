"""Plants without a model: a colour index and a threshold on it.

The picture is looked at twice in strips, first for the histogram, then for the probabilities, so that no float copy of
all of it is ever held.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import ConfigError, did_you_mean

from .colour_indices import INDICES, ColourIndex, Plane
from .predictor import PLANT_OR_NOT, RECORD_CLASS, RGB, Band
from .thresholds import METHODS, Histogram, Sides

DEFAULT_INDEX, DEFAULT_THRESHOLD = "excess_green", "otsu"
_STRIP = 256
_BINS = 512
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
        split = split_histogram(_histogram(rgb, self._index), self._index, self._threshold)
        for top, index in _strips(rgb, self._index):
            odds = np.clip((split.threshold - index) * split.slope, -30.0, 30.0)
            plant = 1.0 / (1.0 + np.exp(odds))
            yield Band(top, np.stack([1.0 - plant, plant]))


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


def _histogram(rgb: RGB, index: ColourIndex) -> Histogram:
    counts = np.zeros(_BINS, dtype=np.float64)
    almost = np.nextafter(np.float32(index.high), np.float32(index.low))
    for _top, plane in _strips(rgb, index):
        inside = np.clip(plane, np.float32(index.low), almost)
        counts += cv2.calcHist([inside], [0], None, [_BINS], [index.low, index.high]).reshape(-1)
    return Histogram(counts, index.low, index.high)


def _strips(rgb: RGB, index: ColourIndex) -> Iterator[tuple[int, Plane]]:
    """Yield the index of a lightly blurred picture in strips."""
    height, width = rgb.shape[:2]
    sigma = min(max(0.8, max(height, width) / 1800), 4.0)
    halo = math.ceil(4 * sigma) + 1
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        first, last = max(0, top - halo), min(height, bottom + halo)
        # Planes are blurred faster than interleaved channels.
        red, green, blue = (
            _blurred(plane, sigma)[top - first : bottom - first] for plane in cv2.split(rgb[first:last])
        )
        yield top, index.plane(red, green, blue)


def _blurred(plane: NDArray[Any], sigma: float) -> Plane:
    blurred = cv2.GaussianBlur(plane.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, dtype=np.float32)
