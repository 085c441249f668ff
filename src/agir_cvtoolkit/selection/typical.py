"""The most typical of each group: for the first round."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Known, Pool

from .grouping import groups_of
from .scores import Scores
from .spread import embeddings_of, rows
from .strategy import Order

_LARGE = 2000


class Typical:
    """Of each group that looks alike the unit in its midst, groups without labels and large ones first: for a cold start.

    G. Hacohen, A. Dekel and D. Weinshall, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets"
    (ICML 2022, TypiClust): as many groups as units are labelled and wanted; typical is what has a small mean distance
    to its nearest neighbours. Scores, which a model without training cannot give, are not looked at.

    Args:
        neighbours: how many nearest ones are looked at.
        groups: at most so many.
    """

    needs = frozenset({"embeddings"})
    says = "typical of a group that looks alike"

    def __init__(self, neighbours: int = 20, groups: int = 500) -> None:
        self._neighbours, self._groups = max(1, neighbours), max(1, groups)

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return all units, round by round through the groups."""
        del scores
        held = embeddings_of(pool)
        there = known.embeddings
        together = (
            held
            if there is None or not len(there)
            else np.concatenate([np.asarray(held, dtype=np.float32), rows(there, slice(None))])
        )
        group = groups_of(together, min(self._groups, len(together) - len(pool) + wanted), rng)
        labelled = np.bincount(group[len(pool) :], minlength=group.max() + 1)
        queues: list[tuple[int, int, int, NDArray[np.int64]]] = []
        for number in np.unique(group[: len(pool)]).tolist():
            members = np.flatnonzero(group[: len(pool)] == number)
            queue = self._most_typical_first(rows(held, members), members, rng)
            queues.append((int(labelled[number]), -len(members), number, queue))
        keyed = [
            (labels + turn, size, number, unit)
            for labels, size, number, queue in queues
            for turn, unit in enumerate(queue.tolist())
        ]
        return np.array([unit for *_, unit in sorted(keyed)], dtype=np.int64)

    def _most_typical_first(
        self, held: NDArray[np.float32], members: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        others = held if len(held) <= _LARGE else held[rng.permutation(len(held))[:_LARGE]]
        apart = np.concatenate(
            [self._mean_apart(held[top : top + _LARGE], others) for top in range(0, len(held), _LARGE)]
        )
        return members[np.argsort(apart, kind="stable")]

    def _mean_apart(self, block: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
        near = min(self._neighbours, len(others) - 1)
        if near < 1:
            return np.zeros(len(block), dtype=np.float32)
        # Each one's own distance, 0, is among them for all alike.
        nearest = np.partition(1 - block @ others.T, near, axis=1)[:, : near + 1]
        mean: NDArray[np.float32] = nearest.mean(axis=1)
        return mean
