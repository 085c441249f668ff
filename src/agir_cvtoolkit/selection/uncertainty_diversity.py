"""Uncertain and unlike each other."""

from __future__ import annotations

import numpy as np

from agir_cvtoolkit.choosing import Known, Pool
from agir_cvtoolkit.errors import ConfigError

from .scores import Scores, ranked
from .spread import embeddings_of, farthest_first
from .strategy import Order
from .uncertainty import best_first


class UncertaintyDiversity:
    """Of the units with the better scores, always the one that is uncertain and unlike all that is known or chosen.

    What is made largest is distance x (rank of the score)^`power`, among the best `keep` of the pool and at least
    `spare` times as many units as are wanted: k-center (Sener and Savarese, ICLR 2018) on what a score has let through,
    weighted as by J. Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (ICLR 2020).

    Args:
        keep: share of the pool, best scores first, that may be chosen, in (0, 1].
        spare: at least so many times as many as are wanted.
        power: 0 looks at scores only for `keep`; larger lets them weigh more against distance.
    """

    needs = frozenset({"score", "embeddings"})
    says = "uncertain, and unlike what was chosen"

    def __init__(self, keep: float = 0.5, spare: float = 4.0, power: float = 1.0) -> None:
        if not 0 < keep <= 1 or spare < 1 or power < 0:
            raise ConfigError(
                f"uncertainty-diversity cannot keep {keep} of a pool, spare {spare}, power {power}",
                "keep is in (0, 1], spare 1 or more, power 0 or more.",
            )
        self._keep, self._spare, self._power = keep, spare, power

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return the first `wanted` units."""
        del rng
        held = embeddings_of(pool)
        kept = min(len(pool), max(round(self._keep * len(pool)), round(self._spare * wanted)))
        # In the order of the pool, so that a memory-mapped file is read from front to back.
        best = np.sort(best_first(scores)[:kept])
        weights = np.nan_to_num(ranked(scores[best]), nan=0.0) ** np.float32(self._power)
        return best[farthest_first(held[best], weights, known.embeddings, wanted)]
