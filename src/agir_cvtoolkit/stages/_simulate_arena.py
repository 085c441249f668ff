"""One step of a simulation: train on what is labelled, test, and let strategies choose what is labelled next."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Known, Pool, Region
from agir_cvtoolkit.selection import ChoiceRules, choose
from agir_cvtoolkit.training.frozen_head import one_thread

from ._simulate_learners import Joints, Learner, Looked, Pixels
from ._simulate_look import Unit
from ._simulate_units import Units

FIRST = ""
"""In the place of a strategy: the units drawn at random that all strategies begin with."""
RANDOM, ENTROPY, DEFAULT = "random", "entropy", "default"
UNCONTROLLED = "default-without-control"
_ALL = Region(0, 0, 1, 1)
"""In the place of a region, of what has none beside others that have: near-duplicates are records of their own."""
Column = NDArray[np.float32]


@dataclass(frozen=True)
class Step:
    """What is to be done: train on some units by a seed, and choose so many more by each of some strategies."""

    strategy: str
    seed: int
    budget: int
    labelled: tuple[str, ...]
    following: tuple[str, ...]
    wanted: int


@dataclass(frozen=True)
class Cell:
    """What became of a step.

    Attributes:
        strategy: that chose what is labelled; `FIRST` for the first units.
        seed: of the repetition.
        budget: units that may be labelled.
        labels: units that are; fewer where a strategy found no more worth labelling.
        score: mean IoU over all classes that occur, background included; of poses PCK at 5 %.
        parts: the same by class or joint; None for what does not occur.
        seconds: that it took.
        chosen: ids of what is labelled next, by strategy.
    """

    strategy: str
    seed: int
    budget: int
    labels: int
    score: float
    parts: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def rules_of(names: Sequence[str], configured: ChoiceRules, kind: str) -> dict[str, ChoiceRules]:
    """Return what each strategy of a simulation chooses by.

    Args:
        names: ``random`` and ``entropy`` (the most doubtful and nothing else: near-duplicates too, and no control slice),
            ``default`` (what ``select`` does), ``default-without-control`` (the same but for the control slice), or a
            strategy of its own with the other settings of ``select``.
        configured: what ``select`` does.
        kind: ``masks`` or ``poses``.
    """
    plain = replace(
        configured, options={}, control=0.0, near_bits=None, alike=None, quotas=(), per_record=None
    )
    doubt = {"entropy" if kind == "masks" else "joints": 1.0}
    known = {
        RANDOM: replace(plain, strategy="random"),
        ENTROPY: replace(plain, strategy="uncertainty", scores=doubt),
        DEFAULT: configured,
        UNCONTROLLED: replace(configured, control=0.0),
    }
    return {
        name: known[name] if name in known else replace(configured, strategy=name, options={})
        for name in names
    }


class Arena:
    """Where strategies compete: the same units, the same learner, the same chance."""

    def __init__(self, units: Units, store: Path, rules: Mapping[str, ChoiceRules]) -> None:
        """Take units.

        Args:
            units: pool and test set.
            store: folder of the encoder's maps.
            rules: by strategy.
        """
        self._units, self._rules = units, rules
        self._sides = cache(units.sides)
        self._places = {unit.unit_id: place for place, unit in enumerate(units.pool)}
        self._learner: Learner = (
            Pixels(units, store) if units.schema is None else Joints(units, units.schema, store)
        )

    def first(self, seed: int, count: int) -> tuple[str, ...]:
        """Draw the units that every strategy begins with."""
        pool, _ = self._sides(seed)
        drawn = np.random.default_rng([seed, 0]).permutation(len(pool))[:count]
        return tuple(self._units.pool[pool[place]].unit_id for place in drawn)

    def run(self, step: Step) -> Cell:
        """Do a step; the same one gives the same cell whenever and wherever it is done."""
        started = time.perf_counter()
        members = [self._places[unit_id] for unit_id in step.labelled]
        chosen: dict[str, tuple[str, ...]] = {}
        with one_thread():
            head = self._learner.learn(members, step.seed)
            pool, tested = self._sides(step.seed)
            score, parts = self._learner.judged(head, tested)
            if step.following:
                left = sorted(set(pool) - set(members))
                # Random choice looks at nothing.
                seen = Looked() if set(step.following) == {RANDOM} else self._learner.looked(head, left)
                for name in step.following:
                    chosen[name] = self._chosen(name, step, left, members, seen)
        seconds = round(time.perf_counter() - started, 3)
        return Cell(step.strategy, step.seed, step.budget, len(members), score, parts, seconds, chosen)

    def _chosen(
        self,
        name: str,
        step: Step,
        left: Sequence[int],
        members: Sequence[int],
        seen: Looked,
    ) -> tuple[str, ...]:
        free = [self._units.pool[place] for place in left]
        held = [self._units.pool[place] for place in members]
        rules = self._rules[name]
        pool = Pool(
            ids=[unit.unit_id for unit in free],
            records=[unit.record_id for unit in free],
            regions=[unit.region or _ALL for unit in free] if any(unit.region for unit in free) else None,
            scores={n: seen.scores[n] for n in rules.scores if n in seen.scores},
            embeddings=_rows(free),
            hashes=np.array([unit.hash for unit in free], dtype=np.uint64),
            contents=[unit.key for unit in free],
            classes=dict(seen.classes),
        )
        known = Known(
            ids=frozenset(unit.unit_id for unit in held),
            contents=frozenset(unit.key for unit in held),
            # The other regions of a picture are no near-duplicates of one that is labelled.
            hashes=np.array([unit.hash for unit in held if unit.region is None], dtype=np.uint64),
            embeddings=_rows(held),
        )
        seed = step.seed * 1_000_003 + step.budget
        found = [c for c in choose(pool, step.wanted, rules, known, seed) if c.chosen]
        return tuple(c.unit_id for c in sorted(found, key=lambda c: c.rank or 0))


def _rows(units: Sequence[Unit]) -> Column:
    return np.stack([unit.embedding for unit in units]) if units else np.zeros((0, 1), dtype=np.float32)
