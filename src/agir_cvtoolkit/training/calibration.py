"""Whether a model is right as often as it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Pixels by how sure the model was of its answer, in bins of equal width over [0, 1].

    Attributes:
        counts: pixels in each bin.
        confidences: sum of the probabilities of the answers.
        hits: how many of the answers were right.
    """

    counts: tuple[int, ...] = (0,) * BINS
    confidences: tuple[float, ...] = (0.0,) * BINS
    hits: tuple[int, ...] = (0,) * BINS

    @property
    def ece(self) -> float:
        """Expected calibration error (Naeini et al. 2015; Guo et al. 2017): the mean over pixels of how far accuracy and
        mean confidence of their bin lie apart; 0 where there are no pixels.
        """
        away = sum(abs(hit - sure) for hit, sure in zip(self.hits, self.confidences, strict=True))
        return away / total if (total := sum(self.counts)) else 0.0

    def __add__(self, other: Reliability) -> Reliability:
        """Return both together."""
        return Reliability(
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            tuple(a + b for a, b in zip(self.confidences, other.confidences, strict=True)),
            tuple(a + b for a, b in zip(self.hits, other.hits, strict=True)),
        )


def reliability_of(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> Reliability:
    """Count the pixels of some tiles.

    Args:
        probabilities: of shape (n, classes, height, width).
        labels: class indices, of shape (n, height, width).
    """
    sure = probabilities.max(axis=1).astype(np.float64).reshape(-1)
    right = (probabilities.argmax(axis=1) == labels).reshape(-1)
    at = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    return Reliability(
        tuple(np.bincount(at, minlength=BINS).tolist()),
        tuple(np.bincount(at, sure, BINS).tolist()),
        tuple(np.bincount(at[right], minlength=BINS).tolist()),
    )
