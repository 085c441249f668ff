"""Means with what they are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agir_cvtoolkit.quality.intervals import Measure, measured

_MANY = 2000


def mean_of(values: Sequence[float]) -> Measure | None:
    """Return a mean with its 95 % interval: by the bootstrap, of many values by the normal distribution, which it equals.

    Args:
        values: one for each picture; none gives None.
    """
    if len(values) <= _MANY:
        return measured(values)
    found = np.asarray(values, dtype=np.float64)
    mean, away = float(found.mean()), 1.96 * float(found.std(ddof=1)) / math.sqrt(len(found))
    return Measure(mean, mean - away, mean + away, len(found))


def told(found: Measure | None, digits: int = 2, *, percent: bool = False) -> tuple[str, str]:
    """Return a mean and its interval as people read them; empty where there is none."""
    if found is None:
        return "", ""
    if found.low is None or found.high is None:
        return number(found.mean, digits, percent=percent), ""
    low, high = (number(value, digits, percent=percent) for value in (found.low, found.high))
    return number(found.mean, digits, percent=percent), f"{low}–{high}"


def number(value: float, digits: int = 2, *, percent: bool = False) -> str:
    """Return a number as people read it."""
    return f"{100 * value:.0f} %" if percent else f"{value:,.{digits}f}"
