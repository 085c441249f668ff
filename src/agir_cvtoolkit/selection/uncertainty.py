"""The best scores first."""

from __future__ import annotations

import numpy as np

from agir_cvtoolkit.choosing import Known, Pool

from .scores import Scores
from .strategy import Order


def best_first(scores: Scores) -> Order:
    """Return indices by falling score; NaN comes last, of equals the first unit first."""
    return np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")


class Uncertainty:
    """The units with the highest score.

    D. Lewis and W. Gale, "A Sequential Algorithm for Training Text Classifiers" (1994). It does not mind choosing the
    same thing many times over.
    """

    needs = frozenset({"score"})
    says = "highest score"

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return all units by falling score."""
        del pool, known, wanted, rng
        return best_first(scores)
