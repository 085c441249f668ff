"""What holds most of the doubt about each class, once."""

from __future__ import annotations

import numpy as np

from agir_cvtoolkit.choosing import Floats, Known, Pool
from agir_cvtoolkit.errors import ConfigError

from .scores import Scores, ranked
from .spread import Vector, best_apart, rows
from .strategy import Order
from .uncertainty import best_first

_PAIRS = 512
_SAYS = "holds {}, and is not like what was chosen"
_TIE = 1e-6


class ClassDoubt:
    """The units that hold most of the pool's doubt about each class, rare classes as much as frequent ones, none twice.

    A unit's doubt about a class is the share of its pixels that are predicted as the class, times its score; its worth is
    the sum, over the foreground classes, of its share of the pool's doubt about each. Where most pixels are soil, a mean
    of doubt over them, or over what is plausible, says little of how much there is to learn (M. van Marrewijk et al.,
    "Active learning for efficient annotation in precision agriculture", arXiv 2404.02580). Pools without classes, as
    of poses, go by the score alone.

    Worth falls with the square of the distance to what is known or chosen where that is below `near` times the distance
    of an ordinary pair of the pool: shots of the same thing, not things of the same kind.

    Args:
        near: as above; 0 minds no likeness.
    """

    needs = frozenset({"score"})

    def __init__(self, near: float = 0.25) -> None:
        self.says = _SAYS.format("much of the doubt about a class")
        if near < 0:
            raise ConfigError(f"class-doubt cannot use near {near}", "It is 0 or more.")
        self._near = near

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return the first `wanted` units; all of them where there are no embeddings."""
        if not pool.classes:
            self.says = _SAYS.format("much doubt")
        worth = _worth(pool, scores)
        if pool.embeddings is None or not self._near or len(pool) < 2:
            return best_first(worth)
        near = np.float32(max(self._near * _ordinary(pool.embeddings, rng), 1e-6))
        return best_apart(
            pool.embeddings,
            lambda apart, at: worth[at] * np.minimum(1, apart / near) ** 2,
            known.embeddings,
            wanted,
        )


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
