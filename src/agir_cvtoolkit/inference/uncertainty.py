"""How sure a prediction is: one score for a picture, from the entropy of its pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .predictor import Probabilities

_PLAUSIBLE = 0.05


def normalised_entropy(probabilities: Probabilities) -> NDArray[np.float32]:
    """Return Shannon's entropy of each pixel divided by the logarithm of the number of classes.

    Args:
        probabilities: float32 of shape (classes, height, width), summing to 1 over the classes.

    Returns:
        float32 of shape (height, width), in [0, 1].
    """
    logs = np.log(np.maximum(probabilities, np.float32(1e-7)))
    entropy = -(probabilities * logs).sum(axis=0, dtype=np.float32) / np.float32(np.log(len(probabilities)))
    clipped: NDArray[np.float32] = np.clip(entropy, 0.0, 1.0)
    return clipped


class UncertaintySum:
    """Sums up the score of a picture band by band.

    The score is the mean normalised entropy of the pixels where foreground is plausible (its probability is
    at least 0.05): sure soil around a plant does not make a doubtful plant look sure, and a large plant is
    not worse than a small one. A picture without any such pixel scores the mean entropy of all of it, which
    is near 0.
    """

    def __init__(self) -> None:
        self._plausible = 0
        self._plausible_entropy = 0.0
        self._pixels = 0
        self._entropy = 0.0

    def add(self, probabilities: Probabilities) -> None:
        """Count a band, float32 of shape (classes, rows, width)."""
        entropy = normalised_entropy(probabilities)
        plausible = probabilities[0] <= 1.0 - _PLAUSIBLE
        self._pixels += entropy.size
        self._entropy += float(entropy.sum(dtype=np.float64))
        self._plausible += int(np.count_nonzero(plausible))
        self._plausible_entropy += float(entropy[plausible].sum(dtype=np.float64))

    @property
    def score(self) -> float:
        """The score so far, in [0, 1]; larger is less sure."""
        if self._plausible:
            return min(1.0, self._plausible_entropy / self._plausible)
        return min(1.0, self._entropy / self._pixels) if self._pixels else 0.0
