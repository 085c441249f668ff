"""The batch is filled in the order of the strategy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import DataError

from .batch import Batch
from .scores import ranked
from .strategy import Order, Strategy
from .units import Positions


def fill(batch: Batch, by: Strategy, wanted: int, rng: np.random.Generator) -> None:
    """Fill a batch up to `wanted` units: least quotas first, in the order of their names, then whatever ranks highest.

    Raises:
        DataError: the strategy returned what is no order.
    """
    for quota in sorted(batch.rules.quotas, key=lambda quota: (quota.of, quota.name)):
        if quota.least:
            members = np.array(
                [batch.holds(quota, position) for position in range(len(batch.free))], dtype=bool
            )
            until = min(wanted, batch.size + batch.missing(quota))
            _fill(batch, by, until, members, f"; for the quota of {quota.name}", rng)
    _fill(batch, by, wanted, np.ones(len(batch.free), dtype=bool), "", rng)


def preselected(scores: NDArray[np.float32], most: int, rng: np.random.Generator) -> Positions:
    """Return `most` indices, sorted: half of them by the best scores, half at random, all at random without scores.

    Args:
        scores: float32 of shape (n,), n above `most`.
        most: how many are kept.
        rng: the source of chance.
    """
    by_score = 0 if np.isnan(scores).all() else most // 2
    worth = np.nan_to_num(ranked(scores), nan=-1.0)
    best = np.argpartition(-worth, by_score)[:by_score]
    left = np.setdiff1d(np.arange(len(scores)), best)
    return np.sort(np.concatenate([best, rng.permutation(left)[: most - by_score]]))


def _fill(
    batch: Batch, by: Strategy, until: int, among: NDArray[np.bool_], more: str, rng: np.random.Generator
) -> None:
    aside = np.zeros(len(batch.free), dtype=bool)
    while batch.size < until:
        here = np.flatnonzero(batch.free & among & ~aside)
        if not len(here):
            if not aside.any():
                return
            aside[:] = False
            continue
        if len(here) > batch.rules.exact_up_to:
            kept = here[preselected(batch.scores[here], batch.rules.exact_up_to, rng)]
            aside[here] = True
            aside[kept] = False
            here = kept
        for position in here[_ranked(batch, by, here, until - batch.size, rng)].tolist():
            batch.take(position, f"{by.says}{more}")
            if batch.size == until:
                break


def _ranked(batch: Batch, by: Strategy, here: Positions, wanted: int, rng: np.random.Generator) -> Order:
    scores = batch.scores[here] if "score" in by.needs else np.zeros(len(here), dtype=np.float32)
    order = np.asarray(by.rank(batch.units.part(here), scores, batch.known(), wanted, rng))
    flawed = order.ndim != 1 or order.dtype.kind not in "iu" or not len(order)
    if flawed or order.min() < 0 or order.max() >= len(here) or len(np.unique(order)) != len(order):
        raise DataError(
            f"strategy {batch.rules.strategy} returned no order of {len(here)} units",
            "It has to return some of their indices, each once.",
        )
    return order
