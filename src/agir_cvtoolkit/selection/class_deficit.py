"""What has few labels."""

from __future__ import annotations

import numpy as np

from agir_cvtoolkit.choosing import Known, Pool
from agir_cvtoolkit.errors import ConfigError

from .scores import Scores, ranked
from .strategy import Order


class ClassDeficit:
    """Always the unit whose predicted classes have the fewest labels so far, what was just chosen counted; then by score.

    A unit is worth the sum, over the classes it holds, of 1 / (1 + units labelled with it)^`power`; the score, by its
    rank, decides between units of the same classes. The weighting by inverse frequency is that of the long-tailed
    literature (Y. Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019).

    Args:
        share: of a unit's pixels from which on it holds a class.
        power: larger lets rare classes weigh more.
    """

    needs = frozenset({"score", "classes"})
    says = "holds classes with few labels"

    def __init__(self, share: float = 0.01, power: float = 1.0) -> None:
        if not 0 < share < 1 or power <= 0:
            raise ConfigError(
                f"class-deficit cannot use the share {share} and the power {power}",
                "share is in (0, 1), power above 0.",
            )
        self._share, self._power = share, power

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return the first `wanted` units."""
        del rng
        names = sorted(pool.classes)
        held = np.stack([pool.classes[name] >= self._share for name in names], axis=1).astype(np.float32)
        counts = np.array([known.class_counts.get(name, 0.0) for name in names], dtype=np.float64)
        # Never as much as one class with a million labels.
        tie = np.nan_to_num(ranked(scores), nan=0.0) * 1e-6
        free = np.ones(len(pool), dtype=bool)
        order: list[int] = []
        for _ in range(min(wanted, len(pool))):
            worth = np.where(free, held @ (1 / (1 + counts) ** self._power) + tie, -1.0)
            best = int(np.argmax(worth))
            order.append(best)
            free[best] = False
            counts += held[best]
        return np.array(order, dtype=np.int64)
