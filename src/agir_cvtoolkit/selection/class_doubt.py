"""What holds most of the doubt about each class, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Floats, Known, Pool, parted_id
from agir_cvtoolkit.errors import ConfigError

from .scores import Scores, ranked
from .spread import Vector, best_apart, rows
from .strategy import Order
from .uncertainty import best_first

_PAIRS = 512
_TIE = 1e-6


class ClassDoubt:
    """The units that hold most of the pool's doubt about each class, rare classes as much as frequent ones, none twice.

    A unit's doubt about a class is the share of its pixels that are predicted as the class, times its score; its worth is
    the sum, over the foreground classes, of its share of the pool's doubt about each. Where most pixels are soil, a mean
    of doubt over them, or over what is plausible, says little of how much there is to learn (M. van Marrewijk et al.,
    "Active learning for efficient annotation in precision agriculture", arXiv 2404.02580). Pools without classes, as
    of poses, go by the score alone.

    Worth falls with the square of the distance to what is known or chosen where that is below `near` times the distance
    of an ordinary pair of the pool: shots of the same thing, not things of the same kind. Of regions it is divided by a
    power of how many regions of their picture are known or chosen already, and one: they share soil, light and growth.

    Args:
        near: as above; 0 minds no likeness.
        crowd: the power; 0 minds no company.
    """

    needs = frozenset({"score"})
    says = "holds much of the doubt about a class, and is not like what was chosen"

    def __init__(self, near: float = 0.25, crowd: float = 0.5) -> None:
        for name, value in (("near", near), ("crowd", crowd)):
            if value < 0:
                raise ConfigError(f"class-doubt cannot use {name} {value}", "It is 0 or more.")
        self._near, self._crowd = near, crowd

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return the first `wanted` units; all of them where neither likeness nor company counts."""
        worth = _worth(pool, scores)
        near = self._near if pool.embeddings is not None and len(pool) > 1 else 0.0
        company = _Company(pool, known) if self._crowd and pool.records is not None else None
        if not near and company is None:
            return best_first(worth)
        embeddings = pool.embeddings if near else None
        if embeddings is None:
            embeddings = np.ones((len(pool), 1), dtype=np.float32)
            known = replace(known, embeddings=None)
        else:
            near = max(near * _ordinary(embeddings, rng), 1e-6)

        def left(apart: Vector, at: NDArray[np.int64] | slice, chosen: Sequence[int]) -> Vector:
            found = worth[at]
            if near:
                found = found * np.minimum(1, apart / np.float32(near)) ** 2
            if company is not None:
                found = found / company.of(at, chosen) ** np.float32(self._crowd)
            return found

        return best_apart(embeddings, left, known.embeddings, wanted)


class _Company:
    """How many regions of each unit's picture are known or chosen, and one."""

    def __init__(self, pool: Pool, known: Known) -> None:
        numbers: dict[str, int] = {}
        self._records = np.array(
            [numbers.setdefault(name, len(numbers)) for name in pool.records or ()], dtype=np.int64
        )
        self._held = np.ones(len(numbers), dtype=np.float32)
        for record, region in map(parted_id, known.ids):
            if region is not None and record in numbers:
                self._held[numbers[record]] += 1
        self._counted = 0

    def of(self, at: NDArray[np.int64] | slice, chosen: Sequence[int]) -> Vector:
        """Return the number of each of some units, float32; `chosen` only ever grows."""
        for place in chosen[self._counted :]:
            self._held[self._records[place]] += 1
        self._counted = len(chosen)
        return np.asarray(self._held[self._records[at]], dtype=np.float32)


def _worth(pool: Pool, scores: Scores) -> Vector:
    """Return float32 of shape (n,), above 0; of units without foreground the score decides."""
    doubt = np.nan_to_num(scores, nan=0.0).astype(np.float64)
    worth = np.zeros(len(pool))
    for share in pool.classes.values():
        held = np.nan_to_num(share, nan=0.0) * doubt
        total = held.sum()
        worth += held / total if total > 0 else 0.0
    if not worth.any():
        worth = np.nan_to_num(ranked(scores), nan=0.0).astype(np.float64)
    tie = np.nan_to_num(ranked(scores), nan=0.0) * _TIE
    return (worth / max(float(worth.max()), 1e-12) + tie + _TIE).astype(np.float32)


def _ordinary(embeddings: Floats, rng: np.random.Generator) -> float:
    """Return the median distance of pairs drawn at random."""
    first, second = rng.integers(0, len(embeddings), (2, _PAIRS))
    different = first != second
    products = (rows(embeddings, first[different]) * rows(embeddings, second[different])).sum(axis=1)
    return max(0.0, 1 - float(np.median(products))) if len(products) else 0.0
