"""How sure a prediction is: the doubt of each pixel, and one score for a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .predictor import Probabilities

Measure = Literal["entropy", "margin", "top_k", "disagreement", "ensemble"]
Doubt = NDArray[np.float32]

PLAUSIBLE = 0.05
"""Foreground of at least this probability counts."""
_BINS = 1024
_PIXELS_AT_ONCE = 1 << 17


def normalised_entropy(probabilities: Probabilities) -> Doubt:
    """Return Shannon's entropy of each pixel divided by the logarithm of the number of classes.

    Args:
        probabilities: float32 of shape (classes, height, width), summing to 1 over the classes.

    Returns:
        float32 of shape (height, width), in [0, 1].
    """
    logs = np.log(np.maximum(probabilities, np.float32(1e-7)))
    entropy = -(probabilities * logs).sum(axis=0, dtype=np.float32) / np.float32(np.log(len(probabilities)))
    clipped: Doubt = np.clip(entropy, 0.0, 1.0)
    return clipped


def margin_doubt(probabilities: Probabilities) -> Doubt:
    """Return 1 minus the distance of the two likeliest classes, float32 of shape (height, width), in [0, 1].

    Args:
        probabilities: float32 of shape (classes, height, width), summing to 1 over the classes.
    """
    highest = np.partition(probabilities, -2, axis=0)[-2:]
    doubt: Doubt = np.clip(1 - (highest[1] - highest[0]), 0.0, 1.0)
    return doubt


class UncertaintySum:
    """Sums up the score of a picture band by band.

    Of all measures but ``top_k`` the score is the mean over the pixels where foreground is plausible
    (its probability is at least 0.05): sure soil around a plant does not make a doubtful plant look sure, and a large
    plant is not worse than a small one. A picture without any such pixel scores the mean over all of it, which is near
    0. Of ``top_k`` it is the mean entropy of the most doubtful pixels.
    """

    def __init__(self, measure: Measure = "entropy", share: float = 0.01) -> None:
        """Begin a picture.

        Args:
            measure: of the doubt; ``disagreement`` and ``ensemble`` are given as planes of their own.
            share: of the picture's pixels that ``top_k`` looks at, at least one of them.
        """
        self._measure = measure
        self._share = share
        self._plausible = 0
        self._plausible_doubt = 0.0
        self._pixels = 0
        self._doubt = 0.0
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self._sums = np.zeros(_BINS, dtype=np.float64)

    def add(
        self, planes: Probabilities, into: NDArray[np.uint8] | None = None, given: Doubt | None = None
    ) -> None:
        """Count a band.

        Args:
            planes: float32 of shape (classes, rows, width).
            given: the doubt of each pixel, float32 of shape (rows, width); None where it is that of `planes`.
            into: uint8 of shape (rows, width), filled with the doubt of each pixel: 0 sure, 255 not at all.
        """
        for rows in _rows(planes):
            part = planes[:, rows]
            doubt = self._of(part) if given is None else given[rows]
            if into is not None:
                into[rows] = np.rint(doubt * np.float32(255))
            self._pixels += doubt.size
            self._doubt += float(doubt.sum(dtype=np.float64))
            if self._measure == "top_k":
                bins = np.minimum((doubt.reshape(-1) * _BINS).astype(np.intp), _BINS - 1)
                self._counts += np.bincount(bins, minlength=_BINS)
                self._sums += np.bincount(bins, weights=doubt.reshape(-1), minlength=_BINS)
            else:
                plausible = part[0] <= 1.0 - PLAUSIBLE
                self._plausible += int(np.count_nonzero(plausible))
                self._plausible_doubt += float(doubt[plausible].sum(dtype=np.float64))

    @property
    def score(self) -> float:
        """The score so far, in [0, 1]; larger is less sure."""
        if self._measure == "top_k":
            return min(1.0, self._top())
        if self._plausible:
            return min(1.0, self._plausible_doubt / self._plausible)
        return min(1.0, self._doubt / self._pixels) if self._pixels else 0.0

    def _of(self, planes: Probabilities) -> Doubt:
        return margin_doubt(planes) if self._measure == "margin" else normalised_entropy(planes)

    def _top(self) -> float:
        if not self._pixels:
            return 0.0
        wanted = left = max(1, round(self._pixels * self._share))
        total = 0.0
        for number in np.flatnonzero(self._counts)[::-1]:
            count = int(self._counts[number])
            taken = min(left, count)
            total += float(self._sums[number]) * taken / count
            left -= taken
            if left == 0:
                break
        return total / wanted


def _rows(planes: Probabilities) -> Iterator[slice]:
    """Yield few rows at a time: what fits into a processor's cache takes half the time."""
    height, width = planes.shape[1:]
    step = max(1, _PIXELS_AT_ONCE // max(1, width))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
