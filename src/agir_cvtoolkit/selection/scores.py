"""One score of several."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Pool
from agir_cvtoolkit.errors import ConfigError, did_you_mean

Scores = NDArray[np.float32]


def ranked(values: Scores) -> Scores:
    """Return the share of the others that each value is above, ties in the middle: in [0, 1], NaN stays NaN.

    Args:
        values: float32 of shape (n,).
    """
    found = np.full(len(values), np.nan, dtype=np.float32)
    there = np.flatnonzero(~np.isnan(values))
    if not len(there):
        return found
    _, back, counts = np.unique(values[there], return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    found[there] = (middle / max(1, len(there) - 1))[back.reshape(-1)]
    return found


def mixed(pool: Pool, weights: Mapping[str, float]) -> Scores:
    """Return one score of each unit, float32 of shape (n,).

    A single score is returned as it is. Several have different units and distributions, so that what is added up are
    their ranks, by weight; a negative weight turns a score round. A unit that lacks one of them is judged by the
    others; one that lacks all has NaN.

    Raises:
        ConfigError: the pool has no such score, or all weights are 0.
    """
    for name in weights:
        if name not in pool.scores:
            near = did_you_mean(name, pool.scores)
            known = ", ".join(sorted(pool.scores)) or "none"
            raise ConfigError(f"there is no score '{name}' here; there are: {known}", near)
    used = {name: weight for name, weight in weights.items() if weight}
    if not used:
        raise ConfigError("no score has a weight", "Name one in select.scores.")
    if len(used) == 1:
        ((name, weight),) = used.items()
        values = pool.scores[name].astype(np.float32, copy=False)
        return values if weight > 0 else -values
    total, parts = np.zeros(len(pool), dtype=np.float32), np.zeros(len(pool), dtype=np.float32)
    for name, weight in used.items():
        places = ranked(pool.scores[name])
        there = ~np.isnan(places)
        total[there] += abs(weight) * (places[there] if weight > 0 else 1 - places[there])
        parts[there] += abs(weight)
    parts[parts == 0] = np.nan
    return total / parts
