"""The batch that covers the pool."""

from __future__ import annotations

import numpy as np

from agir_cvtoolkit.choosing import Known, Pool

from .scores import Scores
from .spread import embeddings_of, farthest_first
from .strategy import Order


class Diversity:
    """Always the unit that looks least like all that is labelled, in flight or chosen (k-center).

    O. Sener and S. Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach" (ICLR 2018). Scores
    are not looked at.
    """

    needs = frozenset({"embeddings"})
    says = "farthest of what was chosen"

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return the first `wanted` units."""
        del scores
        held = embeddings_of(pool)
        if known.embeddings is not None and len(known.embeddings):
            return farthest_first(held, None, known.embeddings, wanted)
        # Nothing is known: one drawn at random is what the others have to be far from.
        first = int(rng.integers(len(pool)))
        rest = np.delete(np.arange(len(pool)), first)
        if not len(rest) or wanted == 1:
            return np.array([first])
        away = farthest_first(held[rest], None, held[first : first + 1], wanted - 1)
        return np.concatenate(([first], rest[away]))
