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


def share_of(hits: int, count: int) -> Measure | None:
    """Return a share with its 95 % interval (Wilson 1927), which says something even where all or none are hits.

    Args:
        hits: of `count`, of which 0 gives None.
    """
    if not count:
        return None
    share, z = hits / count, 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    away = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return Measure(share, max(0.0, middle - away), min(1.0, middle + away), count)


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


def counted(count: int, one: str) -> str:
    """Return ``1 picture`` or ``2,000 pictures``."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def hours_words(hours: float) -> str:
    """Return hours as people read them."""
    return f"{60 * hours:.0f} min" if 0 < hours < 1 else f"{hours:,.1f} h"
