"""Plants without a model: normalised excess green and Otsu's threshold.

Excess green (2g - r - b) / (r + g + b) after Woebbecke et al. 1995, "Color indices for weed identification
under various soil, residue, and lighting conditions"; threshold after Otsu 1979, "A threshold selection
method from gray-level histograms". The picture is looked at twice in strips, first for the histogram, then
for the probabilities, so that no float copy of all of it is ever held.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .predictor import RECORD_CLASS, RGB, Band

_STRIP = 256
_BINS = 512
_LOW, _HIGH = -0.5, 1.0
_SHADE = 30.0  # added to r + g + b: colour of near-black pixels is sensor noise and must not count as green
_FLOOR = 0.07  # below this even a clear second mode is no plant but soil of another tint
_CEILING = 0.25  # above this Otsu splits one plant from another, in pictures that are full of leaves
_STEEPEST = 80.0


@dataclass(frozen=True)
class Split:
    """Where a histogram of excess green falls apart.

    Attributes:
        threshold: in excess green; from here on it is a plant.
        slope: change of the log-odds of plant per unit of excess green.
    """

    threshold: float
    slope: float


@dataclass(frozen=True)
class ExcessGreen:
    """The predictor of a first round: needs no weights."""

    name: str = "excess_green"
    classes: tuple[str, ...] = ("background", "plant")
    class_ids: tuple[int, ...] = (0, RECORD_CLASS)
    needs_tiles: Literal[False] = False

    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        """Yield bands of soft probabilities: the logistic function of the distance to the threshold.

        Args:
            rgb: uint8 of shape (height, width, 3).
        """
        split = split_histogram(_histogram(rgb))
        for top, index in _strips(rgb):
            odds = np.clip((split.threshold - index) * split.slope, -30.0, 30.0)
            plant = 1.0 / (1.0 + np.exp(odds))
            yield Band(top, np.stack([1.0 - plant, plant]))


def excess_green(rgb: RGB, sigma: float) -> NDArray[np.float32]:
    """Return normalised excess green of a blurred picture, float32 of shape (height, width), in (-1, 2).

    Args:
        rgb: uint8 of shape (height, width, 3).
        sigma: of the Gaussian blur, in pixels; 0 for none.
    """
    red, green, blue = cv2.split(rgb)
    # Sums of bytes are exact in 32-bit floats, and planes are blurred faster than interleaved channels.
    total = cv2.add(cv2.add(red, green, dtype=cv2.CV_16S), blue, dtype=cv2.CV_32F)
    excess: NDArray[np.float32] = green.astype(np.float32) * np.float32(3) - total
    if sigma > 0:
        total = cv2.GaussianBlur(total, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        excess = np.asarray(
            cv2.GaussianBlur(excess, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), dtype=np.float32
        )
    excess /= total + np.float32(_SHADE)
    return excess


def split_histogram(counts: NDArray[np.float64]) -> Split:
    """Split a histogram of excess green by Otsu's threshold, kept where plants can be.

    A picture of bare soil has one mode that Otsu would cut in half, one full of leaves likewise; the
    threshold is therefore kept within [0.07, 0.25]. The slope is that of the log-odds of two normal
    distributions with the means of the two sides and their pooled variance (Fisher's linear discriminant), at
    most 80.

    Args:
        counts: of 512 equal bins over [-0.5, 1].
    """
    edges = np.linspace(_LOW, _HIGH, _BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    moment = np.cumsum(counts * centres)
    mean_below = moment / np.maximum(below, 1)
    mean_above = (moment[-1] - moment) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2
    best = int(np.argmax(between))
    threshold = min(max(float(edges[best + 1]), _FLOOR), _CEILING)
    gap = float(mean_above[best] - mean_below[best])
    total = max(float(below[-1]), 1.0)
    spread = float((counts * (centres - moment[-1] / total) ** 2).sum() / total)
    within = max(spread - float(between[best]) / total**2, 1e-6)
    slope = gap / within if gap > 0 else _STEEPEST
    return Split(threshold, min(max(slope, 10.0), _STEEPEST))


def _histogram(rgb: RGB) -> NDArray[np.float64]:
    counts = np.zeros(_BINS, dtype=np.float64)
    for _top, index in _strips(rgb):
        inside = np.clip(index, _LOW, np.float32(_HIGH - 1e-6))
        counts += cv2.calcHist([inside], [0], None, [_BINS], [_LOW, _HIGH]).reshape(-1)
    return counts


def _strips(rgb: RGB) -> Iterator[tuple[int, NDArray[np.float32]]]:
    height, width = rgb.shape[:2]
    sigma = min(max(0.8, max(height, width) / 1800), 4.0)
    halo = math.ceil(4 * sigma) + 1
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        first, last = max(0, top - halo), min(height, bottom + halo)
        index = excess_green(rgb[first:last], sigma)
        yield top, index[top - first : bottom - first]
