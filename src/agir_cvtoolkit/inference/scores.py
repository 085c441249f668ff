"""All scores of a picture in one pass: how much a person's time on it may be worth, by several measures.

They are counted on a grid of pixels that is as fine as a quarter of a million of them allow, so that they cost next to
nothing beside the prediction; of pictures up to that size they are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .postprocess import classify
from .predictor import Probabilities
from .uncertainty import Doubt, margin_doubt, normalised_entropy

SINGLE_PASS = ("entropy", "margin", "top_k", "boundary", "amount")
"""Scores that need no more than the prediction itself."""
_PLAUSIBLE = 0.05
_MOST_SAMPLES = 1 << 18
_BESIDE_BOUNDARY = np.ones((3, 3), dtype=np.uint8)


class ScoreGrid:
    """Gathers the pixels of a grid band by band, and scores the picture by them.

    Scores are in [0, 1], larger is less sure:

    - ``entropy``, ``margin``: mean doubt where foreground is plausible (its probability is at least 0.05): sure soil
      around a plant does not make a doubtful plant look sure, and a large plant is not worse than a small one. A picture
      without any such pixel scores the mean over all of it, which is near 0.
    - ``top_k``: mean entropy of the most doubtful pixels.
    - ``boundary``: mean entropy beside the borders between predicted classes; 0 where there are none. Doubt that is
      spread over a leaf raises it no more than doubt about where the leaf ends.
    - ``amount``: mean entropy of all pixels: how much doubt there is, and not how deep it is.
    - any other: mean of the plane of that name where foreground is plausible.
    """

    def __init__(self, shape: tuple[int, int], threshold: float, share: float) -> None:
        """Begin a picture.

        Args:
            shape: height and width.
            threshold: foreground from this probability on.
            share: of the pixels that ``top_k`` looks at.
        """
        self._step = max(1, math.ceil(math.sqrt(shape[0] * shape[1] / _MOST_SAMPLES)))
        self._threshold, self._share = threshold, share
        self._bands: list[Probabilities] = []

    def add(self, top: int, planes: Probabilities) -> None:
        """Take the grid's pixels of a band.

        Args:
            top: its first row.
            planes: float32 of shape (planes, rows, width), the classes first.
        """
        first = -top % self._step
        self._bands.append(planes[:, first :: self._step, :: self._step].copy())

    def scores(self, classes: int, names: Sequence[str], wanted: Sequence[str]) -> Mapping[str, float]:
        """Score the picture.

        Args:
            classes: how many planes are probabilities.
            names: of the planes behind them.
            wanted: names of scores.
        """
        planes = np.concatenate(self._bands, axis=1)
        probabilities = planes[:classes]
        plausible = probabilities[0] <= 1.0 - _PLAUSIBLE
        entropy = normalised_entropy(probabilities)
        found: dict[str, float] = {}
        for name in wanted:
            if name == "entropy":
                found[name] = _mean(entropy, plausible)
            elif name == "margin":
                found[name] = _mean(margin_doubt(probabilities), plausible)
            elif name == "top_k":
                most = max(1, round(entropy.size * self._share))
                found[name] = float(np.partition(entropy, entropy.size - most, axis=None)[-most:].mean())
            elif name == "amount":
                found[name] = float(entropy.mean(dtype=np.float64))
            elif name == "boundary":
                beside = _beside_boundary(classify(probabilities, self._threshold))
                found[name] = float(entropy[beside].mean()) if beside.any() else 0.0
            else:
                found[name] = _mean(planes[classes + names.index(name)], plausible)
        return {name: round(min(1.0, max(0.0, value)), 6) for name, value in found.items()}


def _mean(doubt: Doubt, plausible: NDArray[np.bool_]) -> float:
    return float((doubt[plausible] if plausible.any() else doubt).mean(dtype=np.float64))


def _beside_boundary(index: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels have one of another class among their eight neighbours."""
    beside: NDArray[np.bool_] = cv2.dilate(index, _BESIDE_BOUNDARY) != cv2.erode(index, _BESIDE_BOUNDARY)
    return beside
