"""Where a histogram falls apart: thresholds by name, each from its paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of equal bins.

    Attributes:
        counts: float64, one for each bin.
        low, high: ends of the first and the last bin.
    """

    counts: Counts
    low: float
    high: float

    @property
    def centres(self) -> Counts:
        """Middle of each bin."""
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        middles: Counts = (edges[:-1] + edges[1:]) / 2
        return middles

    def upper_edge(self, last: int) -> float:
        """Return where bin number `last` ends."""
        return self.low + (self.high - self.low) * (last + 1) / len(self.counts)


@dataclass(frozen=True, eq=False)
class Sides:
    """What lies below and above each possible threshold; one value for each bin, which is the last one below.

    Attributes:
        below, above: counts.
        mean_below, mean_above: of the index.
    """

    below: Counts
    above: Counts
    mean_below: Counts
    mean_above: Counts

    @classmethod
    def of(cls, histogram: Histogram) -> Sides:
        """Sum a histogram up from both ends."""
        below = np.cumsum(histogram.counts)
        above = below[-1] - below
        moment = np.cumsum(histogram.counts * histogram.centres)
        return cls(below, above, moment / np.maximum(below, 1), (moment[-1] - moment) / np.maximum(above, 1))

    @property
    def between(self) -> Counts:
        """Otsu's variance between the two sides, times the square of the total count."""
        spread: Counts = self.below * self.above * (self.mean_below - self.mean_above) ** 2
        return spread


def otsu(histogram: Histogram) -> int:
    """Otsu 1979, "A threshold selection method from gray-level histograms": the largest variance between sides."""
    return int(np.argmax(Sides.of(histogram).between))


def triangle(histogram: Histogram) -> int:
    """Zack et al. 1977, "Automatic measurement of sister chromatid exchange frequency".

    Farthest from the line between peak and upper end: finds few plants on much soil, which make no mode of their own.
    """
    filled = np.flatnonzero(histogram.counts)
    if len(filled) == 0:
        return 0
    peak, end = int(np.argmax(histogram.counts)), int(filled[-1])
    if end <= peak:
        return peak
    heights = histogram.counts[peak : end + 1] / histogram.counts[peak]
    steps = np.linspace(0, 1, len(heights))
    return peak + int(np.argmax((1 - steps) - heights))


def entropy(histogram: Histogram) -> int:
    """Kapur et al. 1985, "A new method for gray-level picture thresholding using the entropy of the histogram"."""
    shares = histogram.counts / max(float(histogram.counts.sum()), 1.0)
    below = np.cumsum(shares)
    above = np.maximum(1 - below, 0)
    partial = np.cumsum(-shares * np.log(np.maximum(shares, _TINY)))
    lower = np.log(np.maximum(below, _TINY)) + partial / np.maximum(below, _TINY)
    upper = np.log(np.maximum(above, _TINY)) + (partial[-1] - partial) / np.maximum(above, _TINY)
    both = np.where((below > _TINY) & (above > _TINY), lower + upper, -np.inf)
    return int(np.argmax(both))


def cross_entropy(histogram: Histogram) -> int:
    """Li & Lee 1993, "Minimum cross entropy thresholding"; the index is moved so that all of it is positive."""
    sides = Sides.of(histogram)
    step = (histogram.high - histogram.low) / len(histogram.counts)
    lower = np.maximum(sides.mean_below - histogram.low, step)
    upper = np.maximum(sides.mean_above - histogram.low, step)
    known = sides.below * lower * np.log(lower) + sides.above * upper * np.log(upper)
    return int(np.argmax(np.where((sides.below > 0) & (sides.above > 0), known, -np.inf)))


METHODS: Mapping[str, Callable[[Histogram], int]] = {
    "otsu": otsu,
    "triangle": triangle,
    "entropy": entropy,
    "cross_entropy": cross_entropy,
}
"""Each returns the last bin below its threshold."""
