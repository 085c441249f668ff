"""The best of each group."""

from __future__ import annotations

import numpy as np

from agir_cvtoolkit.choosing import Known, Pool
from agir_cvtoolkit.errors import ConfigError

from .grouping import groups_of
from .scores import Scores
from .spread import embeddings_of
from .strategy import Order
from .uncertainty import best_first


class Clusters:
    """Of the units with the better scores, the best of each group that looks alike, small groups first; then the next.

    After G. Citovsky et al., "Batch Active Learning at Scale" (NeurIPS 2021, Cluster-Margin), with k-means in the
    place of hierarchical clustering.

    Args:
        spare: so many times as many units as are wanted, best scores first, may be chosen.
        groups: into how many the pool is parted; None for as many as are wanted.
    """

    needs = frozenset({"score", "embeddings"})
    says = "best of a group that looks alike"

    def __init__(self, spare: float = 5.0, groups: int | None = None) -> None:
        if spare < 1 or (groups is not None and groups < 1):
            raise ConfigError(f"clusters cannot spare {spare} in {groups} groups", "Both are 1 or more.")
        self._spare, self._groups = spare, groups

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return the units that may be chosen, round by round through the groups."""
        del known
        group = groups_of(embeddings_of(pool), self._groups or wanted, rng)
        best = best_first(scores)[: max(1, round(self._spare * wanted))]
        mine = group[best]
        _, back, sizes = np.unique(mine, return_inverse=True, return_counts=True)
        # How many better ones of its group come before each.
        order = np.argsort(back, kind="stable")
        turn = np.empty(len(best), dtype=np.int64)
        turn[order] = np.arange(len(best)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return best[np.lexsort((np.arange(len(best)), sizes[back], turn))]
