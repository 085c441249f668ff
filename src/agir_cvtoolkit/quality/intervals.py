"""Means of few frames with what they are worth: the percentile bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 5
"""Frames below which no interval is given: resampling so few says nothing."""
DRAWS = 2000
_SEED = 20260101


@dataclass(frozen=True)
class Measure:
    """A mean over frames.

    Attributes:
        mean: of the frames.
        low, high: the 95 % interval; None below `FEWEST` frames.
        frames: how many.
    """

    mean: float
    low: float | None
    high: float | None
    frames: int


def measured(values: Sequence[float]) -> Measure | None:
    """Return the mean of one value for each frame, with its 95 % percentile bootstrap interval over frames.

    Frames are drawn with replacement `DRAWS` times (Efron and Tibshirani 1993, chapter 13), by a fixed seed: the same
    values give the same interval.

    Args:
        values: one for each frame; none gives None.
    """
    if not values:
        return None
    listed = np.sort(np.asarray(values, dtype=np.float64))
    mean = float(listed.mean())
    if len(listed) < FEWEST:
        return Measure(mean, None, None, len(listed))
    chosen = np.random.default_rng(_SEED).integers(0, len(listed), (DRAWS, len(listed)))
    low, high = np.percentile(listed[chosen].mean(axis=1), (2.5, 97.5))
    return Measure(mean, float(low), float(high), len(listed))
