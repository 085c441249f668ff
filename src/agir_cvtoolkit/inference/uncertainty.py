"""How sure a prediction is of each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .predictor import Probabilities

Measure = Literal["entropy", "margin", "top_k", "disagreement", "ensemble"]
Doubt = NDArray[np.float32]

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


def paint_doubt(
    planes: Probabilities, measure: Measure, into: NDArray[np.uint8], given: Doubt | None = None
) -> None:
    """Write how unsure each pixel of a band is: 0 sure, 255 not at all.

    Args:
        planes: float32 of shape (classes, rows, width).
        measure: of the doubt; of ``top_k`` it is the entropy.
        into: uint8 of shape (rows, width), filled.
        given: the doubt of each pixel, float32 of shape (rows, width); None where it is that of `planes`.
    """
    of = margin_doubt if measure == "margin" else normalised_entropy
    for rows in _rows(planes):
        doubt = of(planes[:, rows]) if given is None else given[rows]
        into[rows] = np.rint(doubt * np.float32(255))


def _rows(planes: Probabilities) -> Iterator[slice]:
    """Yield few rows at a time: what fits into a processor's cache takes half the time."""
    height, width = planes.shape[1:]
    step = max(1, _PIXELS_AT_ONCE // max(1, width))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
