"""Random choice."""

from __future__ import annotations

import numpy as np

from agir_cvtoolkit.choosing import Known, Pool

from .scores import Scores
from .strategy import Order


class RandomDraw:
    """Every unit is equally likely: what the others are measured against."""

    needs: frozenset[str] = frozenset()
    says = "drawn at random"

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return a permutation."""
        del scores, known, wanted
        return rng.permutation(len(pool))
