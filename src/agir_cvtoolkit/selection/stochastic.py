"""Scores as chances."""

from __future__ import annotations

import numpy as np

from agir_cvtoolkit.choosing import Known, Pool
from agir_cvtoolkit.errors import ConfigError

from .scores import Scores
from .strategy import Order
from .uncertainty import best_first


class Stochastic:
    """Drawn at random, the better the score the likelier.

    A. Kirsch et al., "Stochastic Batch Acquisition: A Simple Baseline for Deep Active Learning" (TMLR 2023): Gumbel noise
    on the score, then the highest. With `by` = ``rank`` the chance falls as rank^-coldness and does not depend on the
    score's scale; ``power`` is score^coldness for scores of 0 and above; ``softmax`` is exp(coldness x score).
    """

    needs = frozenset({"score"})
    says = "drawn by its score"

    def __init__(self, by: str = "rank", coldness: float = 1.0) -> None:
        if by not in {"rank", "power", "softmax"} or coldness < 0:
            raise ConfigError(
                f"stochastic cannot draw by {by} with coldness {coldness}",
                "by is rank, power or softmax; coldness 0 or more.",
            )
        self._by, self._coldness = by, coldness

    def rank(self, pool: Pool, scores: Scores, known: Known, wanted: int, rng: np.random.Generator) -> Order:
        """Return all units; those without a score last."""
        del pool, known, wanted
        noise = rng.gumbel(size=len(scores))
        if self._by == "rank":
            place = np.empty(len(scores))
            place[best_first(scores)] = np.arange(1, len(scores) + 1)
            chance = -self._coldness * np.log(place)
        elif self._by == "softmax":
            chance = self._coldness * scores.astype(np.float64)
        else:
            if np.nanmin(scores, initial=0) < 0:
                raise ConfigError("a score below 0 has no power as a chance", "Use select.options.by=rank.")
            with np.errstate(divide="ignore"):
                chance = self._coldness * np.log(scores.astype(np.float64))
        noisy = np.where(np.isnan(scores), -np.inf, chance + noise)
        return np.argsort(-noisy, kind="stable")
