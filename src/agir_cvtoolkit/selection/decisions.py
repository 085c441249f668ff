"""What became of each unit, column by column: a million units fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Choice, Pool

OPEN = 0
BEYOND = "beyond the batch"


@dataclass(frozen=True, eq=False)
class Decisions:
    """What became of each unit of a pool.

    Attributes:
        pool: the units, sorted by id.
        ranks: place in the order of choice, from 1, int64 of shape (n,); 0 where a unit was not chosen.
        control: drawn at random, bool of shape (n,).
        scores: that the strategy went by, float32 of shape (n,); NaN where there is none.
        reasons: index into `words`, int64 of shape (n,); 0 is `BEYOND`.
        others: the unit that a reason speaks of, int64 of shape (n,); -1 where it speaks of none.
        words: the reasons.
        population: how many units the control slice was drawn from.
        notes: what had to be done differently than asked for, in sentences.
    """

    pool: Pool
    ranks: NDArray[np.int64]
    control: NDArray[np.bool_]
    scores: NDArray[np.float32]
    reasons: NDArray[np.int64]
    others: NDArray[np.int64]
    words: Sequence[str]
    population: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ranks)

    def __iter__(self) -> Iterator[Choice]:
        return (self.choice(index) for index in range(len(self)))

    @property
    def chosen(self) -> NDArray[np.int64]:
        """Indices of the chosen units in the order of choice."""
        found = np.flatnonzero(self.ranks)
        order: NDArray[np.int64] = found[np.argsort(self.ranks[found])]
        return order

    def choice(self, index: int) -> Choice:
        """Return what became of one unit."""
        pool, rank, score = self.pool, int(self.ranks[index]), float(self.scores[index])
        return Choice(
            pool.ids[index],
            pool.ids[index] if pool.records is None else pool.records[index],
            None if pool.regions is None else pool.regions[index],
            rank > 0,
            bool(self.control[index]),
            rank or None,
            None if np.isnan(score) else score,
            self.rule(index),
        )

    def rule(self, index: int) -> str:
        """Return what kept or dropped a unit, in words."""
        word, other = self.words[self.reasons[index]], int(self.others[index])
        return word if other < 0 else f"{word} {self.pool.ids[other]}"

    def counts(self) -> dict[str, int]:
        """Return how many units met each rule; near-duplicates of different units are counted together."""
        numbers = Counter(self.reasons.tolist())
        return {self.words[reason]: count for reason, count in sorted(numbers.items())}
