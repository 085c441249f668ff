"""The batch as it fills: what was taken, what was dropped and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from agir_cvtoolkit.choosing import Known

from .decisions import BEYOND, Decisions
from .rules import ChoiceRules, Quota
from .scores import Scores
from .units import Units

_SHARED = 0.5


class Batch:
    """The batch as it fills.

    Attributes:
        free: may still be taken, bool of shape (n,).
        taken: positions, in the order in which they were taken.
    """

    def __init__(self, units: Units, scores: Scores, rules: ChoiceRules, known: Known) -> None:
        count = len(units.pool)
        self.units, self.scores, self.rules = units, scores, rules
        self.free = np.ones(count, dtype=bool)
        self.taken: list[int] = []
        self._known = known
        self._ranks = np.zeros(count, dtype=np.int64)
        self._control = np.zeros(count, dtype=bool)
        self._reasons = np.zeros(count, dtype=np.int64)
        self._others = np.full(count, -1, dtype=np.int64)
        self._words = {BEYOND: 0}
        self._of_record: dict[int, list[int]] = {}
        self._in_quota: Counter[Quota] = Counter()
        self._near = _Near(units, known, rules)

    @property
    def size(self) -> int:
        """How many were taken."""
        return len(self.taken)

    def drop(self, position: int, word: str, other: int = -1) -> None:
        """Leave a unit out for good."""
        self.free[position] = False
        self._reasons[position] = self._words.setdefault(word, len(self._words))
        self._others[position] = other

    def take(self, position: int, word: str, *, control: bool = False) -> bool:
        """Take a unit, or drop it where something stands against it; tell which."""
        quotas = [quota for quota in self.rules.quotas if self.holds(quota, position)]
        if not control:
            for quota in quotas:
                if self.full(quota):
                    self.drop(position, f"quota of {quota.name} is full")
                    return False
        record = int(self.units.records[position])
        mine = self._of_record.setdefault(record, [])
        if self.rules.per_record is not None and len(mine) >= self.rules.per_record:
            self.drop(position, "its picture has enough regions in the batch")
            return False
        regions = self.units.pool.regions
        if regions is not None:
            for other in mine:
                if regions[position].shared_with(regions[other]) > _SHARED:
                    self.drop(position, "overlaps", other)
                    return False
        found = self._near.to(position, record, control=control)
        if found is not None:
            word = "looks like" if found >= 0 else "looks like what is labelled or in flight"
            self.drop(position, word, found)
            return False
        self.drop(position, word)
        self.taken.append(position)
        mine.append(position)
        self._ranks[position] = self.size
        self._control[position] = control
        self._in_quota.update(quotas)
        self._near.add(position, record)
        return True

    def holds(self, quota: Quota, position: int) -> bool:
        """Tell whether a unit counts for a quota."""
        pool = self.units.pool
        if quota.of == "stratum":
            return pool.strata is not None and pool.strata[position] == quota.name
        return quota.name in pool.classes and bool(
            pool.classes[quota.name][position] >= self.rules.class_share
        )

    def full(self, quota: Quota) -> bool:
        """Tell whether a quota takes no more."""
        return quota.most is not None and self._in_quota[quota] >= quota.most

    def missing(self, quota: Quota) -> int:
        """Return how many units a quota lacks."""
        return max(0, quota.least - self._in_quota[quota])

    def known(self) -> Known:
        """Return what is known, and what was taken with it."""
        taken = np.array(self.taken, dtype=np.int64)
        pool, counts = self.units.pool, Counter(self._known.class_counts)
        for name, shares in pool.classes.items():
            counts[name] += int((shares[taken] >= self.rules.class_share).sum())
        before = self.units.known_embeddings(self._known)
        mine = self.units.embeddings(taken)
        parts = [
            np.asarray(part, dtype=np.float32) for part in (before, mine) if part is not None and len(part)
        ]
        return replace(
            self._known, embeddings=np.concatenate(parts) if parts else None, class_counts=dict(counts)
        )

    def decisions(self, population: int, notes: tuple[str, ...]) -> Decisions:
        """Return what became of each unit."""
        return Decisions(
            self.units.pool, self._ranks, self._control, self.scores, self._reasons, self._others,
            tuple(self._words), population, notes,
        )  # fmt: skip


class _Near:
    """Finds what has almost the same embedding as something taken or known, of another record."""

    def __init__(self, units: Units, known: Known, rules: ChoiceRules) -> None:
        self._units = units
        # Hashes in the stead of embeddings have had their own rule.
        self._from = rules.alike if units.has_embeddings else None
        self._known = None
        if self._from is not None and known.embeddings is not None and len(known.embeddings):
            self._known = known.embeddings
        self._rows = np.empty((0, 0), dtype=np.float32)
        self._taken: list[tuple[int, int]] = []

    def to(self, position: int, record: int, *, control: bool) -> int | None:
        """Return the taken unit that one is like, -1 for a known one, None for none.

        Of the control slice only what is known counts: chance draws what is alike as often as it is there.
        """
        if self._from is None:
            return None
        row = self._row(position)
        if self._taken and not control:
            alike = np.flatnonzero(self._rows[: len(self._taken)] @ row >= self._from)
            for index in alike.tolist():
                other, of = self._taken[index]
                if of != record:
                    return other
        if self._known is not None and float((self._known @ row).max()) >= self._from:
            return -1
        return None

    def add(self, position: int, record: int) -> None:
        if self._from is None:
            return
        row = self._row(position)
        if len(self._taken) == len(self._rows):
            grown = np.empty((max(64, 2 * len(self._rows)), len(row)), dtype=np.float32)
            grown[: len(self._rows)] = self._rows if len(self._rows) else grown[:0]
            self._rows = grown
        self._rows[len(self._taken)] = row
        self._taken.append((position, record))

    def _row(self, position: int) -> Scores:
        return self._units.row(position)
